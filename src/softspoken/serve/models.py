"""`GET /v1/models`: one model, under its own name and under the names that clients were written for."""

from typing import Any

from fastapi import APIRouter

from softspoken.serve.problems import Problem, failures
from softspoken.serve.service import Asking, Service, Serving

ALIASES = (
    "softspoken",
    "softspoken-diarize",
    "whisper-1",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-transcribe-diarize",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
)
"""Names that all mean the model that is loaded; one that ends in -diarize tells talkers apart."""

router = APIRouter(tags=["models"], responses=failures(401))


def names(service: Service) -> tuple[str, ...]:
    """What `model` may be."""
    return (service.backend.model, *ALIASES)


def check_model(name: str, service: Service) -> None:
    """Raises Problem (404) for a name that means nothing here."""
    if name not in names(service):
        told = f"no model '{name[:80]}' here; this server has {', '.join(names(service))}"
        raise Problem(404, told, code="model_not_found", param="model")


@router.get("/v1/models")
async def list_models(service: Serving, user: Asking) -> dict[str, Any]:
    """All names."""
    return {"object": "list", "data": [_model(name) for name in names(service)]}


@router.get("/v1/models/{name:path}", responses=failures(404, 422))
async def one_model(name: str, service: Serving, user: Asking) -> dict[str, Any]:
    """One of them."""
    check_model(name, service)
    return _model(name)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "softspoken"}
