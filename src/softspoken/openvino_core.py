"""The process's one entry to OpenVINO, and what the processor under it has."""

from functools import cache
from pathlib import Path
from typing import Any


@cache
def openvino_core() -> Any:
    """An `openvino.Core`, the same one for all, for as long as the process lives.

    Each `Core` loads OpenVINO's processor plugin, which gives the thread a stack for signal handlers of its own and
    puts the one before back when it is unloaded. Where two cores do not go in the reverse order of their coming, that
    is a stack already freed, and the process dies of its next signal: a child that ends, Ctrl-C.

    Raises ModuleNotFoundError without the package `openvino`.
    """
    import openvino

    return openvino.Core()


@cache
def has_amx() -> bool:
    """Whether the processor has AMX, on which products in bfloat16 take a fraction of float32's time (Linux)."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
