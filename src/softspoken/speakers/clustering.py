"""Points to clusters by their mean distances (average linkage)."""

import numpy as np
from jaxtyping import Float32, Int

Merge = tuple[int, int, float]
"""Two points whose clusters are joined, and the mean distance of these."""


def average_linkage(distances: Float32[np.ndarray, "L L"]) -> list[Merge]:
    """The two nearest clusters by mean distance are joined until there is one; in the order of their distances.

    A chain of nearest neighbours finds the pairs: with mean distances the nearest of two that are each other's nearest
    stay so whatever else is joined (Murtagh 1983), so that n points cost n * n steps.
    """
    distances = distances.astype(np.float64)
    np.fill_diagonal(distances, np.inf)
    sizes = np.ones(len(distances))
    alive = np.ones(len(distances), np.bool_)
    chain: list[int] = []
    merges: list[Merge] = []
    while len(merges) < len(distances) - 1:
        chain = chain or [int(alive.argmax())]
        last = chain[-1]
        nearest = int(distances[last].argmin())
        # Of equally near ones the one before counts, or the chain would never end.
        if len(chain) > 1 and distances[last, chain[-2]] <= distances[last, nearest]:
            nearest = chain[-2]
        if len(chain) > 1 and nearest == chain[-2]:
            merges.append((last, nearest, float(distances[last, nearest])))
            _join(distances, sizes, last, nearest)
            alive[last] = False
            del chain[-2:]
        else:
            chain.append(nearest)
    return sorted(merges, key=lambda merge: merge[2])


def clusters(merges: list[Merge], limit: float, fewest: int = 1, most: int | None = None) -> Int[np.ndarray, " L"]:
    """The cluster of each point when those nearer than `limit` are joined, and then more or fewer as is asked for."""
    labels = np.arange(len(merges) + 1)
    for left, (one, other, distance) in zip(range(len(merges), 0, -1), merges, strict=True):
        near = distance < limit and left >= fewest
        if near or (most is not None and left >= most):
            labels[labels == labels[one]] = labels[other]
    return np.unique(labels, return_inverse=True)[1]


def _join(distances: np.ndarray, sizes: np.ndarray, gone: int, kept: int) -> None:
    mean = (sizes[gone] * distances[gone] + sizes[kept] * distances[kept]) / (sizes[gone] + sizes[kept])
    distances[kept], distances[:, kept] = mean, mean
    distances[gone], distances[:, gone] = np.inf, np.inf
    distances[kept, kept] = np.inf
    sizes[kept] += sizes[gone]
