"""Live sound over sockets: what `/v1/listen` and `/v1/realtime` share, and the plain `/v1/listen`."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, WebSocket
from pydantic import BaseModel, Field, ValidationError
from starlette.websockets import WebSocketDisconnect, WebSocketState

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.audio.streams import BytesToSamples, Encoding
from softspoken.live import Confirmed, LiveEvent, Pace, Partial, Said
from softspoken.serve import logs
from softspoken.serve.form import TranscriptionFields, read_json
from softspoken.serve.known import voices_of
from softspoken.serve.problems import Problem, of_validation, told_of, too_busy
from softspoken.serve.service import Service, in_thread, service_of, user_of
from softspoken.serve.transcriptions import check_fields, language_of
from softspoken.serve.users import User
from softspoken.serve.work import Live, Waveform

_PROTOCOL = "realtime"
router = APIRouter(tags=["live"])
Tell = Callable[[list[LiveEvent]], Awaitable[None]]


class Stream:
    """One socket's sound on its way to the model. Nothing is loaded or held until some comes."""

    def __init__(self, service: Service, user: User, tell: Tell) -> None:
        """`tell`: called with what is heard."""
        self._service, self._user, self._tell = service, user, tell
        self._start: Callable[[], Live] = partial(service.backend.live, None, "en", None)
        self._live: Live | None = None
        self._waiting: list[Waveform] = []
        self._changed = asyncio.Condition()
        self._finishing = False
        self._hearing = False
        self._cleared = 0
        self.heard_s = 0.0

    async def follow(self, fields: TranscriptionFields) -> None:
        """From now on these voices (none: everybody). Raises Problem for voices that cannot be followed."""
        await self.finish()
        service = self._service
        known, alone = await voices_of(fields, service, self._user)
        voices = tuple(alone) if fields.speakers else tuple(known) if known else None
        self._start = partial(service.backend.live, voices, language_of(fields, service), fields.prompt_set)
        self._live = None

    async def feed(self, samples: Waveform) -> None:
        """More sound (16 kHz). Waits while too much of it waits."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._held_s < self._service.config.limits.behind_s)
            self._waiting.append(samples)
            self._changed.notify_all()

    async def finish(self) -> None:
        """Wait until all that was fed is heard and confirmed."""
        async with self._changed:
            if self._live is None and not self._waiting and not self._hearing:
                return
            self._finishing = True
            self._changed.notify_all()
            await self._changed.wait_for(lambda: not self._finishing)

    async def clear(self) -> None:
        """Forget what has not been heard yet, and what was not confirmed."""
        async with self._changed:
            self._waiting.clear()
            self._live = None
            self._cleared += 1

    async def run(self) -> None:
        """Hand over what has come, all at once, as often as the model is free."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting or self._finishing)
                samples, self._waiting = self._waiting, []
                ends, self._hearing = self._finishing, True
                self._changed.notify_all()
            await self._hear(samples, ends)
            async with self._changed:
                self._hearing = False
                self._finishing = self._finishing and not ends
                self._changed.notify_all()

    async def _hear(self, samples: list[Waveform], ends: bool) -> None:
        if self._live is None:
            if not samples:
                return
            before = self._cleared
            begun = await in_thread(self._start, self._service.listening)
            if self._cleared != before:
                return
            self._live = begun
        live, sound = self._live, np.concatenate([np.zeros(0, np.float32), *samples])

        def heard() -> list[LiveEvent]:
            events = live.feed(sound) if sound.size else []
            return [*events, *live.finish()] if ends else events

        events = await in_thread(heard, self._service.live)
        self.heard_s += sound.size / SAMPLE_RATE_HZ
        self._service.metrics.streamed.inc(sound.size / SAMPLE_RATE_HZ)
        # What was to be forgotten meanwhile is not told.
        if events and self._live is live:
            await self._tell(events)

    @property
    def _held_s(self) -> float:
        return sum(part.size for part in self._waiting) / SAMPLE_RATE_HZ


async def converse(
    socket: WebSocket,
    talk: Callable[[Stream], Awaitable[None]],
    tell: Tell,
    fail: Callable[[Problem], Awaitable[None]],
) -> None:
    """Open a socket for a user, within the limits, and run `talk` on its stream until one of the two ends.

    `tell`: sends what is heard; `fail`: sends a problem, before the socket is closed.
    """
    service = service_of(socket)
    try:
        user = _admitted(socket, service)
    except Problem as error:
        await socket.send_denial_response(error.response)
        return
    # Browsers that offer protocols, among them a key, want one of them.
    await socket.accept(_PROTOCOL if _PROTOCOL in socket.scope["subprotocols"] else None)
    stream = Stream(service, user, tell)
    with service.socket_open():
        tasks = asyncio.ensure_future(talk(stream)), asyncio.ensure_future(stream.run())
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await _end(socket, fail, done.pop().exception())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    logs.request({"route": socket.scope["route"].path, "audio_s": round(stream.heard_s, 2)})


