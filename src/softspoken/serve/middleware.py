"""Around every request: its number, its log line, its counts, careful headers, and no scripts of other sites."""

import re
import time
import uuid
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from softspoken.serve import logs
from softspoken.serve.metrics import Metrics
from softspoken.serve.problems import Problem, broken

_SAFE = ("GET", "HEAD", "OPTIONS")
_PORT = re.compile(r":\d*$")
_METHODS = (*_SAFE, "POST", "PATCH", "PUT", "DELETE")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class ByName:
    """Answers under some names alone. Else a page of elsewhere could let its own name lead to this machine, and use the
    server as if it were the server's own page."""

    def __init__(self, app: ASGIApp, names: tuple[str | None, ...]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host", "") if scope["type"] != "lifespan" else None
        if host is None or _PORT.sub("", host).strip("[]").lower() in self._names:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _not_opened(receive, send)
        else:
            told = f"not under the name '{host[:80]}': use localhost, or allow a page with --origin"
            await Problem(403, told, code="foreign_host").response(scope, receive, send)


class Around:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, metrics: Metrics, origins: tuple[str, ...]) -> None:
        self._app, self._metrics, self._origins = app, metrics, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and self._foreign(scope):
            # Browsers open sockets to anybody.
            await _not_opened(receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, number = time.monotonic(), uuid.uuid4().hex[:16]
        status, started = 0, False

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = number
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if self._foreign(scope):
                told = "a script of another site may not use this server; allow its origin with --origin"
                await Problem(403, told, code="foreign_origin").response(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Exception:
            logs.LOGGER.exception("a request failed", extra={"facts": {"request": number}})
            if not started:
                await broken().response(scope, receive, answer)
        finally:
            self._note(scope, number, status, time.monotonic() - began)

    def _foreign(self, scope: Scope) -> bool:
        """Whether a script of another page sends this: browsers say so, and let it happen without asking."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or scope.get("method") in _SAFE or origin in self._origins:
            return False
        return origin.partition("://")[2] != headers.get("host")

    def _note(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if route != "other" and scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        facts: dict[str, Any] = {"request": number, "method": scope["method"], "route": route, "status": status}
        facts |= {"ms": round(1000 * seconds), **scope.get("state", {}).get("facts", {})}
        logs.request(facts)


async def _not_opened(receive: Receive, send: Send) -> None:
    """Refused before it opens, a socket is a 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008})
