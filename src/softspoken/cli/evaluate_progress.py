"""How far an evaluation is, and how long it still takes: a bar on stderr; in a log, a line now and then."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from softspoken.evaluation.manifest import EvaluationItem
    from softspoken.evaluation.runner import Method

    Shown = Callable[[Method], Callable[[Sequence[EvaluationItem]], Iterator[EvaluationItem]]]
    """A method to what `run_method` calls `progress`."""

LINE_EVERY_S = 30.0


@contextmanager
def progress_of(methods: "Sequence[Method]", items: "Sequence[EvaluationItem]", talk: "Console") -> "Iterator[Shown]":
    """Shows all methods as one work. Answers that are kept from before are said, and are not counted as done now."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    applies = {method.name: sum(method.applies(item) for item in items) for method in methods}
    lines = None if talk.is_terminal else _Lines(talk, sum(applies.values()))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("time left"),
        TimeRemainingColumn(),
    )
    # Items of a few seconds each: the last five minutes say how fast it is.
    with Progress(*columns, console=talk, disable=lines is not None, transient=True, speed_estimate_period=300) as bar:
        task = bar.add_task("", total=sum(applies.values()))

        def shown(method: "Method") -> "Callable[[Sequence[EvaluationItem]], Iterator[EvaluationItem]]":
            def through(left: "Sequence[EvaluationItem]") -> "Iterator[EvaluationItem]":
                kept = applies[method.name] - len(left)
                if kept:
                    bar.console.print(
                        f"{method.name}: {kept} of {applies[method.name]} answers are kept from before",
                        soft_wrap=True,
                        highlight=False,
                        markup=False,
                    )
                total = bar.tasks[0].total
                bar.update(task, description=method.name, total=None if total is None else total - kept)
                if lines is not None:
                    lines.total -= kept
                for item in left:
                    yield item
                    bar.advance(task)
                    if lines is not None:
                        lines.one_more(method.name)

            return through

        yield shown


class _Lines:
    """For a log: a line every half a minute."""

    def __init__(self, talk: "Console", total: int) -> None:
        self.total = total
        self._talk = talk
        self._done = 0
        self._begun = self._said = time.monotonic()

    def one_more(self, name: str) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said < LINE_EVERY_S:
            return
        self._said = now
        left_s = (now - self._begun) / self._done * (self.total - self._done)
        self._talk.print(
            f"{name}: {self._done} of {self.total} items, about {_in_words(left_s)} left", highlight=False, markup=False
        )


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
