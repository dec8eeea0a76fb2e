"""Which prompts refine content and which carry noise, by two ways that know nothing of each other (section 3.2).

By the curve: prompts whose absence costs most on clean speech refine content. The line between them and the rest is
Otsu's: the two sides whose means are furthest apart for their sizes. By the clusters of the vectors: clusters are put
in order by what their prompts cost on clean speech, and the same line is drawn between clusters.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from softspoken.errors import ConfigError, DataError
from softspoken_lab.analysis.bootstrap import wer_draws
from softspoken_lab.analysis.results import (
    Agreement,
    ClusterResult,
    LeaveOneOutResult,
    RoleSplit,
    RolesResult,
)

PERMUTATIONS = 10_000


def find_roles(
    curve: LeaveOneOutResult, clusters: ClusterResult | None = None, clean: str = "clean", seed: int = 0
) -> RolesResult:
    """Content set and noise set from the leave-one-out curve on the set `clean`, and from the clusters; agreement.

    How sure the curve is of each prompt: the share of test sets resampled by speech source in which it stays on its
    side. Raises DataError when the curve has no set of that name, or the clusters are those of other prompts.
    """
    if clean not in curve.counts:
        raise DataError(
            f"the leave-one-out curve has no set '{clean}' (it has: {', '.join(curve.counts)}); roles are read off "
            "clean speech: name its set"
        )
    if clusters is not None and clusters.subject.digest != curve.subject.digest:
        raise DataError("the clusters are those of other prompts than the curve; compute both for one recogniser")
    deltas = tuple(entry.difference[clean] for entry in curve.left_out)
    values = np.array([delta.value for delta in deltas])
    draws = wer_draws(curve.counts[clean], seed=seed)
    content, threshold, separation = otsu(values)
    certainty = _certainty(draws[:, 1:] - draws[:, :1], content)
    by_clusters = None if clusters is None else content_clusters(clusters.whole.labels, values)
    return RolesResult(
        subject=curve.subject,
        sets=tuple(one for one in curve.sets if one.name == clean),
        clean=clean,
        deltas=deltas,
        threshold=threshold,
        separation=separation,
        curve=_split(content, "curve").model_copy(update={"certainty": certainty}),
        clusters=None if by_clusters is None else _split(by_clusters, "clusters"),
        agreement=None if by_clusters is None else agreement(content, by_clusters, seed),
    )


def otsu(
    values: Float[np.ndarray, " N"], weights: Float[np.ndarray, " N"] | None = None
) -> tuple[Bool[np.ndarray, " N"], float, float]:
    """The upper side of the best cut in two, the threshold between, and the share of the variance that it explains.

    Otsu, "A threshold selection method from gray-level histograms" (1979). Equal values stay together; where all are
    equal, none is on the upper side.
    """
    weights = np.ones(values.size) if weights is None else weights
    levels = np.unique(values)
    mean = np.average(values, weights=weights)
    total = float(np.average((values - mean) ** 2, weights=weights))
    best, share = float(levels[-1]), 0.0
    for low, high in pairwise(levels):
        threshold = float(low + (high - low) / 2)
        upper = values > threshold
        if upper.all() or not upper.any():
            continue
        part = weights[upper].sum() / weights.sum()
        gap = np.average(values[upper], weights=weights[upper]) - np.average(values[~upper], weights=weights[~upper])
        explained = float(part * (1 - part) * gap**2) / total
        if explained > share:
            best, share = threshold, explained
    return values > best, best, min(share, 1.0)


def content_clusters(labels: Sequence[int], deltas: Float[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """The prompts of the clusters whose mean delta is on the upper side; of two clusters, the one with the larger."""
    index = np.array(labels)
    numbers = np.unique(index)
    means = np.array([deltas[index == number].mean() for number in numbers])
    sizes = np.array([float((index == number).sum()) for number in numbers])
    upper, _, _ = otsu(means, sizes)
    return np.isin(index, numbers[upper])


def agreement(
    first: Bool[np.ndarray, " N"], second: Bool[np.ndarray, " N"], seed: int = 0, permutations: int = PERMUTATIONS
) -> Agreement:
    """Adjusted Rand index (Hubert and Arabie 1985) of two splits, how often chance reaches it, and equal roles."""
    value = float(_adjusted_rand(first[None], second)[0])
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.broadcast_to(first, (permutations, first.size)), axis=1)
    reached = int((_adjusted_rand(shuffled, second) >= value - 1e-12).sum())
    return Agreement(
        adjusted_rand=value,
        p_value=(reached + 1) / (permutations + 1),
        share=float((first == second).mean()),
    )


def _adjusted_rand(first: Bool[np.ndarray, "P N"], second: Bool[np.ndarray, " N"]) -> Float[np.ndarray, " P"]:
    """Of each of P splits against the second one."""

    def pairs(count: np.ndarray) -> np.ndarray:
        return np.asarray(count * (count - 1.0) / 2)

    size = np.array(second.size)
    both = (first & second).sum(axis=1)
    only, other = first.sum(axis=1) - both, second.sum() - both
    inside = pairs(both) + pairs(only) + pairs(other) + pairs(size - both - only - other)
    of_first = pairs(both + only) + pairs(size - both - only)
    of_second = pairs(both + other) + pairs(size - both - other)
    expected = of_first * of_second / pairs(size)
    highest = (of_first + of_second) / 2
    # Two splits that both leave everything together agree.
    room = highest - expected
    return np.asarray(np.where(room > 0, (inside - expected) / np.where(room > 0, room, 1.0), 1.0))


def _certainty(draws: Float[np.ndarray, "R N"], content: Bool[np.ndarray, " N"]) -> tuple[float, ...]:
    same = upper_sides(draws) == content
    return tuple(float(share) for share in same.mean(axis=0))


def upper_sides(draws: Float[np.ndarray, "R N"]) -> Bool[np.ndarray, "R N"]:
    """The upper side that `otsu` finds, of each of R rows at once."""
    size = draws.shape[1]
    if size < 2:
        return np.zeros(draws.shape, dtype=bool)
    order = np.sort(draws, axis=1)
    low = np.arange(1, size)
    sums = np.cumsum(order, axis=1)
    gap = (sums[:, -1:] - sums[:, :-1]) / (size - low) - sums[:, :-1] / low
    explained = np.where(order[:, 1:] > order[:, :-1], low * (size - low) * gap**2, 0.0)
    cut = explained.argmax(axis=1)
    row = np.arange(len(draws))
    threshold = np.where(explained[row, cut] > 0, order[row, cut], order[:, -1])
    return np.asarray(draws > threshold[:, None])


def given_split(content: str, count: int) -> RoleSplit:
    """'1,2,5-9' as the content set of `count` prompts. Raises ConfigError for anything else."""
    chosen = np.zeros(count, dtype=bool)
    for part in filter(None, (piece.strip() for piece in content.split(","))):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (not last or last.isdigit())):
            raise ConfigError(f"'{part}' is not a number or a range of prompts; give for example 1,2,5-9")
        numbers = range(int(first), int(last or first) + 1)
        if not numbers or numbers[0] < 1 or numbers[-1] > count:
            raise ConfigError(f"no prompts {part}; there are {count}, numbered from 1")
        chosen[[number - 1 for number in numbers]] = True
    return _split(chosen, "given")


def _split(content: Bool[np.ndarray, " N"], by: str) -> RoleSplit:
    return RoleSplit.model_validate(
        {
            "by": by,
            "content": tuple(int(index) + 1 for index in np.flatnonzero(content)),
            "noise": tuple(int(index) + 1 for index in np.flatnonzero(~content)),
        }
    )
