"""Figures: ratios are paired by round, the fastest of ours counts only if it makes no more errors, keys are stable."""

import json
import re

import pytest
from bench_fakes import FakeWorker, answer, spec, task

import softspoken_lab.bench.summary
from softspoken_lab.bench.rounds import Measured, Run, measure
from softspoken_lab.bench.specs import ContenderSpec
from softspoken_lab.bench.summary import paired, spread, summarize_suite
from softspoken_lab.bench.tasks import Suite

SPECS = (
    spec("exact", note="slow"),
    spec("sloppy"),
    spec("batch", together=True),
    spec("peer", peer=True),
    spec("hooks", peer=True, scored=False),
    spec("missing", peer=True),
)
SECONDS = {"exact": (2.0, 4.0, 3.0), "sloppy": (1.0, 1.0, 1.0), "batch": (0.5,) * 3, "peer": (4.0, 16.0, 9.0)}
SECONDS["hooks"] = (20.0, 20.0, 30.0)
TEXTS = {"sloppy": "one two four", "hooks": ""}


def run(name: str, seconds: float, factor: float = 1.0) -> Run:
    text = TEXTS.get(name, "One, two, three.")
    return Run(factor * seconds, (seconds / 2,), ((text,),), factor * 100.0)


def measured(tasks: tuple[str, ...] = ("clips",)) -> Measured:
    runs = {
        title: {name: [run(name, seconds, 1.0 + number) for seconds in each] for name, each in SECONDS.items()}
        for number, title in enumerate(tasks)
    }
    return Measured(runs, {"missing": "not installed"})


def summary(tasks: tuple[str, ...] = ("clips",)) -> dict[str, dict[str, object]]:
    suite = Suite("short-clips", tuple(task(name) for name in tasks), SPECS)
    normalize = lambda text: " ".join(re.findall(r"\w+", text.lower()))  # noqa: E731
    found: dict[str, dict[str, object]] = summarize_suite(
        suite, [measured(tasks)], lambda text: len(text.split()), normalize
    )
    return found


def test_ratios_are_taken_within_a_round() -> None:
    above, below = [run("", s) for s in (4.0, 16.0, 9.0)], [run("", s) for s in (2.0, 4.0, 3.0)]
    # The ratio of the medians would be 3 as well by another way; the ends show the pairs.
    assert paired(above, below) == {"median": 3.0, "min": 2.0, "max": 4.0}
    assert paired(above, above) == {"median": 1.0, "min": 1.0, "max": 1.0}
    assert spread([1.0, 10.0, 2.0])["median"] == 2.0


def test_the_fastest_counts_only_with_no_more_errors_and_one_clip_at_a_time() -> None:
    over = summary()["speedup_over"]
    assert over["peer"] == {"contender": "exact", "median": 3.0, "min": 2.0, "max": 4.0}
    assert over["missing"] is None
    # Its text means nothing: ours must be as good as those whose text does.
    assert over["hooks"] == {"contender": "exact", "median": 10.0, "min": 5.0, "max": 10.0}


def test_the_json_has_the_documented_keys() -> None:
    found = summary()
    contenders = found["contenders"]
    said = set(re.findall(r"^    ([a-z_, ]+?)  +\S", str(softspoken_lab.bench.summary.__doc__), flags=re.MULTILINE))
    documented = {key for line in said for key in line.split(", ")}
    exact = contenders["exact"]
    assert isinstance(exact, dict)
    assert set(found) | set(exact) <= documented
    assert json.loads(json.dumps(found)) == found
    assert exact["wer"] == 0.0
    assert contenders["sloppy"]["wer"] == pytest.approx(1 / 3)  # type: ignore[index]
    assert contenders["hooks"]["wer"] is None  # type: ignore[index]
    assert exact["rtf"] == {"median": 0.3, "min": 0.2, "max": 0.4}
    assert exact["tokens_per_s"] == {"median": 1.0, "min": 0.75, "max": 1.5}
    assert exact["wer_less"]["sloppy"]["difference"] == pytest.approx(-1 / 3, abs=1e-4)
    assert contenders["missing"] == {
        "status": "absent", "reason": "not installed", "note": "", "peer": True, "together": False
    }  # fmt: skip


def test_later_tasks_are_given_relative_to_the_first() -> None:
    found = summary(("1 target", "2 targets"))
    second = found["tasks"]["2 targets"]["contenders"]["exact"]  # type: ignore[index]
    assert second["times_first"] == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert second["memory_times_first"] == 2.0
    assert found["task"] == "1 target"
    assert "times_first" not in found["contenders"]["exact"]  # type: ignore[operator]


def test_tasks_that_ran_apart_are_joined() -> None:
    def start(one: ContenderSpec) -> FakeWorker:
        return FakeWorker(one.name, [], lambda name, before: answer(1.0))

    tasks = (task("5 min"), task("60 min"))
    apart = [measure([one], (spec("a"),), start, 2, lambda line: None) for one in tasks]
    found = summarize_suite(Suite("long", tasks, (spec("a"),), separate=True), apart, len, str)
    assert found["tasks"]["60 min"]["contenders"]["a"]["times_first"]["median"] == 1.0
