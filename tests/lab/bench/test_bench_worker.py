"""A contender in a process of its own: what it answers, and what its parent is told when it cannot."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import tone

from softspoken.audio import write_wav
from softspoken_lab.bench.contract import AbsentError
from softspoken_lab.bench.process import WorkerProcess

Begin = Callable[..., WorkerProcess]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{Path(__file__).parents[3] / 'src'}")
    started: list[WorkerProcess] = []

    def one(factory: str = "bench_parrot:parrot", timeout_s: float = 60.0, **arguments: str) -> WorkerProcess:
        started.append(WorkerProcess(factory, arguments, 1, timeout_s))
        return started[-1]

    yield one
    for worker in started:
        worker.close()


@pytest.fixture
def clip(tmp_path: Path) -> str:
    write_wav(tmp_path / "clip.wav", tone(0.1))
    return str(tmp_path / "clip.wav")


def prepared(worker: WorkerProcess, clip: str, voices: int = 0) -> WorkerProcess:
    items = [{"audio": clip, "voices": [clip] * voices, "tokens": []}] * 2
    worker.ask({"op": "prepare", "task": "t", "held": True, "items": items})
    return worker


def test_a_run_gives_texts_times_and_memory(begin: Begin, clip: str) -> None:
    worker = prepared(begin(), clip, voices=2)
    for _ in range(2):
        found = worker.ask({"op": "run", "task": "t", "together": False})
        # The number of threads arrives before any library is loaded.
        assert found["texts"] == [["one two 1", "one two 1"]] * 2
        assert sum(found["first_s"]) < 0.08 < found["seconds"]
        assert found["peak_rss_mb"] is None or 5 < found["peak_rss_mb"] < 2000
    together = worker.ask({"op": "run", "task": "t", "together": True})
    assert together["texts"] == [["number 0"], ["number 1"]]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("absent", "no such engine"), ("raises", "ValueError: first line second line"), ("dies", "exit code 3")],
)
def test_a_failure_is_one_line(begin: Begin, clip: str, fault: str, reason: str) -> None:
    with pytest.raises(AbsentError, match=reason) as caught:
        prepared(begin(fault=fault), clip).ask({"op": "run", "task": "t", "together": False})
    assert "\n" not in str(caught.value)


def test_who_does_not_answer_is_ended(begin: Begin, clip: str) -> None:
    worker = prepared(begin(fault="hangs"), clip)
    worker._timeout_s = 0.2
    with pytest.raises(AbsentError, match=r"no answer in 0\.2 s"):
        worker.ask({"op": "run", "task": "t", "together": False})
    assert worker._process.wait(5) != 0


def test_what_is_not_there_is_said(begin: Begin) -> None:
    with pytest.raises(AbsentError, match="ModuleNotFoundError: No module named 'nowhere'"):
        begin("nowhere:at_all")
