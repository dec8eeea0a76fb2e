"""Stand-ins for contenders' processes, and what they are asked to do."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from softspoken_lab.bench.specs import ContenderSpec
from softspoken_lab.bench.tasks import Task, TaskItem

Answer = Callable[[str, int], dict[str, Any]]
"""From a task's name and how many runs there were before it, the answer to a run."""


class FakeWorker:
    """Writes down in `log` what it is asked."""

    def __init__(self, name: str, log: list[tuple[str, str, str]], answer: Answer) -> None:
        self._name = name
        self._log = log
        self._answer = answer
        self._runs = 0

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self._log.append((question["op"], question["task"], self._name))
        if question["op"] == "prepare":
            return {"ok": True}
        answer = self._answer(question["task"], self._runs)
        self._runs += 1
        return answer

    def close(self) -> None:
        self._log.append(("close", "", self._name))


def answer(seconds: float, texts: list[list[str]] | None = None, peak_mb: float | None = 100.0) -> dict[str, Any]:
    said = [["one two three"]] if texts is None else texts
    return {"ok": True, "seconds": seconds, "first_s": [seconds / 2] * len(said), "texts": said, "peak_rss_mb": peak_mb}


def spec(name: str, **facts: Any) -> ContenderSpec:
    return ContenderSpec(name, "bench_parrot:parrot", **facts)


def task(name: str = "clips", references: Sequence[str] = ("one two three",), seconds: float = 10.0) -> Task:
    items = tuple(TaskItem(Path("none.wav"), seconds, (text,), tokens=(3,)) for text in references)
    return Task(name, items)
