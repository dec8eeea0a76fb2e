"""Stretches of recordings, and which of a talker's stretches enrol them: lists fixed by a seed."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import soundfile
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import DataError

ENROLMENT_S = 15.0
"""Seconds of other speech that enrol a talker, as in the target-speaker paper's experiments."""
LEAST_ENROLMENT_S = 3.0
"""With less, a voice is not learned: such a talker is no target."""


@dataclass(frozen=True)
class Stretch:
    """A part of a recording, or all of it."""

    recording: str
    """The corpus's own name of it: an utterance, a session, a meeting."""
    path: Path
    duration_s: float
    start_s: float = 0.0
    channel: int = 0
    text: str = ""
    whole: bool = True
    """Whether it is all of a file with one channel, so that the file itself stands for it."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    def overlaps(self, other: "Stretch") -> bool:
        """Whether some of its speech is also in the other one."""
        return self.recording == other.recording and self.start_s < other.end_s and other.start_s < self.end_s

    def as_row(self) -> dict[str, Any]:
        """As a manifest notes it."""
        return {"utterance": self.recording, "start_s": round(self.start_s, 4), "end_s": round(self.end_s, 4)}


def read_stretch(stretch: Stretch) -> Float32[np.ndarray, " N"]:
    """Its samples at 16 kHz, one channel, without reading what stands before it.

    Raises DataError for another rate, a missing channel or a recording that ends before it.
    """
    try:
        with soundfile.SoundFile(stretch.path) as file:
            require_rate(stretch.path, file.samplerate)
            if file.channels <= stretch.channel:
                raise DataError(f"'{stretch.path}' has {file.channels} channel(s), no channel {stretch.channel}")
            file.seek(min(round(stretch.start_s * SAMPLE_RATE_HZ), file.frames))
            wanted = round(stretch.duration_s * SAMPLE_RATE_HZ)
            samples = file.read(wanted, dtype="float32", always_2d=True)[:, stretch.channel]
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"'{stretch.path}' cannot be read ({error}); unpack it again") from error
    # Ends of stretches come from tables that are rounded.
    if len(samples) < wanted - SAMPLE_RATE_HZ // 2:
        raise DataError(
            f"'{stretch.path}' ends before {stretch.end_s:.2f} s, which the corpus's own tables name; unpack it again"
        )
    return np.ascontiguousarray(samples)


def require_rate(path: Path, rate_hz: int) -> None:
    """Raise DataError for a recording that is not at 16 kHz."""
    if rate_hz != SAMPLE_RATE_HZ:
        raise DataError(
            f"'{path}' has {rate_hz} Hz, {SAMPLE_RATE_HZ} Hz are needed: the models hear up to 8 kHz; get the corpus "
            "at 16 kHz"
        )


class EnrolmentLists:
    """What every talker can be enrolled with: their speech in an order fixed by a seed, cut into lists.

    A list is as many stretches as it takes to have `wanted_s` seconds. Items share a talker's lists, so that a long
    test set needs no more enrolment audio than the corpus has speech.
    """

    def __init__(
        self,
        stretches: Mapping[str, Sequence[Stretch]],
        seed: int,
        wanted_s: float = ENROLMENT_S,
        apart: Callable[[Stretch], str] = lambda stretch: "",
    ) -> None:
        """`stretches`: by talker. No list holds stretches for which `apart` says different things."""
        self.seed, self.wanted_s = seed, wanted_s
        self._lists = {talker: self._cut(talker, list(own), apart) for talker, own in stretches.items()}

    @property
    def talkers(self) -> tuple[str, ...]:
        return tuple(sorted(self._lists))

    def pick(self, talker: str, item: str, allowed: Callable[[Stretch], bool]) -> tuple[Stretch, ...]:
        """A list of the talker's of which every stretch is allowed; which one depends on the item's name and the seed.

        Where no list is long enough and allowed, the allowed stretches of all of them until it is enough: as near to
        `wanted_s` as can be had, possibly none.
        """
        lists = self._lists.get(talker, [])
        first = crc32(f"{self.seed}:{item}".encode()) % max(len(lists), 1)
        order = lists[first:] + lists[:first]
        for one in order:
            if seconds_of(one) >= self.wanted_s and all(allowed(stretch) for stretch in one):
                return one
        return self._until_enough([stretch for stretch in chain(*order) if allowed(stretch)])[0]

    def _cut(self, talker: str, own: list[Stretch], apart: Callable[[Stretch], str]) -> list[tuple[Stretch, ...]]:
        rng = np.random.default_rng([self.seed, crc32(talker.encode())])
        groups: dict[str, list[Stretch]] = defaultdict(list)
        for position in rng.permutation(len(own)):
            groups[apart(own[position])].append(own[position])
        lists: list[tuple[Stretch, ...]] = []
        for group in groups.values():
            rest = group
            while rest:
                one, rest = self._until_enough(rest)
                # What is left over would be a list that is too short.
                if rest and seconds_of(rest) < self.wanted_s:
                    one, rest = (*one, *rest), []
                lists.append(one)
        return lists

    def _until_enough(self, stretches: Sequence[Stretch]) -> tuple[tuple[Stretch, ...], list[Stretch]]:
        total = 0.0
        for count, stretch in enumerate(stretches, start=1):
            total += stretch.duration_s
            if total >= self.wanted_s:
                return tuple(stretches[:count]), list(stretches[count:])
        return tuple(stretches), []


def seconds_of(stretches: Sequence[Stretch]) -> float:
    """How long they are together."""
    return sum((stretch.duration_s for stretch in stretches), 0.0)
