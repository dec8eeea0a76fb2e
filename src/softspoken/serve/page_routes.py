"""The page at `/`, and what it has to know of the server."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

from softspoken.serve.service import Serving

FOLDER = Path(__file__).parent / "page"
_FRESH = {"Cache-Control": "no-cache"}
"""Browsers ask each time whether there is a newer one."""

router = APIRouter()


class Files(StaticFiles):
    """The page's files, asked for anew after an update."""

    def file_response(self, *given: Any, **named: Any) -> Any:
        answer = super().file_response(*given, **named)
        answer.headers.update(_FRESH)
        return answer


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return FileResponse(FOLDER / "index.html", headers=_FRESH)


@router.get("/v1/server", tags=["state"])
async def about(service: Serving) -> dict[str, Any]:
    """What this server has and takes. Needs no key, for it says nothing of anybody."""
    backend, limits = service.backend, service.config.limits
    return {
        "model": backend.model,
        "prompt_sets": list(backend.prompt_sets),
        "languages": list(backend.languages),
        "translates": backend.translates,
        "needs_key": not service.users.open,
        "limits": {
            "upload_mb": limits.upload_mb,
            "longest_s": limits.longest_s,
            "known_speakers": limits.known_speakers,
        },
    }
