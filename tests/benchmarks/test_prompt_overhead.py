"""The benchmark of what a prompt costs finds what contenders of known cost take more."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from benchmark_scripts import benchmark

from softspoken_lab.bench.contract import Contender, Item


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return benchmark("prompt_overhead")


class Costly(Contender):
    """Advances a clock of its own by what it costs, and by a machine that gets slower and slower."""

    def __init__(self, cost: float, clock: list[float]) -> None:
        self.cost, self.clock = cost, clock

    def hear(self, prepared: Item) -> Iterator[tuple[int, str]]:
        self.clock[0] += self.cost * (1.0 + 0.001 * self.clock[0])
        yield 0, ""


def test_ratios_within_a_round_are_found_on_a_machine_that_drifts(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    costs = (1.0, 1.05, 1.3)
    taken = module.rounds_of([Costly(cost, clock) for cost in costs], Item(np.zeros(10, np.float32)), 80)
    assert taken.shape == (80, 3)
    # Over the whole run the machine became a third slower at least.
    assert taken[-1, 0] > 1.3 * taken[0, 0]
    for index, cost in enumerate(costs):
        found = module.median(taken[:, index] / taken[:, 0])
        assert found["low"] <= found["median"] <= found["high"]
        assert found["median"] == pytest.approx(cost, abs=0.005)
