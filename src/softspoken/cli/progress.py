"""How far a long piece of work is, on one line of a terminal that goes away again."""

import sys
import time

PATIENCE_S = 3.0
"""Shorter work says nothing."""


class Progress:
    """Says how much of a recording is done and how long the rest will take, from three seconds on."""

    def __init__(self, what: str, whole_s: float | None) -> None:
        self._what, self._whole_s = what, whole_s
        self._begin_s = time.monotonic()
        self._shown = False

    def __call__(self, done_s: float) -> None:
        """`done_s`: seconds of the recording."""
        passed_s = time.monotonic() - self._begin_s
        if passed_s < PATIENCE_S or not sys.stderr.isatty():
            return
        text = f"{self._what}: {clock(done_s)}"
        if self._whole_s:
            share = min(done_s / self._whole_s, 1.0)
            text = f"{self._what}: {100 * share:.0f} % of {clock(self._whole_s)}"
            if share > 0:
                text += f", {clock(passed_s * (1 - share) / share)} left"
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