def _admitted(socket: WebSocket, service: Service) -> User:
    """Who asks. Raises Problem: nobody (401), too many (429), or too late (503)."""
    user = user_of(socket)
    if service.stopping:
        raise Problem(503, "the server is stopping", headers={"Retry-After": "10"})
    most = service.config.limits.sockets
    if service.sockets >= most:
        service.metrics.refused.inc()
        raise too_busy(30, f"{most} sockets are open, the limit of this server")
    return user


async def received(socket: WebSocket) -> dict[str, Any]:
    """The next message. Raises WebSocketDisconnect, or Problem (408) for a socket from which nothing comes."""
    limit_s = service_of(socket).config.limits.silent_socket_s
    try:
        async with asyncio.timeout(limit_s):
            message = await socket.receive()
    except TimeoutError:
        raise Problem(408, f"nothing came for {limit_s:g} s", code="silent") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1000)
    return dict(message)


async def _end(socket: WebSocket, fail: Callable[[Problem], Awaitable[None]], error: BaseException | None) -> None:
    """Tell a client what went wrong, if anything did, and close."""
    if isinstance(error, WebSocketDisconnect) or socket.application_state is not WebSocketState.CONNECTED:
        return
    problem = told_of(error) if isinstance(error, Exception) else None
    try:
        if problem is not None:
            await fail(problem)
        code = 1000 if problem is None else 1011 if problem.status >= 500 else 1008
        await socket.close(code)
    except (RuntimeError, WebSocketDisconnect):
        # It went away meanwhile.
        pass


class ListenFields(BaseModel):
    """The query of `/v1/listen`."""

    speakers: list[str] = []
    language: str | None = None
    prompt_set: str | None = None
    rate: int = Field(default=SAMPLE_RATE_HZ, ge=8_000, le=96_000)
    encoding: Encoding = "pcm16"


@router.websocket("/v1/listen")
async def listen(socket: WebSocket, query: Annotated[list[str] | None, Query(alias="speakers")] = None) -> None:
    """Raw mono sound as binary messages in, one JSON object a message out: `confirmed`, `partial`, `segment`, `pace`.

    The text message `{"type": "finish"}` confirms what stands, and closes.
    """

    async def tell(events: list[LiveEvent]) -> None:
        for event in events:
            await socket.send_json(shown(event))

    async def fail(error: Problem) -> None:
        await socket.send_json({"type": "error", **error.body})

    async def talk(stream: Stream) -> None:
        try:
            given = dict(socket.query_params) | {"speakers": query or []}
            fields = ListenFields.model_validate(given)
            wanted = {"speakers": fields.speakers, "language": fields.language, "prompt_set": fields.prompt_set}
            asked = TranscriptionFields.model_validate({"model": "softspoken", **wanted})
        except ValidationError as error:
            raise of_validation(error.errors()) from None
        check_fields(asked, service_of(socket))
        await stream.follow(asked)
        samples = BytesToSamples(fields.rate, fields.encoding)
        while True:
            message = await received(socket)
            if message.get("bytes"):
                await stream.feed(samples(message["bytes"]))
            elif message.get("text") is not None:
                _require_finish(message["text"])
                break
        await stream.feed(samples(b"", last=True))
        await stream.finish()
        await socket.send_json({"type": "finished"})

    await converse(socket, talk, tell, fail)


def _require_finish(text: str) -> None:
    """Raises Problem for another message than the last one."""
    try:
        message = read_json(text)
    except ValueError:
        message = None
    if not isinstance(message, dict) or message.get("type") != "finish":
        told = f"no message '{text[:80]}' here; send sound as binary messages, then " + '{"type": "finish"}'
        raise Problem(400, told)


def shown(event: LiveEvent) -> dict[str, Any]:
    """An event as `/v1/listen` sends it."""
    kinds: dict[type, Literal["confirmed", "partial", "segment", "pace"]]
    kinds = {Confirmed: "confirmed", Partial: "partial", Said: "segment", Pace: "pace"}
    if isinstance(event, Pace):
        return {"type": "pace", "step": event.step_s}
    found: dict[str, Any] = {"type": kinds[type(event)], "speaker": event.speaker, "text": event.text}
    if not isinstance(event, Partial):
        found |= {"start": event.start_s, "end": event.end_s}
    return found
