"""`softspoken-lab bench`: what is printed where, with a stand-in for the measurements; and once in earnest."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

import softspoken_lab.bench.run
from softspoken_lab.bench import specs
from softspoken_lab.bench.tasks import SUITES
from softspoken_lab.cli.bench import SuiteName
from softspoken_lab.cli.main import app

SPREAD = {"median": 0.5, "min": 0.25, "max": 0.75}
OURS = {
    "status": "measured", "note": "greedy", "peer": False, "together": False, "seconds": SPREAD, "rtf": SPREAD,
    "first_segment_s": SPREAD, "tokens_per_s": SPREAD, "peak_rss_mb": None, "wer": 0.125, "errors": 1, "words": 8,
    "speedup_over": {"other": SPREAD}, "wer_less": {},
}  # fmt: skip
OTHER = OURS | {"peer": True, "speedup_over": {}}
GONE = {"status": "absent", "reason": "not installed", "note": "", "peer": True, "together": False}


def row(suite: str) -> dict[str, Any]:
    contenders = {"ours": OURS, "other": OTHER, "gone": GONE}
    best = {"other": {"contender": "ours", **SPREAD}, "gone": None}
    one = {"items": 2, "seconds": 20.0, "words": 8, "contenders": contenders, "speedup_over": best}
    again = one | {
        "contenders": {"ours": OURS | {"times_first": SPREAD, "memory_times_first": 1.0}},
        "speedup_over": {},
    }
    return {
        "suite": suite, "backbone": "tiny.en", "threads": 2, "repeats": 3, "speech": {"source": "here", "seed": 0},
        "task": "clips", "contenders": contenders, "speedup_over": best, "tasks": {"clips": one, "more": again},
    }  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def standin(suites: list[str], backbones: list[str], config: Any, talk: Any) -> Iterator[dict[str, Any]]:
        calls.append((suites, backbones, config))
        yield from (row(name) for name in suites for _ in backbones)

    monkeypatch.setattr(softspoken_lab.bench.run, "run_bench", standin)
    return calls


def test_the_command_knows_every_suite() -> None:
    assert [name.value for name in SuiteName] == [*SUITES, "all"]


def test_all_suites_and_backbones_are_a_json_line_each(asked: list[Any]) -> None:
    words = ["bench", "--suite", "all", "--backbone", "tiny.en", "--backbone", "base", "--json", "--peer", "none"]
    done = CliRunner().invoke(app, [*words, "--minutes", "1", "--minutes", "2", "--threads", "1"])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["suite"] for line in lines] == [name for name in SUITES for _ in range(2)]
    assert all(line["machine"]["cpu"]["cores"] >= 1 for line in lines)
    ((_, backbones, config),) = asked
    assert (backbones, config.peers, config.minutes, config.threads) == (["tiny.en", "base"], (), (1.0, 2.0), 1)


def test_the_table_names_everybody(asked: list[Any]) -> None:
    done = CliRunner().invoke(app, ["bench"])
    assert done.exit_code == 0, done.output
    for said in ("ours is 0.50 (0.25 .. 0.75) times as fast as other", "gone is absent: not installed", "12.5%"):
        assert said in done.stdout
    assert asked[0][2].peers is None


@pytest.mark.parametrize("words", [["--suite", "other"], ["--repeats", "0"], ["--items", "0"], ["--minutes", "0"]])
def test_impossible_options_are_refused(words: list[str]) -> None:
    assert CliRunner().invoke(app, ["bench", *words]).exit_code == 2


@pytest.mark.embedded
def test_two_clips_in_earnest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs, "ENGINES", (("openvino", "float32"),))
    monkeypatch.setattr(specs, "short", lambda together=False: [])
    words = ["bench", "--items", "2", "--repeats", "1", "--threads", "1", "--peer", "none", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (ours,) = json.loads(done.stdout)["contenders"].values()
    assert ours["status"] == "measured"
    assert ours["wer"] < 0.2
    assert ours["rtf"]["median"] > 0
