"""Stretches of a row of yes and no."""

import numpy as np
from jaxtyping import Bool


def runs_of(row: Bool[np.ndarray, " N"]) -> list[tuple[int, int]]:
    """The first place and the one behind the last of each stretch that is True."""
    edges = np.flatnonzero(np.diff(np.pad(row.astype(np.int8), 1))).reshape(-1, 2)
    return [(int(begin), int(end)) for begin, end in edges]
