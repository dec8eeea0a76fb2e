"""What is observed of targets who speak or are silent: what `silence_fit` fits a silence model to.

Items become observations: per window the features of a `SilenceModel`, and whether anything was written.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from softspoken.audio import load_audio
from softspoken.decoding import Transcript
from softspoken.errors import AudioError, DataError, EnrolmentError
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.files import replace_text
from softspoken.prompts.silence import SilenceModel
from softspoken.scoring.text import writes_something

Waveform = Float[np.ndarray, " N"]
Progress = Callable[[Sequence[EvaluationItem]], Iterable[EvaluationItem]]
"""Passes the items on as they are worked on, to show how far it is."""

LISTENING = SilenceModel(weights={"presence": 1.0}, bias=0.0, threshold=1.0)
"""Finds everybody silent: a transcriber whose prompt has it gathers the evidence of every window and writes nothing,
which takes a fraction of the time."""


@dataclass(frozen=True)
class Observation:
    """One item: who was asked for, whether they speak, what the windows say."""

    id: str
    audio: str
    enrolment: str
    talker: str
    silent: bool
    windows: tuple[dict[str, float], ...]
    """Features of each window."""
    wrote: bool
    """Whether any letter or digit was written."""
    speaking: float | None = None
    """The probability that the prompt gave, where it is calibrated."""

    @property
    def best(self) -> dict[str, float]:
        """Features of the window that sounds most like the target."""
        return max(self.windows, key=lambda features: features["presence"])


def observe(
    items: Iterable[EvaluationItem], transcribe: Callable[[Waveform, Waveform], Transcript]
) -> Iterator[Observation]:
    """Transcribe item by item. The talker is the manifest's "target", else the enrolment's file.

    Raises AudioError or EnrolmentError, with the item's id, for what cannot be used.
    """
    for item in items:
        try:
            found = transcribe(load_audio(item.audio), load_audio(item.enrolment))
        except (AudioError, EnrolmentError) as error:
            raise type(error)(f"item '{item.id}': {error}") from error
        windows = tuple(window.features for window in found.windows)
        yield Observation(
            item.id,
            str(item.audio),
            str(item.enrolment),
            item.enrolment.name if item.target is None else item.target,
            item.silent,
            windows,
            writes_something(found.text),
            found.speaking,
        )


def write_observations(observations: Sequence[Observation], path: str | Path, source: str) -> None:
    """As JSON lines, whole or not at all. `source`: what was observed with, such as the digest of a prompt."""
    target = Path(path)
    lines = "".join(json.dumps({"source": source, **asdict(one)}, ensure_ascii=False) + "\n" for one in observations)
    try:
        replace_text(target, lines)
    except OSError as error:
        raise DataError(f"cannot write '{target}' ({error.strerror}); choose a writable place") from error


def read_observations(path: str | Path, source: str) -> dict[tuple[str, str], Observation]:
    """What was observed with the same source, by recording and enrolment; nothing where there is no such file.

    Raises DataError for a file of another kind.
    """
    file = Path(path)
    if not file.exists():
        return {}
    found = {}
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.pop("source") == source:
                one = Observation(**row | {"windows": tuple(row["windows"])})
                found[one.audio, one.enrolment] = one
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"'{file}' does not hold observations ({error}); remove it or name another file") from error
    return found
