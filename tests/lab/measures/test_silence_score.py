"""ROC figures against counting by hand; a fitted model keeps the false rejection that was asked for."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from softspoken.errors import ConfigError, DataError
from softspoken_lab.measures.detection import area, calibrate, detection, measured, share
from softspoken_lab.measures.observations import Observation, read_observations, write_observations
from softspoken_lab.measures.silence_fit import FitOptions, fit, known_features


def observations(seed: int = 0, speaking: int = 300, silent: int = 200) -> list[Observation]:
    """Made targets of 30 talkers: the features of those who speak are higher, or lower, than of those who don't."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(speaking + silent):
        speaks = index < speaking
        features = {
            "empty": float(rng.normal(-2.0 if speaks else 2.0, 2.0)),
            "presence": float(rng.normal(0.75 if speaks else 0.6, 0.06)),
        }
        windows = (features, {"empty": 5.0, "presence": 0.3})
        found.append(Observation(f"i{index}", f"a{index}", "e", f"talker{index % 30}", not speaks, windows, speaks))
    return found


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(1)
    values, silent = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.5
    pairs = list(itertools.product(values[~silent], values[silent]))
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert area(values, silent) == pytest.approx(expected)
    assert area(-values, silent) == pytest.approx(1 - expected)


@pytest.mark.parametrize("asked", [0.0, 0.01, 0.1])
def test_rejection_read_off_the_curve_is_what_the_best_threshold_gives(asked: float) -> None:
    rng = np.random.default_rng(2)
    scores, silent = [*rng.normal(1, 1, 200), *rng.normal(-1, 1, 100)], [False] * 200 + [True] * 100
    found = detection(scores, silent, [f"t{index % 20}" for index in range(300)], asked)
    values, kinds = np.array(scores), np.array(silent)
    possible = [t for t in values if (values[~kinds] < t).mean() <= asked]
    assert found.rejection_asked.value == max((values[kinds] < t).mean() for t in possible)
    assert found.rejection_asked.value == calibrate(scores, silent, asked).rejection
    assert found.rejection_asked.interval is not None
    assert found.rejection_asked.interval.low <= found.rejection_asked.value <= found.rejection_asked.interval.high
    assert (found.speaking, found.silent, found.talkers) == (200, 100, 20)


def test_intervals_resample_talkers_not_items() -> None:
    values = np.repeat([1.0, 0.0, 1.0, 0.0], 50)
    kinds = np.tile([False, True], 100)
    few = measured(share(of_silent=True), values, kinds, [f"t{index // 50}" for index in range(200)])
    many = measured(share(of_silent=True), values, kinds, [f"t{index}" for index in range(200)])
    assert few.value == many.value == 0.5
    assert few.interval is not None
    assert many.interval is not None
    assert few.interval.high - few.interval.low > 3 * (many.interval.high - many.interval.low)
    assert measured(share(of_silent=True), values, kinds, ["one"] * 200).interval == few.interval.__class__(0.5, 0.5)


@pytest.mark.parametrize("asked", [0.0, 0.01, 0.1])
def test_a_fitted_threshold_gives_the_asked_false_rejection(asked: float) -> None:
    fitted = fit(observations(speaking=1000, silent=600), FitOptions(false_rejection=asked))
    model = fitted.model
    assert model.false_rejection is not None
    assert model.rejection is not None
    assert asked - 1 / 1000 <= model.false_rejection <= asked
    assert model.rejection == fitted.held_out.rejection_asked.value
    assert model.weights["empty"] < 0 < model.weights["presence"]
    # And about as much on new targets of the same kind: a threshold read off a tail is itself uncertain.
    new = observations(seed=9, speaking=3000, silent=2000)
    rejected = np.array([max(map(model.probability, one.windows)) < model.threshold for one in new])
    silent = np.array([one.silent for one in new])
    assert rejected[~silent].mean() <= asked + 0.05
    assert rejected[silent].mean() > asked


def test_probabilities_are_calibrated_where_both_kinds_are_equally_frequent() -> None:
    model = fit(observations(speaking=1000, silent=1000)).model
    new = observations(seed=3, speaking=4000, silent=4000)
    probabilities = np.array([model.probability(one.best) for one in new])
    speaks = np.array([not one.silent for one in new])
    for low in (0.1, 0.4, 0.7):
        inside = (probabilities >= low) & (probabilities < low + 0.2)
        assert speaks[inside].mean() == pytest.approx(probabilities[inside].mean(), abs=0.1)


def test_more_features_are_better_than_one_and_one_may_be_asked_for() -> None:
    areas = {}
    for features in (("presence",), ("empty",), ("empty", "presence")):
        fitted = fit(observations(), FitOptions(features=features))
        assert set(fitted.model.weights) == set(features)
        areas[features] = fitted.held_out.area.value
    assert areas["empty", "presence"] > max(areas[("presence",)], areas[("empty",)])


def test_too_little_to_fit_is_refused() -> None:
    some = observations()
    with pytest.raises(DataError, match="both kinds"):
        fit([one for one in some if one.silent])
    with pytest.raises(DataError, match="both kinds"):
        fit([one for one in some if one.talker == "talker1"])
    with pytest.raises(ConfigError, match="loudness"):
        known_features(["empty", "loudness"])
    with pytest.raises(ConfigError, match="share"):
        FitOptions(false_rejection=0.7)


def test_observations_survive_a_file_and_belong_to_their_source(tmp_path: Path) -> None:
    some = observations(speaking=3, silent=2)
    write_observations(some, tmp_path / "seen.jsonl", "prompt one")
    assert list(read_observations(tmp_path / "seen.jsonl", "prompt one").values()) == some
    assert read_observations(tmp_path / "seen.jsonl", "prompt two") == {}
    assert read_observations(tmp_path / "none.jsonl", "prompt one") == {}
    (tmp_path / "other.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(DataError, match="observations"):
        read_observations(tmp_path / "other.jsonl", "prompt one")
