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
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("time left"),
        TimeRemainingColumn(),
    )
    logs = not talk.is_terminal
    said = time.monotonic()
    # Items of a few seconds each: the last five minutes say how fast it is.
    with Progress(*columns, console=talk, disable=logs, transient=True, speed_estimate_period=300) as bar:
        bar.add_task("", total=sum(applies.values()))
        (work,) = bar.tasks

        def shown(method: "Method") -> "Callable[[Sequence[EvaluationItem]], Iterator[EvaluationItem]]":
            def through(left: "Sequence[EvaluationItem]") -> "Iterator[EvaluationItem]":
                nonlocal said
                kept = applies[method.name] - len(left)
                if kept:
                    say(f"{method.name}: {kept} of {applies[method.name]} answers are kept from before")
                total = (work.total or 0) - kept
                bar.update(work.id, description=method.name, total=total)
                for item in left:
                    yield item
                    bar.advance(work.id)
                    if logs and time.monotonic() - said >= LINE_EVERY_S:
                        said = time.monotonic()
                        left_s = (work.elapsed or 0) / work.completed * (total - work.completed)
                        say(f"{method.name}: {work.completed:g} of {total:g} items, about {_in_words(left_s)} left")

            return through

        def say(text: str) -> None:
            bar.console.print(text, soft_wrap=True, highlight=False, markup=False)

        yield shown


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
