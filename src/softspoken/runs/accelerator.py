"""Where a run computes, and in which precision."""

import sys
from typing import Literal

from accelerate import Accelerator

from softspoken.processor import multiplies_bfloat16


def new_accelerator(precision: Literal["no", "bf16", "fp16"]) -> Accelerator:
    """For training in `precision`; says so where that is the slower one."""
    accelerator = Accelerator(mixed_precision=precision)
    slower = precision == "bf16" and accelerator.device.type == "cpu" and not multiplies_bfloat16()
    if slower and accelerator.is_main_process:
        hint = 'bfloat16 is slower than float32 on this processor; a new run with precision = "no" trains faster'
        print(f"softspoken: {hint}", file=sys.stderr)
    return accelerator
