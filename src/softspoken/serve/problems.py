"""Errors as OpenAI's clients expect them: `{"error": {message, type, param, code}}`, without a path or a trace."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from softspoken.errors import BackboneError, SoftspokenError, StoreUnavailable
from softspoken.serve import logs

KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Fault(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Failure(BaseModel):
    """The body of every error."""

    error: Fault


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document: the errors that a route may answer with."""
    return {status: {"model": Failure, "description": HTTPStatus(status).phrase} for status in statuses}


class Problem(Exception):
    """What a client is told instead of an answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = {} if headers is None else headers

    @property
    def body(self) -> dict[str, Any]:
        kind = KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, self.headers)


def too_busy(wait_s: int, message: str = "too many requests at once") -> Problem:
    """Come back in `wait_s` seconds."""
    told = f"{message}; try again in {wait_s} s"
    return Problem(429, told, code="server_busy", headers={"Retry-After": str(wait_s)})


def took_too_long(limit_s: float) -> Problem:
    """Clients should not try the same again."""
    told = f"not done after {limit_s:g} s, the limit of this server; send a shorter recording"
    return Problem(504, told, code="time_limit", headers={"x-should-retry": "false"})


def broken() -> Problem:
    """The server's own fault; what happened stands in its log."""
    return Problem(500, "something went wrong in the server; its log says what", code="internal_error")


def told_of(error: Exception) -> Problem:
    """What a client is told of an error: its own mistakes in full; of the server's, only that there was one."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StoreUnavailable):
        return without_store(error)
    if isinstance(error, SoftspokenError) and not isinstance(error, BackboneError):
        return Problem(400, str(error))
    logs.LOGGER.error("the server failed", exc_info=error)
    return broken()


def without_store(error: StoreUnavailable) -> Problem:
    """Why is for the log, without the name of a file."""
    cause = error.__cause__
    reason = cause.strerror if isinstance(cause, OSError) else str(cause)
    logs.LOGGER.error("the store of voices cannot be used", extra={"facts": {"reason": reason}})
    told = "the enrolled voices cannot be read or written now; try again later"
    return Problem(503, told, code="store_unavailable", headers={"Retry-After": "10"})


def install(app: FastAPI) -> None:
    """Answer every error in one shape."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        return told_of(error).response

    async def http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request)):
            headers["Allow"] = ", ".join(methods)
        return Problem(error.status_code, str(error.detail), headers=headers).response

    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return of_validation(error.errors(), status=422).response

    for kind in (Problem, SoftspokenError):
        app.add_exception_handler(kind, known)
    app.add_exception_handler(HTTPException, http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, invalid)  # type: ignore[arg-type]


def _methods(request: Request) -> list[str]:
    """All that is documented for the address; a router that refuses a method names those of one route only."""
    documented = request.app.openapi()["paths"].items()
    here = [operations for path, operations in documented if compile_path(path)[0].match(request.url.path)]
    return sorted({method.upper() for operations in here for method in operations})


def of_validation(errors: Any, status: int = 400, *, nested: bool = False) -> Problem:
    """The first of pydantic's complaints as one line. `nested`: fields have fields, and the whole way is told."""
    first = errors[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    param = (".".join(place) if nested else place[0]) if place else None
    message = first["msg"].removeprefix("Value error, ")
    return Problem(status, f"{param}: {message}" if param else message, param=param)
