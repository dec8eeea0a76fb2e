"""Intervals over seeds and utterances: cases whose answer is known."""

import numpy as np
import pytest

from softspoken.errors import DataError
from softspoken_lab.analysis.bootstrap import estimate, resampled_rates
from softspoken_lab.analysis.seeds import SeedCounts, mean_rate, seed_draws

UTTERANCES = 60
NAMES = [f"u{index}" for index in range(UTTERANCES)]
WORDS = np.full(UTTERANCES, 10, dtype=np.int64)


def counts(rates: list[float], seed: int = 0) -> SeedCounts:
    """One seed a rate, words wrong by chance."""
    rng = np.random.default_rng(seed)
    return SeedCounts(tuple(range(len(rates))), np.array([rng.binomial(10, rate, UTTERANCES) for rate in rates]))


def test_one_seed_is_the_bootstrap_of_utterances() -> None:
    one = counts([0.3])
    found = seed_draws(NAMES, WORDS, [one])
    np.testing.assert_array_equal(found, resampled_rates(NAMES, one.errors, WORDS))
    assert mean_rate(one, WORDS) == pytest.approx(one.errors.sum() / WORDS.sum())


def test_where_nothing_varies_the_interval_is_a_point() -> None:
    same = SeedCounts((0, 1, 2), np.full((3, UTTERANCES), 4))
    found = estimate(mean_rate(same, WORDS), seed_draws(NAMES, WORDS, [same])[:, 0])
    assert (found.low, found.value, found.high) == (0.4, 0.4, 0.4)


def test_seeds_alone_vary_by_their_standard_error() -> None:
    """Every utterance has the same rate, so all that varies is which seeds are drawn: s / sqrt(S), as for any mean."""
    rates = np.array([2, 3, 3, 4, 5, 7])
    only_seeds = SeedCounts(tuple(range(6)), np.repeat(rates[:, None], UTTERANCES, axis=1))
    draws = seed_draws(NAMES, WORDS, [only_seeds], resamples=20_000)[:, 0]
    assert draws.std() == pytest.approx(rates.std(ddof=1) / 10 / np.sqrt(6), rel=0.05)
    assert draws.mean() == pytest.approx(rates.mean() / 10, abs=1e-3)


def test_a_difference_of_every_utterance_is_certain_however_hard_they_are() -> None:
    """Paired: each seed and utterance has exactly one more error in ten."""
    rng = np.random.default_rng(1)
    hard = rng.integers(0, 9, (3, UTTERANCES))
    easy, worse = SeedCounts((0, 1, 2), hard), SeedCounts((0, 1, 2), hard + 1)
    draws = seed_draws(NAMES, WORDS, [worse, easy])
    np.testing.assert_allclose(draws[:, 0] - draws[:, 1], 0.1, atol=1e-12)


def test_order_of_seeds_means_nothing() -> None:
    one = counts([0.2, 0.3, 0.4])
    turned = SeedCounts((2, 1, 0), one.errors[::-1])
    draws = seed_draws(NAMES, WORDS, [one, turned])
    np.testing.assert_allclose(draws[:, 0], draws[:, 1])


def test_talkers_that_differ_widen_the_interval() -> None:
    """Six talkers, whose utterances are all right or all wrong: there are six observations, not sixty."""
    talkers = [f"t{index // 10}" for index in range(UTTERANCES)]
    wrong = np.array([[10 * (index // 10 % 2) for index in range(UTTERANCES)]])
    one = SeedCounts((0,), wrong)
    by_talker, by_utterance = (seed_draws(names, WORDS, [one])[:, 0].std() for names in (talkers, NAMES))
    assert by_talker == pytest.approx(0.5 / np.sqrt(6), rel=0.1)
    assert by_utterance == pytest.approx(0.5 / np.sqrt(60), rel=0.1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Seeds with rates around 0.3, words wrong by chance: 95 %, a little less with five seeds."""
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        one = counts([float(rate) for rate in np.clip(rng.normal(0.3, 0.03, 5), 0, 1)], seed=trial)
        found = estimate(0.0, seed_draws(NAMES, WORDS, [one], resamples=400, seed=trial)[:, 0])
        hits += found.low <= 0.3 <= found.high
    assert 0.85 <= hits / 200 <= 0.99


def test_nothing_to_resample_is_one_line() -> None:
    with pytest.raises(DataError, match="no reference words"):
        seed_draws([], np.zeros(0, dtype=np.int64), [SeedCounts((0,), np.zeros((1, 0), dtype=np.int64))])
