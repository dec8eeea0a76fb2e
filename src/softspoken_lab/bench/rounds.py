"""The order of things: every contender once, then every contender once more, so that what the machine does meanwhile
(heat, other programs) meets all of them alike. Ratios are taken within a round.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

from softspoken_lab.bench.contract import AbsentError
from softspoken_lab.bench.specs import ContenderSpec
from softspoken_lab.bench.tasks import Task, TaskItem

REHEARSAL = "rehearsal"
Talk = Callable[[str], None]


@runtime_checkable
class Worker(Protocol):
    """A loaded contender."""

    def ask(self, question: dict[str, Any]) -> dict[str, Any]: ...

    def close(self) -> None: ...


Start = Callable[[ContenderSpec], Worker]
"""Load a contender. Raises AbsentError."""


@dataclass(frozen=True)
class Run:
    """One pass of one contender over all items of a task."""

    seconds: float
    first_s: tuple[float, ...]
    """By item, until its first piece of text was there."""
    texts: tuple[tuple[str, ...], ...]
    """By item and voice."""
    peak_rss_mb: float | None


@dataclass
class Measured:
    """Runs by task and contender, in the order of the rounds; and why others are absent."""

    runs: dict[str, dict[str, list[Run]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def drop(self, contender: str, reason: str) -> None:
        """Take a contender out: half of its rounds can be compared with nobody's."""
        self.absent[contender] = reason
        for runs in self.runs.values():
            runs.pop(contender, None)


def measure(tasks: Sequence[Task], specs: Sequence[ContenderSpec], start: Start, repeats: int, talk: Talk) -> Measured:
    """Load all contenders, warm each up on each task, then `repeats` rounds of all. One that fails is left out."""
    found = Measured({task.name: {} for task in tasks})
    with ExitStack() as open_workers:
        workers: dict[str, Worker] = {}

        def attempt(spec: ContenderSpec, action: Callable[[], None]) -> None:
            try:
                action()
            except AbsentError as error:
                found.drop(spec.name, str(error))
                talk(f"{spec.name}: {error}")

        def load(spec: ContenderSpec) -> None:
            workers[spec.name] = start(spec)
            open_workers.callback(workers[spec.name].close)

        def prepare(spec: ContenderSpec, name: str, items: Sequence[TaskItem], held: bool) -> None:
            described = [item.as_question() for item in items]
            workers[spec.name].ask({"op": "prepare", "task": name, "held": held, "items": described})

        def run(spec: ContenderSpec, name: str) -> Run:
            return _run_of(workers[spec.name].ask({"op": "run", "task": name, "together": spec.together}))

        def rehearse(spec: ContenderSpec, task: Task) -> None:
            if task.rehearsal is not None:
                prepare(spec, REHEARSAL, task.rehearsal, task.held)
            prepare(spec, task.name, task.items, task.held)
            run(spec, task.name if task.rehearsal is None else REHEARSAL)

        def count(spec: ContenderSpec, task: Task) -> None:
            found.runs[task.name].setdefault(spec.name, []).append(run(spec, task.name))

        def present() -> list[ContenderSpec]:
            return [spec for spec in specs if spec.name not in found.absent]

        for spec in specs:
            talk(f"loading {spec.name}")
            attempt(spec, partial(load, spec))
        for task in tasks:
            for spec in present():
                talk(f"{task.name}: warming up {spec.name}")
                attempt(spec, partial(rehearse, spec, task))
        for number in range(repeats):
            for task in tasks:
                for spec in present():
                    talk(f"{task.name}: round {number + 1} of {repeats}, {spec.name}")
                    attempt(spec, partial(count, spec, task))
    return found


def _run_of(answer: dict[str, Any]) -> Run:
    texts = tuple(tuple(voices) for voices in answer["texts"])
    return Run(answer["seconds"], tuple(answer["first_s"]), texts, answer["peak_rss_mb"])
