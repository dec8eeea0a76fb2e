"""What the routes share: the model, the queue, the users, the limits."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter
from fastapi import Depends, Request
from fastapi.requests import HTTPConnection

from softspoken.serve.config import Limits, ServerConfig
from softspoken.serve.metrics import Metrics
from softspoken.serve.problems import Problem, too_busy
from softspoken.serve.scheduler import Scheduler
from softspoken.serve.users import User, Users
from softspoken.serve.work import Backend

T = TypeVar("T")
_LONGEST_WAIT_S = 120
_THREADS = ThreadPoolExecutor(16, thread_name_prefix="serve")
"""More than all limiters of a service let in."""


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


@dataclass
class Service:
    """One running server. It hangs on `app.state.service`."""

    config: ServerConfig
    backend: Backend
    users: Users
    metrics: Metrics
    scheduler: Scheduler
    admission: Admission
    stopping: bool = False
    sockets: int = 0
    """Open for live sound."""
    decoding: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    """Threads that decode uploads,"""
    listening: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """one that makes voices,"""
    telling: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """and one that tells talkers apart, two minutes for an hour of talk, so that none holds up the model's own;"""
    live: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """one for all streams, which are fed in turn with what has come since."""

    @contextmanager
    def socket_open(self) -> Iterator[None]:
        """One more socket."""
        self.sockets += 1
        self.metrics.sockets.set(self.sockets)
        try:
            yield
        finally:
            self.sockets -= 1
            self.metrics.sockets.set(self.sockets)

    @classmethod
    def of(cls, config: ServerConfig, backend: Backend, users: Users) -> "Service":
        metrics = Metrics()
        scheduler = Scheduler(backend, config.limits.rows, metrics.count)
        return cls(config, backend, users, metrics, scheduler, Admission(config.limits, scheduler, metrics))


def service_of(request: HTTPConnection) -> Service:
    """The server that a request or a socket came to."""
    found: Service = request.app.state.service
    return found


def user_of(request: HTTPConnection) -> User:
    """Who asks; Problem (401) for nobody."""
    return service_of(request).users.of(request)


Serving = Annotated[Service, Depends(service_of)]
Asking = Annotated[User, Depends(user_of)]


async def in_thread(work: Callable[[], T], limiter: CapacityLimiter) -> T:
    """Run in a thread; given up, though not stopped, when nobody waits any more.

    Its place is free again when the work has ended, not when it is given up: clients who come and go pile up no work.
    """
    place, loop = object(), asyncio.get_running_loop()

    def leave(ended: object) -> None:
        with suppress(RuntimeError):  # the server has stopped meanwhile
            loop.call_soon_threadsafe(limiter.release_on_behalf_of, place)

    await limiter.acquire_on_behalf_of(place)
    running = _THREADS.submit(work)
    running.add_done_callback(leave)
    return await asyncio.wrap_future(running)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes away (Problem 499, which nobody reads)."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Problem(499, "the client went away")
        return working.result()
    finally:
        watching.cancel()
        working.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
