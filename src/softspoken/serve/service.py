"""What the routes share: the model, the queue, the users, the limits."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import anyio
from anyio import CapacityLimiter
from fastapi import Depends, Request
from fastapi.requests import HTTPConnection

from softspoken.serve.admission import Admission
from softspoken.serve.config import ServerConfig
from softspoken.serve.metrics import Metrics
from softspoken.serve.problems import Problem
from softspoken.serve.scheduler import Scheduler
from softspoken.serve.users import User, Users
from softspoken.serve.work import Backend

T = TypeVar("T")


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
    """and one that makes voices and tells talkers apart, so that neither holds up the model's own;"""
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
    """Run in a thread; given up, though not stopped, when nobody waits any more."""
    return await anyio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)


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
