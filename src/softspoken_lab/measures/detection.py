"""How well a score tells speaking targets from silent ones: ROC figures with intervals over talkers.

N targets; a higher score says "speaks". The interval of a figure comes from sets of talkers drawn with replacement,
all targets of a talker together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from softspoken.errors import DataError
from softspoken.scoring.word_errors import CONFIDENCE, Interval


@dataclass(frozen=True)
class Calibration:
    """A threshold and what it does on the items it was chosen on."""

    threshold: float
    false_rejection: float
    """Share of speaking targets below it."""
    rejection: float
    """Share of silent targets below it."""
    speaking: int
    silent: int


def calibrate(scores: list[float], silent: list[bool], false_rejection: float) -> Calibration:
    """The highest threshold that rejects at most the share `false_rejection` of the speaking targets.

    Raises DataError unless there are both speaking and silent targets.
    """
    values, quiet = np.array(scores), np.array(silent, dtype=bool)
    if quiet.all() or not quiet.any():
        raise DataError(f"{quiet.sum()} of {quiet.size} targets are silent; give a manifest with both kinds")
    speaking = np.sort(values[~quiet])
    # The first target that may not be rejected: a score at the threshold counts as present.
    threshold = float(speaking[int(false_rejection * speaking.size)])
    return Calibration(
        threshold,
        float((speaking < threshold).mean()),
        float((values[quiet] < threshold).mean()),
        speaking.size,
        int(quiet.sum()),
    )


RESAMPLES = 1000

Scores = Float[np.ndarray, " N"]
Kinds = Bool[np.ndarray, " N"]
Figure = Callable[[Scores, Kinds], float]


@dataclass(frozen=True)
class Measured:
    """A figure and its bootstrap interval; None where too few sets of talkers have both kinds of targets."""

    value: float
    interval: Interval | None

    def as_dict(self) -> dict[str, float | None]:
        low, high = (None, None) if self.interval is None else (self.interval.low, self.interval.high)
        return {"value": self.value, "low": low, "high": high}

    def __str__(self) -> str:
        spread = "" if self.interval is None else f" [{self.interval.low:.3f}, {self.interval.high:.3f}]"
        return f"{self.value:.3f}{spread}"


@dataclass(frozen=True)
class Detection:
    """How a score tells the speaking targets of a set from the silent ones."""

    speaking: int
    silent: int
    talkers: int
    area: Measured
    """Under the ROC curve: how often a speaking target scores higher than a silent one."""
    asked: float
    """The false rejection that `rejection_asked` is at."""
    rejection_asked: Measured
    """Silent targets rejected where at most `asked` of the speaking ones of this very set are: read off its own ROC,
    not what any threshold chosen beforehand achieves."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "speaking": self.speaking,
            "silent": self.silent,
            "talkers": self.talkers,
            "area_under_roc": self.area.as_dict(),
            "roc_false_rejection": self.asked,
            "roc_rejection": self.rejection_asked.as_dict(),
        }


def detection(
    scores: Sequence[float], silent: Sequence[bool], talkers: Sequence[str], false_rejection: float = 0.01
) -> Detection:
    """ROC figures of `scores`. Raises DataError unless there are both speaking and silent targets."""
    values, kinds = np.array(scores, dtype=np.float64), np.array(silent, dtype=bool)
    calibrate(list(scores), list(silent), false_rejection)

    def at_asked(values: Scores, kinds: Kinds) -> float:
        # As `calibrate` has it, without sorting all of them: thousands of sets are drawn.
        first = int(false_rejection * (~kinds).sum())
        return float((values[kinds] < np.partition(values[~kinds], first)[first]).mean())

    return Detection(
        int((~kinds).sum()),
        int(kinds.sum()),
        len(set(talkers)),
        measured(area, values, kinds, talkers),
        false_rejection,
        measured(at_asked, values, kinds, talkers),
    )


def area(values: Scores, kinds: Kinds) -> float:
    """Area under the ROC curve: the share of pairs in which the speaking target scores higher, ties counting half."""
    silent = np.sort(values[kinds])
    speaking = values[~kinds]
    below, not_above = np.searchsorted(silent, speaking, "left"), np.searchsorted(silent, speaking, "right")
    return float((below + not_above).sum() / (2 * silent.size * speaking.size))


def share(of_silent: bool) -> Figure:
    """The share of silent (or of speaking) targets whose value is not 0."""

    def figure(values: Scores, kinds: Kinds) -> float:
        return float((values[kinds == of_silent] != 0.0).mean())

    return figure


def measured(
    figure: Figure, values: Scores, kinds: Kinds, talkers: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> Measured:
    """`figure` of all targets, with its interval. `kinds`: True where the target is silent."""
    names, index = np.unique(np.array(talkers), return_inverse=True)
    members = [np.flatnonzero(index == number) for number in range(names.size)]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = np.concatenate([members[number] for number in rng.integers(0, names.size, names.size)])
        if kinds[chosen].any() and not kinds[chosen].all():
            drawn.append(figure(values[chosen], kinds[chosen]))
    interval = None
    if len(drawn) >= resamples // 2:
        tail = 100 * (1 - CONFIDENCE) / 2
        low, high = np.percentile(drawn, [tail, 100 - tail])
        interval = Interval(float(low), float(high))
    return Measured(figure(values, kinds), interval)
