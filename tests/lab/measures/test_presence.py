"""The silence threshold: never more false rejections than asked, as many silent targets rejected as that allows."""

import numpy as np
import pytest

from softspoken.errors import DataError
from softspoken_lab.measures.detection import calibrate


@pytest.mark.parametrize("allowed", [0.0, 0.01, 0.1, 0.5])
def test_the_threshold_keeps_its_promise_and_is_the_highest_that_does(allowed: float) -> None:
    rng = np.random.default_rng(0)
    speaking, silent = rng.normal(0.75, 0.05, 200), rng.normal(0.6, 0.05, 100)
    scores = [*speaking, *silent]
    found = calibrate(scores, [False] * 200 + [True] * 100, allowed)
    assert found.false_rejection == (speaking < found.threshold).mean() <= allowed
    assert found.rejection == (silent < found.threshold).mean()
    higher = np.nextafter(found.threshold, 1.0)
    assert (speaking < higher).mean() > allowed
    assert (found.speaking, found.silent) == (200, 100)


@pytest.mark.parametrize("silent", [[True, True], [False, False]])
def test_both_kinds_of_targets_are_needed(silent: list[bool]) -> None:
    with pytest.raises(DataError, match="both kinds"):
        calibrate([0.5, 0.6], silent, 0.01)
