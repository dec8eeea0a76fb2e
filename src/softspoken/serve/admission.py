"""How much the server takes on at once: a number of requests, and seconds of audio in memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from softspoken.serve.config import Limits
from softspoken.serve.metrics import Metrics
from softspoken.serve.problems import too_busy
from softspoken.serve.scheduler import Scheduler

_LONGEST_WAIT_S = 120


class Admission:
    """Counts what is taken on. Used from the event loop alone."""

    def __init__(self, limits: Limits, scheduler: Scheduler, metrics: Metrics) -> None:
        self._limits, self._scheduler, self._metrics = limits, scheduler, metrics
        self._requests, self._held_s = 0, 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is taken on."""
        return self._requests == 0 and self._held_s == 0.0

    @contextmanager
    def request(self) -> Iterator[None]:
        """One more request. Raises Problem (429, with Retry-After) where there are too many."""
        if self._requests >= self._limits.requests:
            self._refuse(f"{self._requests} requests at once, the limit of this server")
        self._requests += 1
        self._metrics.running.set(self._requests)
        try:
            yield
        finally:
            self._requests -= 1
            self._metrics.running.set(self._requests)

    @contextmanager
    def audio(self, seconds: float) -> Iterator[None]:
        """So much audio more. A recording alone is never too much: `Limits.longest_s` is for that."""
        seconds = round(seconds, 3)
        if self._held_s and self._held_s + seconds > self._limits.held_s:
            self._refuse(f"{self._held_s:.0f} s of audio wait already")
        self._held_s += seconds
        self._metrics.held.set(self._held_s)
        try:
            yield
        finally:
            self._held_s = round(self._held_s - seconds, 3)
            self._metrics.held.set(self._held_s)

    def _refuse(self, why: str) -> None:
        self._metrics.refused.inc()
        raise too_busy(min(max(math.ceil(self._scheduler.wait_s), 1), _LONGEST_WAIT_S), why)
