"""The application: routes, errors, the queue's life."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPBearer

from softspoken import __version__
from softspoken.serve import models, page_routes, problems, realtime, sockets, transcriptions, voices
from softspoken.serve.config import ServerConfig
from softspoken.serve.metrics import CONTENT_TYPE
from softspoken.serve.middleware import Around
from softspoken.serve.problems import Problem
from softspoken.serve.service import Service, Serving
from softspoken.serve.users import Users, read_keys
from softspoken.serve.work import Backend


def create_app(backend: Backend, config: ServerConfig | None = None) -> FastAPI:
    """The server's ASGI application, for a model that is loaded.

    Raises ConfigError for a file of keys that cannot be used.
    """
    config = ServerConfig() if config is None else config
    users = Users(None if config.keys is None else read_keys(config.keys), config.data)
    service = Service.of(config, backend, users)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        service.scheduler.start()
        yield
        service.stopping = True
        service.scheduler.stop()

    app = FastAPI(title="softspoken", version=__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_middleware(
        CORSMiddleware,
        allow_origins=config.origins,
        allow_methods=["*"],
        allow_headers=["*"],  # OpenAI's client for pages sends a dozen of its own
    )
    app.add_middleware(Around, metrics=service.metrics, origins=config.origins)
    problems.install(app)
    # `user_of` looks at the key; this is for the document.
    with_key = [] if users.open else [Security(HTTPBearer(auto_error=False, description="A key of this server."))]
    for part in (transcriptions, models, voices):
        app.include_router(part.router, dependencies=with_key)
    for part in (realtime, sockets, page_routes):
        app.include_router(part.router)
    app.mount("/page", page_routes.Files(directory=page_routes.FOLDER), name="page")
    app.get("/health", tags=["state"], responses=problems.failures(503))(health)
    app.get("/ready", tags=["state"], responses=problems.failures(503))(ready)
    app.get("/metrics", tags=["state"], response_class=PlainTextResponse)(metrics)
    return app


async def health(service: Serving) -> dict[str, str]:
    """Whether the server lives: 503 when its model's thread has died."""
    if not service.scheduler.alive and not service.stopping:
        raise Problem(503, "the model's thread has died; start the server again")
    return {"status": "ok"}


async def ready(service: Serving) -> dict[str, str | int]:
    """Whether it takes requests: 503 while it stops."""
    if service.stopping or not service.scheduler.alive:
        raise Problem(503, "the server is stopping", headers={"Retry-After": "10"})
    return {"status": "ready", "model": service.backend.model, "waiting": service.scheduler.waiting}


async def metrics(service: Serving) -> Response:
    """For Prometheus."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)
