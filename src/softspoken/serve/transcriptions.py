"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from softspoken.audio import SAMPLE_RATE_HZ, SILENCE_PEAK_DB
from softspoken.errors import ConfigError
from softspoken.languages import language_code
from softspoken.serve.answers import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionVerbose,
    as_diarized,
    as_json,
    as_srt,
    as_verbose,
    as_vtt,
    in_order,
    plain,
    text_of,
)
from softspoken.serve.events import EventStream, events
from softspoken.serve.form import TranscriptionFields, TranslationFields, fields_of, file_of, schema_of
from softspoken.serve.known import named, voices_of
from softspoken.serve.models import check_model
from softspoken.serve.problems import Problem, failures, took_too_long
from softspoken.serve.scheduler import Ticket
from softspoken.serve.service import Asking, Service, Serving, in_thread, while_connected
from softspoken.serve.uploads import decoded, read_form, shown_name
from softspoken.serve.users import User
from softspoken.serve.work import Spoken, Wanted, Waveform

Task = Literal["transcribe", "translate"]
router = APIRouter(tags=["audio"], responses=failures(400, 401, 403, 404, 408, 413, 415, 429, 500, 503, 504, 507))
_TEXTS = {kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/x-subrip", "text/vtt")}
_CONTENT = {**_TEXTS, "text/event-stream": {"schema": {"type": "string"}}}
_WRITTEN = {"description": "As response_format asks; server-sent events with stream.", "content": _CONTENT}


@router.post(
    "/v1/audio/transcriptions",
    openapi_extra=schema_of(TranscriptionFields, "file"),
    responses={200: {**_WRITTEN, "model": Transcription | TranscriptionVerbose | TranscriptionDiarized}},
)
async def transcribe(request: Request, service: Serving, user: Asking) -> Response:
    """The words of a recording: everybody's, by talker, or of some voices alone."""
    return await _answer(request, service, user, TranscriptionFields, "transcribe")


@router.post(
    "/v1/audio/translations",
    openapi_extra=schema_of(TranslationFields, "file"),
    responses={200: {**_WRITTEN, "model": Transcription | TranscriptionVerbose}},
)
async def translate(request: Request, service: Serving, user: Asking) -> Response:
    """The words of a recording in English, where the model can."""
    return await _answer(request, service, user, TranslationFields, "translate")


async def _answer(
    request: Request, service: Service, user: User, kind: type[TranscriptionFields], task: Task
) -> Response:
    async with AsyncExitStack() as held:
        held.enter_context(service.admission.request())
        form = await read_form(request, service.config.limits)
        held.push_async_callback(form.close)
        fields = fields_of(form, kind)
        _check(fields, service, task)
        file = file_of(form)
        limit_s = service.config.limits.request_s
        headers = {"x-softspoken-ignored": ", ".join(fields.ignored)} if fields.ignored else {}
        try:
            async with asyncio.timeout(limit_s):
                decode = partial(decoded, file.file, shown_name(file.filename), service.config.limits.longest_s)
                audio = await while_connected(request, in_thread(partial(decode, sound=False), service.decoding))
                await form.close()
                seconds = audio.size / SAMPLE_RATE_HZ
                _facts(request, fields, seconds)
                held.enter_context(service.admission.audio(seconds))
                wanted = await while_connected(request, _wanted(fields, audio, service, user, task))
                ticket = service.scheduler.submit(wanted, seconds)
                held.callback(ticket.cancel)
                if fields.stream:
                    language, by_talker = language_of(fields, service), _by_talker(fields)
                    watched = _timed(events(ticket, language, limit_s, diarised=by_talker), service)
                    return EventStream(watched, held.pop_all(), headers)
                spoken = in_order(await while_connected(request, _heard(ticket, service)))
        except TimeoutError:
            raise took_too_long(limit_s) from None
        return _rendered(spoken, fields, language_of(fields, service), seconds, task, headers)


def _check(fields: TranscriptionFields, service: Service, task: Task) -> None:
    """Raises Problem for what this model cannot do, before anything is done."""
    backend = service.backend
    check_model(fields.model, service)
    if task == "translate" and not backend.translates:
        raise Problem(400, f"the model {backend.model} does not translate; use /v1/audio/transcriptions", param="model")
    if fields.include:
        told = f"the model {backend.model} gives no log-probabilities of tokens here; leave out include[]"
        raise Problem(400, told, param="include")
    check_fields(fields, service)


def check_fields(fields: TranscriptionFields, service: Service) -> None:
    """Raises Problem for a language or a prompt set that this server does not have."""
    backend = service.backend
    language = language_of(fields, service)
    if language not in backend.languages:
        known = ", ".join(backend.languages[:8]) + (" ..." if len(backend.languages) > 8 else "")
        raise Problem(
            400, f"the model {backend.model} does not write '{language[:40]}'; it has {known}", param="language"
        )
    if fields.prompt_set is not None and fields.prompt_set not in backend.prompt_sets:
        told = f"no prompt set '{fields.prompt_set[:80]}' here; this server has {', '.join(backend.prompt_sets)}"
        raise Problem(400, told, param="prompt_set")


def language_of(fields: TranscriptionFields, service: Service) -> str:
    """The code of the language that is asked for. Problem (400) for none that there is."""
    given = fields.language if fields.language is not None else next(iter(fields.languages), None)
    try:
        return language_code("en" if given is None else given)
    except ConfigError as error:
        raise Problem(400, str(error), param="language") from None


def _by_talker(fields: TranscriptionFields) -> bool:
    """Whether events tell of segments and their talkers."""
    return fields.response_format == "diarized_json"


async def _wanted(fields: TranscriptionFields, audio: Waveform, service: Service, user: User, task: Task) -> Wanted:
    """The voices that are to be followed, found and named."""
    known, alone = await voices_of(fields, service, user)
    common = {"language": language_of(fields, service), "temperature": fields.temperature, "task": task}
    common["words"] = "word" in fields.timestamp_granularities
    if _silent(audio):
        return Wanted(audio, (), **common)  # type: ignore[arg-type]
    voices = None
    if fields.speakers:
        voices = tuple(alone)
    elif fields.diarised:
        talkers = await in_thread(partial(service.backend.talkers, audio), service.telling)
        voices = tuple(named(talkers, known, service.config.match_threshold))
    return Wanted(audio, voices, prompt_set=fields.prompt_set, **common)  # type: ignore[arg-type]


def _silent(audio: Waveform) -> bool:
    """Digital silence, of which a model would only make things up."""
    return float(np.abs(audio).max()) < 10 ** (SILENCE_PEAK_DB / 20)


async def _heard(ticket: Ticket, service: Service) -> list[Spoken]:
    began = time.monotonic()
    spoken: list[Spoken] = []
    while (heard := await ticket.next()) is not None:
        if heard.spoken and not spoken:
            service.metrics.first.observe(time.monotonic() - began)
        spoken += heard.spoken
    return spoken


async def _timed(stream: AsyncIterator[str], service: Service) -> AsyncIterator[str]:
    """The same events; the first one with words is timed."""
    began, waits = time.monotonic(), True
    async for event in stream:
        if waits and event.startswith("data: "):
            service.metrics.first.observe(time.monotonic() - began)
            waits = False
        yield event


def _rendered(
    spoken: list[Spoken],
    fields: TranscriptionFields,
    language: str,
    seconds: float,
    task: Task,
    headers: dict[str, str],
) -> Response:
    content: dict[str, Any]
    if fields.response_format == "text":
        return PlainTextResponse(text_of(spoken, language) + "\n", headers=headers)
    if fields.response_format == "srt":
        return PlainTextResponse(as_srt(spoken), headers=headers, media_type="application/x-subrip")
    if fields.response_format == "vtt":
        return PlainTextResponse(as_vtt(spoken), headers=headers, media_type="text/vtt")
    if fields.response_format == "verbose_json":
        content = plain(as_verbose(spoken, language, seconds, fields.timestamp_granularities, task))
    elif fields.response_format == "diarized_json":
        content = plain(as_diarized(spoken, language, seconds))
    else:
        content = plain(as_json(spoken, language, seconds))
    return JSONResponse(content, headers=headers)


def _facts(request: Request, fields: TranscriptionFields, seconds: float) -> None:
    """What the log may say of the request."""
    request.state.facts = {
        "audio_s": round(seconds, 2),
        "format": fields.response_format,
        "stream": fields.stream,
        "talkers": "some" if fields.speakers else "all" if fields.diarised else "unasked",
    }
