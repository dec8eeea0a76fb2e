"""What a contender is, as its process sees it. Imports numpy alone: what a contender does not need, it does not load.

A contender is made by a factory (`specs.ContenderSpec.factory`), a function of plain values and the number of threads.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
WINDOW_S = 30.0

Samples = npt.NDArray[np.float32]


class AbsentError(Exception):
    """This contender cannot take part: why, in one line."""


@dataclass(frozen=True)
class Item:
    """One thing to transcribe."""

    audio: Samples | Path
    """Mono at 16 kHz; a path where holding it would be memory that a contender need not use."""
    voices: tuple[Samples, ...] = ()
    """Enrolment clips of the voices whose words are wanted; none: everybody's words are."""
    tokens: tuple[int, ...] = ()
    """How many text tokens the reference has, one number a voice (or one)."""


class Contender(ABC):
    """A way of transcribing, loaded and ready."""

    def prepare(self, item: Item) -> Any:
        """Done once, before the clock runs, as enrolling a voice is. What it gives is handed to `hear`."""
        return item

    @abstractmethod
    def hear(self, prepared: Any) -> Iterator[tuple[int, str]]:
        """Pieces of text in the order of time as soon as they are there, each with the number of its voice (or 0)."""

    def hear_together(self, prepared: Sequence[Any]) -> list[str]:
        """The texts of several items, run as one batch."""
        raise AbsentError("takes one clip at a time")


def samples_of(audio: Samples | Path) -> Samples:
    """All samples, for contenders that cannot read a recording piece by piece."""
    if isinstance(audio, np.ndarray):
        return audio
    import soundfile

    return np.asarray(soundfile.read(audio, dtype="float32")[0])


def windows_of(audio: Samples | Path) -> Iterator[Samples]:
    """Windows of 30 s one after the other, cut wherever that is."""
    samples = samples_of(audio)
    size = round(WINDOW_S * SAMPLE_RATE_HZ)
    for start in range(0, max(samples.size, 1), size):
        yield samples[start : start + size]
