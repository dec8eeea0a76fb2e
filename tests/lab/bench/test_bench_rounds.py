"""Contenders take turns, warm up first, and one that fails says why and is left out."""

from typing import Any

import pytest
from bench_fakes import FakeWorker, answer, spec, task

from softspoken_lab.bench.contract import AbsentError
from softspoken_lab.bench.rounds import Measured, measure
from softspoken_lab.bench.specs import ContenderSpec

SPECS = (spec("a"), spec("b"), spec("c"))


def measured(
    log: list[tuple[str, str, str]], broken: dict[str, int] | None = None, tasks: Any = None, repeats: int = 2
) -> Measured:
    """`broken`: after how many runs a contender fails; -1: it cannot be loaded."""
    faults = {} if broken is None else broken

    def start(one: ContenderSpec) -> FakeWorker:
        if faults.get(one.name) == -1:
            raise AbsentError("cannot be loaded")

        def run(name: str, before: int) -> dict[str, Any]:
            if faults.get(one.name) == before:
                raise AbsentError(f"failed after {before}")
            return answer(1.0 + before)

        return FakeWorker(one.name, log, run)

    return measure([task()] if tasks is None else tasks, SPECS, start, repeats, lambda line: None)


def test_contenders_take_turns_after_a_warm_up_that_does_not_count() -> None:
    log: list[tuple[str, str, str]] = []
    found = measured(log)
    assert "".join(name for op, _, name in log if op == "run") == "abc" + "abc" * 2
    assert [run.seconds for run in found.runs["clips"]["b"]] == [2.0, 3.0]
    assert [name for op, _, name in log if op == "close"] == ["c", "b", "a"]


def test_several_tasks_are_run_within_a_round() -> None:
    log: list[tuple[str, str, str]] = []
    measured(log, tasks=[task("one"), task("two")])
    runs = [(name, who) for op, name, who in log if op == "run"]
    each = [(name, who) for name in ("one", "two") for who in "abc"]
    assert runs == each * 3


def test_a_rehearsal_stands_for_the_items() -> None:
    log: list[tuple[str, str, str]] = []
    long = task("long")
    measured(log, tasks=[type(long)(long.name, long.items, rehearsal=task().items)], repeats=1)
    assert [name for op, name, who in log if op == "run" and who == "a"] == ["rehearsal", "long"]


@pytest.mark.parametrize(("after", "reason"), [(-1, "cannot be loaded"), (0, "failed after 0"), (2, "failed after 2")])
def test_who_fails_is_left_out_with_the_reason(after: int, reason: str) -> None:
    log: list[tuple[str, str, str]] = []
    found = measured(log, broken={"b": after})
    assert found.absent == {"b": reason}
    assert {name: len(runs) for name, runs in found.runs["clips"].items()} == {"a": 2, "c": 2}
