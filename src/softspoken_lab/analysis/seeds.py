"""Intervals over seeds and utterances at once: what another training and another test set would have given.

Shapes: U utterances, S seeds, K configurations, R resamples.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from softspoken.errors import DataError
from softspoken.scoring.word_errors import RESAMPLES
from softspoken_lab.analysis.bootstrap import grouped


@dataclass(frozen=True)
class SeedCounts:
    """One configuration's errors, a row a seed, a column an utterance."""

    seeds: tuple[int, ...]
    errors: Int[np.ndarray, "S U"]


def mean_rate(counts: SeedCounts, totals: Int[np.ndarray, " U"]) -> float:
    """Mean over seeds of each one's rate: all errors over all words."""
    return float(counts.errors.sum(axis=1).mean() / totals.sum())


def seed_draws(
    groups: Sequence[str],
    totals: Int[np.ndarray, " U"],
    configurations: Sequence[SeedCounts],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Float[np.ndarray, "R K"]:
    """Resampled `mean_rate` of each configuration: a hierarchical bootstrap.

    Each draw takes groups of utterances with replacement (a talker's utterances stand or fall together where `groups`
    are talkers; all apart where they are the utterances themselves), the same for all configurations, and of each
    configuration as many seeds as it has. Configurations with the same seeds get the same draw of them: differences
    are paired in both. Few seeds drawn from themselves vary too little, by (S - 1) / S in variance; deviations from the
    mean are widened by the square root of its inverse (Hesterberg, "What teachers should know about the bootstrap",
    The American Statistician 2015, section 3). With one seed the interval is that of the utterances alone.

    Raises DataError without words, or when there is nothing to resample.
    """
    if not len(groups) or not totals.sum():
        raise DataError("no reference words to compare runs on; score them on a manifest with spoken targets")
    sizes = grouped(groups, totals[None])[0]
    count = sizes.size
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    drawn_words = np.maximum(times @ sizes, 1)[:, None]
    columns = []
    for one in configurations:
        rates = (times @ grouped(groups, one.errors).T) / drawn_words
        columns.append(_over_seeds(rates, one.seeds, seed))
    return np.stack(columns, axis=1)


def _over_seeds(rates: Float[np.ndarray, "R S"], seeds: Sequence[int], seed: int) -> Float[np.ndarray, " R"]:
    count = rates.shape[1]
    mean: Float[np.ndarray, " R"] = rates.mean(axis=1)
    if count < 2:
        return mean
    order = np.argsort(seeds, kind="stable")
    # The same seeds, the same draw.
    name = zlib.crc32(",".join(str(seeds[index]) for index in order).encode())
    rng = np.random.default_rng([seed, name])
    shares = rng.multinomial(count, np.full(count, 1 / count), size=rates.shape[0]) / count
    drawn = (rates[:, order] * shares).sum(axis=1)
    return np.asarray(mean + np.sqrt(count / (count - 1)) * (drawn - mean))
