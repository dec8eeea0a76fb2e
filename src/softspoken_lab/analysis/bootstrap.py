"""Intervals that resample whole groups: utterances made of one recording stand or fall together.

Shapes: K variants, U utterances, G groups, R resamples.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from softspoken.errors import DataError
from softspoken.scoring.word_errors import CONFIDENCE, RESAMPLES
from softspoken_lab.analysis.tables import Counts, Estimate

_CELLS = 20_000_000
"""Numbers held at once (8 bytes each)."""


def grouped(groups: Sequence[str], values: Int[np.ndarray, "K U"]) -> Int[np.ndarray, "K G"]:
    """Sums of `values` over the utterances of each group, the groups in the order of their names."""
    names, index = np.unique(np.array(groups), return_inverse=True)
    sums = np.zeros((names.size, values.shape[0]), dtype=np.int64)
    np.add.at(sums, index, values.T)
    return sums.T


def resampled_rates(
    groups: Sequence[str],
    hits: Int[np.ndarray, "K U"],
    totals: Int[np.ndarray, " U"],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Float[np.ndarray, "R K"]:
    """`sum(hits) / sum(totals)` of each variant on sets of groups drawn with replacement.

    All variants get the same draws, and so does every call with the same groups and seed: differences are paired.
    """
    by_group, sizes = grouped(groups, hits), grouped(groups, totals[None])[0]
    rng = np.random.default_rng(seed)
    count = sizes.size
    rows = max(1, _CELLS // max(count, 1))
    rates = []
    for start in range(0, resamples, rows):
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(rows, resamples - start))
        rates.append((times @ by_group.T) / np.maximum(times @ sizes, 1)[:, None])
    return np.concatenate(rates)


def estimate(value: float, draws: Float[np.ndarray, " R"]) -> Estimate:
    """`value` with the percentile interval of `draws`."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Estimate(value=float(value), low=float(low), high=float(high))


def wer_draws(counts: Counts, resamples: int = RESAMPLES, seed: int = 0) -> Float[np.ndarray, "R K"]:
    """Resampled word error rates of all variants."""
    errors, words = np.array(counts.errors, dtype=np.int64), np.array(counts.words, dtype=np.int64)
    return resampled_rates(counts.sources, errors, words, resamples, seed)


def wer_of(counts: Counts) -> Float[np.ndarray, " K"]:
    """Corpus word error rate of each variant."""
    errors, words = np.array(counts.errors, dtype=np.int64), np.array(counts.words, dtype=np.int64)
    return np.asarray(errors.sum(axis=1) / words.sum(), dtype=np.float64)


def joined(first: Counts, second: Counts) -> Counts:
    """The variants of both, counted on the same utterances. Raises DataError where these are others."""
    if (first.sources, first.words) != (second.sources, second.words):
        raise DataError(
            f"word errors of {len(first.words)} and {len(second.words)} utterances that are not the same; score both "
            "on the same sets, with recognisers of one dictionary"
        )
    return Counts(sources=first.sources, words=first.words, errors=first.errors + second.errors)
