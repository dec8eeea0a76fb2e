"""The server as a process: uvicorn, with clients that stay silent shown the door, and an orderly end."""

import asyncio
import contextlib
import ctypes
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from softspoken.serve import logs
from softspoken.serve.config import LOOPBACK, ServerConfig
from softspoken.serve.middleware import ByName

M_ARENA_MAX = -8
"""glibc's number for it, `malloc.h`."""


def share_freed_memory() -> None:
    """Let all threads take memory from the same two pools, where the C library is glibc.

    It gives each thread a pool of its own, up to 16 on two cores, and none gets what another has freed: a server under
    load then grows for as long as it runs.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


class Server(uvicorn.Server):
    """Says from the first signal on that it is not ready, and lets requests in flight end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._app.state.service.stopping = True
        super().handle_exit(sig, frame)


def protocol(silent_s: float) -> type[H11Protocol]:
    """HTTP/1.1, where a connection that has sent no whole request head for `silent_s` seconds is closed."""

    class Protocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._deadline = self.loop.call_later(silent_s, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_deadline()
            super().connection_lost(exc)

        def handle_websocket_upgrade(self, event: Any) -> None:
            # The connection is the socket's now, which has a limit of its own and never tells this object of its end.
            self._forget_deadline()
            super().handle_websocket_upgrade(event)

        def _forget_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()

        def _give_up(self) -> None:
            # uvicorn's own timeout takes over after the first request.
            if getattr(self, "cycle", None) is None and not self.transport.is_closing():
                self.transport.close()

    return Protocol


def _by_name(app: FastAPI, config: ServerConfig) -> ASGIApp:
    """The application under this machine's own names, where only this machine reaches it and no key is asked for."""
    if config.keys is not None or config.host not in LOOPBACK:
        return app
    return ByName(app, (*LOOPBACK, *(urlsplit(origin).hostname for origin in config.origins)))


def server_of(app: FastAPI, config: ServerConfig) -> Server:
    """Ready to run."""
    return Server(
        uvicorn.Config(
            _by_name(app, config),
            host=config.host,
            port=config.port,
            http=protocol(config.limits.silent_client_s),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=round(config.stop_s),
        ),
        app,
    )


def run(app: FastAPI, config: ServerConfig) -> None:
    """Serve until a signal comes."""
    logs.write_json_lines()
    share_freed_memory()
    server_of(app, config).run()
