"""What is observed of targets who speak or are silent, and a silence model fitted to it.

Items become observations: per window the features of a `SilenceModel`, and whether anything was written. A model
is chosen on development talkers only; `detection` measures it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.audio import load_audio
from softspoken.decoding import TargetSpeakerTranscriber, Transcript
from softspoken.decoding.silence import SilenceModel
from softspoken.errors import AudioError, DataError, EnrolmentError
from softspoken.evaluation.detection import Detection, Measured, detection, measured, share
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.files import replace_text
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
        windows = tuple(window.features for window in found.windows if window.features)
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


@dataclass(frozen=True)
class SilenceReport:
    """What a prompt did with speaking and silent targets, and what its score would allow."""

    false_rejection: Measured
    """Share of the speaking targets for whom nothing was written."""
    rejection: Measured
    """Share of the silent targets for whom nothing was written."""
    detection: Detection | None
    """Of the calibrated probability; None without one."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "false_rejection": self.false_rejection.as_dict(),
            "rejection": self.rejection.as_dict(),
            "score": None if self.detection is None else self.detection.as_dict(),
        }


def report(observations: Sequence[Observation], false_rejection: float = 0.01) -> SilenceReport:
    """Figures with intervals over talkers. Raises DataError unless there are both speaking and silent targets."""
    silent, talkers = [one.silent for one in observations], [one.talker for one in observations]
    if all(silent) or not any(silent):
        raise DataError(f"{sum(silent)} of {len(silent)} targets are silent; give a manifest with both kinds")
    nothing, kinds = np.array([float(not one.wrote) for one in observations]), np.array(silent)
    scores = [one.speaking for one in observations if one.speaking is not None]
    return SilenceReport(
        measured(share(of_silent=False), nothing, kinds, talkers),
        measured(share(of_silent=True), nothing, kinds, talkers),
        detection(scores, silent, talkers, false_rejection) if len(scores) == len(observations) else None,
    )


def measure_prompt(
    reference: str, manifests: Sequence[Path], false_rejection: float = 0.01, progress: Progress = iter
) -> tuple[SilenceReport, list[Observation]]:
    """What a prompt, as it is stored, does with speaking and silent targets."""
    items = [item for manifest in manifests for item in read_evaluation_manifest(manifest)]
    transcriber = TargetSpeakerTranscriber.from_pretrained(reference)
    observations = list(observe(progress(items), transcriber.transcribe))
    return report(observations, false_rejection), observations
