"""`/v1/voices`: enrol, list, rename, export and forget voices. Each user sees their own."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import FormData, UploadFile

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import AudioError, EnrolmentError, SpeakerNotFound, StoreUnavailable
from softspoken.serve.form import read_json, schema_of
from softspoken.serve.problems import Problem, failures, of_validation
from softspoken.serve.service import Asking, Service, Serving, in_thread, while_connected
from softspoken.serve.uploads import decoded, read_body, read_form, shown_name
from softspoken.serve.users import User
from softspoken.speakers import Enrolment
from softspoken.speakers.enrolment import LONGEST_NAME, checked_name, to_json

_CONSENT = "consent: "
"""A voice keeps the text as one of its sources, so that it goes wherever the voice goes."""
_LONGEST_CONSENT = 1000
_LONGEST_CLIP_S = 600.0
_NAMED = "What a voice is called; 1 to 64 printable characters without / and \\."
_NAME_SCHEMA: dict[str, Any] = {"minLength": 1, "maxLength": LONGEST_NAME, "pattern": r"^[^/\\]+$"}
_FOR_TERMINALS = (", --from and --to choose it", ", or replace it with --replace", "; set SOFTSPOKEN_HOME")

T = TypeVar("T")
router = APIRouter(prefix="/v1/voices", tags=["voices"], responses=failures(401, 503))
Name = Annotated[str, Path(description=_NAMED, json_schema_extra=_NAME_SCHEMA)]
"""A voice in an address."""


class VoiceFields(BaseModel):
    """The fields of an enrolment but its clips, which are sent as `file`, once or several times."""

    name: str = Field(description=_NAMED, json_schema_extra=_NAME_SCHEMA)
    consent: str | None = Field(
        default=None, max_length=_LONGEST_CONSENT, description="What the person agreed to. Kept with the voice."
    )
    keep_clip: bool = Field(default=True, description="Keep up to 30 s of the sound, for prompts that hear it.")
    replace: bool = Field(default=False, description="Replace a voice of the same name.")


class NewName(BaseModel):
    """A change of a voice."""

    name: str = Field(description=_NAMED, json_schema_extra=_NAME_SCHEMA)


class Voice(BaseModel):
    """What is shown of a voice: nothing from which it could be made again."""

    object: str = "voice"
    name: str
    created: str
    embedder: str
    speech_s: float
    clip_s: float
    consent: str | None
    sources: list[str]
    warnings: list[str]


@router.get("")
async def list_voices(service: Serving, user: Asking) -> dict[str, Any]:
    """All voices of the user, by name."""
    voices = await _at_store(service, user.store.list)
    return {"object": "list", "data": [_shown(voice).model_dump() for voice in voices]}


@router.post(
    "",
    status_code=201,
    openapi_extra=schema_of(VoiceFields, "file"),
    responses=failures(400, 403, 408, 409, 413, 415, 422, 429, 507),
)
async def enrol(request: Request, service: Serving, user: Asking) -> Voice:
    """Learn a voice from clips of it alone, with 3 s of speech or more each; 10 s is better."""
    async with AsyncExitStack() as held:
        held.enter_context(service.admission.request())
        form = await read_form(request, service.config.limits)
        held.push_async_callback(form.close)
        fields = _fields(form)
        clips = [one for one in (*form.getlist("file"), *form.getlist("file[]")) if isinstance(one, UploadFile)]
        if not clips:
            raise Problem(422, "file: no clip in the form; send one of the voice alone, of 10 s or so", param="file")
        make = partial(_enrolled, fields, clips, service, user)
        return _shown(await while_connected(request, in_thread(make, service.listening)))


@router.get("/{name}", responses=failures(404, 422))
async def show(name: Name, service: Serving, user: Asking) -> Voice:
    """What is kept of one voice."""
    return _shown(await _at_store(service, partial(user.store.get, name)))


@router.patch(
    "/{name}",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": NewName.model_json_schema()}}}
    },
    responses=failures(400, 403, 404, 408, 409, 413, 422),
)
async def rename(name: Name, request: Request, service: Serving, user: Asking) -> Voice:
    """Give a voice another name."""
    # Read here and not by FastAPI, which would read any amount of it, and before it looks at the key.
    content = await read_body(request, service.config.limits)
    try:
        change = NewName.model_validate(read_json(content))
    except ValidationError as error:
        raise of_validation(error.errors(), status=422) from None
    except ValueError:
        raise Problem(422, 'expected JSON such as {"name": "ada"}') from None

    def renamed() -> Enrolment:
        new_name = checked_name(change.name)
        _refuse_taken(new_name, user, but=checked_name(name))
        user.store.rename(name, new_name)
        return user.store.get(new_name)

    return _shown(await _at_store(service, renamed))


@router.delete("/{name}", responses=failures(403, 404, 422))
async def forget(name: Name, service: Serving, user: Asking) -> dict[str, Any]:
    """Forget a voice: its vector, its clip, and what the person agreed to."""
    await _at_store(service, partial(user.store.delete, name))
    return {"object": "voice", "name": name, "deleted": True}


@router.get("/{name}/export", responses=failures(404, 422))
async def export(name: Name, service: Serving, user: Asking) -> Response:
    """All that is known of a voice, for `POST /v1/voices/import` or `softspoken speaker import`."""
    voice = await _at_store(service, partial(user.store.get, name))
    headers = {"Content-Disposition": 'attachment; filename="voice.json"', "Cache-Control": "no-store"}
    return Response(to_json([voice]), media_type="application/json", headers=headers)


@router.post(
    "/import",
    status_code=201,
    openapi_extra={"requestBody": {"content": {"application/json": {}}}},
    responses=failures(403, 408, 413, 422, 429),
)
async def import_voices(request: Request, service: Serving, user: Asking) -> JSONResponse:
    """Take in exported voices, all or none."""
    with service.admission.request():
        content = await read_body(request, service.config.limits)
        text = content.decode("utf-8", errors="replace")
        voices = await _at_store(service, partial(user.store.import_json, text))
    return JSONResponse({"object": "list", "data": [_shown(voice).model_dump() for voice in voices]}, 201)


def _fields(form: FormData) -> VoiceFields:
    given = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    try:
        fields = VoiceFields.model_validate(given)
        return fields.model_copy(update={"name": checked_name(fields.name)})
    except ValidationError as error:
        raise of_validation(error.errors(), status=422) from None
    except EnrolmentError as error:
        raise Problem(422, f"name: {error}", param="name") from None


def _enrolled(fields: VoiceFields, clips: list[UploadFile], service: Service, user: User) -> Enrolment:
    """The voice, checked and kept."""
    if not fields.replace:
        _refuse_taken(fields.name, user)
    try:
        heard = [
            (shown_name(clip.filename), decoded(clip.file, shown_name(clip.filename), _LONGEST_CLIP_S))
            for clip in clips
        ]
        made = service.backend.enrol(fields.name, heard)
    except (AudioError, EnrolmentError) as error:
        raise Problem(422, f"file: {_for_clients(str(error))}", param="file") from None
    agreed = () if not fields.consent else (_CONSENT + " ".join(fields.consent.split()),)
    voice = replace(
        made,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        sources=(*made.sources, *agreed),
        clip=made.clip if fields.keep_clip else None,
    )
    user.store.add([voice], replace=fields.replace)
    return voice


def _refuse_taken(name: str, user: User, but: str | None = None) -> None:
    if name != but and name in user.store.names():
        told = f"a voice '{name}' is enrolled already; choose another name, or send replace=true"
        raise Problem(409, told, param="name", code="name_taken")


async def _at_store(service: Service, work: Callable[[], T]) -> T:
    """Run on the user's store; its errors as a client may see them, without the path of a file."""
    try:
        return await in_thread(work, service.decoding)
    except SpeakerNotFound:
        told = "no voice of this name is enrolled here; GET /v1/voices lists those that are"
        raise Problem(404, told, param="name", code="voice_not_found") from None
    except StoreUnavailable:
        raise
    except EnrolmentError as error:
        raise Problem(422, _for_clients(str(error))) from None


def _for_clients(message: str) -> str:
    """An error without what only a terminal can do."""
    for part in _FOR_TERMINALS:
        message = message.replace(part, "")
    return message


def _shown(voice: Enrolment) -> Voice:
    agreed = [source for source in voice.sources if source.startswith(_CONSENT)]
    return Voice(
        name=voice.name,
        created=voice.created,
        embedder=voice.embedder,
        speech_s=round(voice.speech_s, 2),
        clip_s=0.0 if voice.clip is None else round(len(voice.clip) / SAMPLE_RATE_HZ, 2),
        consent=agreed[0].removeprefix(_CONSENT) if agreed else None,
        sources=[source for source in voice.sources if source not in agreed],
        warnings=[_for_clients(warning) for warning in voice.warnings],
    )
