"""How a run is shown while it goes on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from softspoken.training.config import LoopConfig
from softspoken.training.loop import Report, TrainingStopped


@contextmanager
def progress_bar(config: LoopConfig, stop_after_s: float | None) -> Iterator[Report]:
    """Loss, development figures, speed and time left on stderr."""
    begun = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    shown: dict[str, float] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=config.steps, figures="")

        def report(step: int, steps: int, figures: dict[str, float]) -> None:
            shown.update(figures)
            parts = {
                "loss": "loss",
                "valid/gap": "gap",
                "valid/wer": "wer",
                "valid/clean_wer": "clean wer",
                "valid/noisy_wer": "noisy wer",
                "examples_per_s": "examples/s",
            }
            text = "  ".join(f"{label} {shown[name]:.3g}" for name, label in parts.items() if name in shown)
            bar.update(task, completed=step, figures=text)
            if stop_after_s is not None and time.monotonic() - begun > stop_after_s and step < steps:
                raise TrainingStopped

        yield report
