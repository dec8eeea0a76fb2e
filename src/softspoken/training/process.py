"""What surrounds the loop: the device and its precision, and a bar that shows the progress."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from softspoken.cpu import multiplies_bfloat16
from softspoken.training.config import LoopConfig
from softspoken.training.loop import Report, TrainingStopped


def new_accelerator(precision: Literal["no", "bf16", "fp16"]) -> Accelerator:
    """For training in `precision`; says so where that is the slower one."""
    accelerator = Accelerator(mixed_precision=precision)
    if accelerator.device.type == "cuda":
        # Every batch has a shape of its own: cuDNN plans its attention anew for each, which takes most of the time, and
        # has failed on an H100. The other kernels need no plan.
        torch.backends.cuda.enable_cudnn_sdp(False)
    slower = precision == "bf16" and accelerator.device.type == "cpu" and not multiplies_bfloat16()
    if slower and accelerator.is_main_process:
        hint = 'bfloat16 is slower than float32 on this processor; a new run with precision = "no" trains faster'
        print(f"softspoken: {hint}", file=sys.stderr)
    return accelerator


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
