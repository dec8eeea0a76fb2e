"""How far a long piece of work is, on one line of a terminal that goes away again."""

import sys
import time
from collections.abc import Callable

PATIENCE_S = 3.0
"""Shorter work says nothing."""


class Progress:
    """Says how much of a recording is done and how long the rest will take, from three seconds on."""

    def __init__(
        self, what: str, whole: float | None, before: float = 0.0, shown: Callable[[float], str] | None = None
    ) -> None:
        """`whole`: seconds of the recording, None where nobody knows; or an amount of something else, which `shown`
        writes; `before`: of it, done by an earlier run."""
        self._what, self._whole, self._before = what, whole, before
        self._write = clock if shown is None else shown
        self._begin_s = time.monotonic()
        self._shown = False

    def __call__(self, done: float) -> None:
        """`done`: as much of it is done, what was done before included."""
        passed_s = time.monotonic() - self._begin_s
        if passed_s < PATIENCE_S or not sys.stderr.isatty():
            return
        text = f"{self._what}: {self._write(done)}"
        if self._whole:
            text = f"{self._what}: {100 * min(done / self._whole, 1.0):.0f} % of {self._write(self._whole)}"
            if done > self._before:
                text += f", {clock(passed_s * max(self._whole - done, 0.0) / (done - self._before))} left"
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Make room for something else."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


def clock(seconds: float) -> str:
    """3723.4 as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
