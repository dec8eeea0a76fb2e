"""From which score on a target counts as speaking: chosen on development items."""

from dataclasses import dataclass

import numpy as np

from softspoken.errors import DataError


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
