"""How a benchmark is run: one frozen set of choices, the only place where the defaults are written."""

import os
from pathlib import Path

from pydantic import Field

from softspoken.frozen import Frozen


def usable_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    count = os.cpu_count()
    return 1 if count is None else count


class BenchConfig(Frozen):
    """What a suite needs to know besides its name and the backbone."""

    speech: Path | None = None
    """A prepared speech manifest, whose test split is transcribed; None: the recordings that the package carries."""
    items: int = Field(default=8, ge=1)
    """Clips of the suite short-clips; a fourth as many windows or mixtures. Fewer where there are no more."""
    minutes: tuple[float, ...] = (5.0,)
    """Length of each recording of the suite long; its memory is compared with that of the first."""
    repeats: int = Field(default=5, ge=1)
    """Rounds that count; one more, before them, does not."""
    threads: int = Field(default_factory=usable_cores, ge=1)
    """Threads of every contender."""
    peers: tuple[str, ...] | None = None
    """Names of the peers wanted; None: all that are installed."""
    engines: tuple[str, ...] | None = None
    """Of ours, as 'openvino-int8'; None: all."""
    seed: int = 0
    """Seed that chooses the clips."""
    timeout_s: float = Field(default=7200.0, gt=0)
    """A contender that takes longer for one answer is taken out."""
