"""`/v1/realtime?intent=transcription`: OpenAI's socket for live transcription, with names.

A stretch of speech of one voice is an item: `delta`s as its words are confirmed, then `segment` and `completed`.
"""

import base64
import binascii
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from softspoken.audio.streams import BytesToSamples, Encoding
from softspoken.decoding.result import UNSPACED
from softspoken.live import Confirmed, LiveEvent, Said
from softspoken.serve.form import TranscriptionFields, read_json
from softspoken.serve.models import check_model
from softspoken.serve.problems import Problem, of_validation
from softspoken.serve.service import Service, service_of
from softspoken.serve.sockets import Stream, converse, received
from softspoken.serve.transcriptions import check_fields

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_PCM_HZ, _TELEPHONE_HZ = 24_000, 8_000
router = APIRouter(tags=["live"])


class _Given(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Format(_Given):
    """How samples are sent."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: int = Field(default=_PCM_HZ, ge=8_000, le=96_000)

    @property
    def decoder(self) -> BytesToSamples:
        names: dict[str, Encoding] = {"audio/pcm": "pcm16", "audio/pcmu": "ulaw", "audio/pcma": "alaw"}
        return BytesToSamples(self.rate if self.type == "audio/pcm" else _TELEPHONE_HZ, names[self.type])


class Transcription(_Given):
    """What is written. The voices, which are ours, are those of a request with a file."""

    model: str = "softspoken"
    language: str | None = None
    prompt: str | None = None
    known_speaker_names: list[str] = []
    known_speaker_references: list[str] = []
    speakers: list[str] = []
    prompt_set: str | None = None

    @property
    def fields(self) -> TranscriptionFields:
        return TranscriptionFields.model_validate(self.model_dump(exclude_none=True))


class Input(_Given):
    """What comes in."""

    format: Format = Format()
    transcription: Transcription = Transcription()
    noise_reduction: dict[str, Any] | None = None
    turn_detection: dict[str, Any] | None = {"type": "server_vad"}


class Audio(_Given):
    """Only `input` counts."""

    input: Input = Input()


class Session(_Given):
    """As `session.update` sends it."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = Audio()
    include: list[Literal["item.input_audio_transcription.logprobs"]] = []


@dataclass
class _Item:
    """A stretch of one voice that goes on."""

    id: str
    text: str = ""


class _Conversation:
    """What is sent to one client."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._open: dict[str | None, _Item] = {}
        self._last: str | None = None
        self._numbers = iter(range(1, 1 << 62))
        self.session = Session()
        self.told = 0

    async def send(self, kind: str, **content: Any) -> None:
        await self._socket.send_json({"type": kind, "event_id": _id("event"), **content})

    async def fail(self, error: Problem, event_id: str | None = None) -> None:
        await self.send("error", error={**error.body["error"], "event_id": event_id})

    async def tell(self, events: list[LiveEvent]) -> None:
        """Partials are left out: OpenAI's clients know of none, and add what comes."""
        for event in events:
            if isinstance(event, Confirmed):
                await self._confirmed(event)
            elif isinstance(event, Said):
                await self._said(event)

    async def committed(self, item_id: str) -> None:
        await self.send("input_audio_buffer.committed", item_id=item_id, previous_item_id=self._last)
        self._last = item_id

    async def completed(self, item_id: str, text: str, seconds: float) -> None:
        usage = {"type": "duration", "seconds": round(seconds, 3)}
        whole = {"item_id": item_id, "content_index": 0, "transcript": text, "usage": usage}
        await self.send(f"{_TRANSCRIPTION}.completed", **whole)
        self.told += 1

    async def close_items(self) -> None:
        """Nothing more will be said in what is open."""
        ended, self._open = self._open, {}
        for item in ended.values():
            await self.completed(item.id, item.text, 0.0)

    async def _confirmed(self, event: Confirmed) -> None:
        item = self._open.get(event.speaker)
        if item is None:
            item = self._open[event.speaker] = _Item(_id("item"))
            began = round(1000 * event.start_s)
            await self.send("input_audio_buffer.speech_started", audio_start_ms=began, item_id=item.id)
        language = self.session.audio.input.transcription.language
        delta = event.text if not item.text or language in UNSPACED else f" {event.text}"
        item.text += delta
        await self.send(f"{_TRANSCRIPTION}.delta", item_id=item.id, content_index=0, delta=delta)

    async def _said(self, event: Said) -> None:
        item = self._open.pop(event.speaker, None)
        if item is None:
            return
        ended = round(1000 * event.end_s)
        await self.send("input_audio_buffer.speech_stopped", audio_end_ms=ended, item_id=item.id)
        await self.committed(item.id)
        if event.speaker is not None:
            place = {"item_id": item.id, "content_index": 0, "id": f"seg_{next(self._numbers):03d}"}
            said = {"start": event.start_s, "end": event.end_s, "speaker": event.speaker, "text": event.text}
            await self.send(f"{_TRANSCRIPTION}.segment", **place, **said)
        await self.completed(item.id, item.text, event.end_s - event.start_s)


@router.websocket("/v1/realtime")
async def realtime(socket: WebSocket) -> None:
    """OpenAI's events for a transcription session."""
    talk = _Conversation(socket)

    async def follow(stream: Stream) -> None:
        if socket.query_params.get("intent", "transcription") != "transcription":
            raise Problem(400, "only transcription here; connect with ?intent=transcription", param="intent")
        state = {"decode": talk.session.audio.input.format.decoder}
        await talk.send("session.created", session=_shown(talk.session))
        while True:
            message = await received(socket)
            event_id = None
            try:
                event = _event(message)
                event_id = event.get("event_id") if isinstance(event.get("event_id"), str) else None
                await _obey(event, talk, stream, state, service_of(socket))
            except Problem as error:
                await talk.fail(error, event_id)

    await converse(socket, follow, talk.tell, talk.fail)


async def _obey(
    event: dict[str, Any], talk: _Conversation, stream: Stream, state: dict[str, BytesToSamples], service: Service
) -> None:
    """What a client asks for. Raises Problem for what cannot be done; the socket stays open."""
    kind = event.get("type")
    if kind == "session.update":
        session = _session(event.get("session"), talk.session, service)
        await stream.follow(session.audio.input.transcription.fields)
        talk.session, state["decode"] = session, session.audio.input.format.decoder
        await talk.send("session.updated", session=_shown(session))
    elif kind == "input_audio_buffer.append":
        await stream.feed(state["decode"](_sound(event.get("audio"))))
    elif kind == "input_audio_buffer.commit":
        before = talk.told
        await stream.finish()
        if talk.told == before:
            # Who commits waits for an answer, even if nothing was said.
            item_id = _id("item")
            await talk.committed(item_id)
            await talk.completed(item_id, "", 0.0)
    elif kind == "input_audio_buffer.clear":
        await stream.clear()
        await talk.close_items()
        await talk.send("input_audio_buffer.cleared")
    else:
        known = "session.update, input_audio_buffer.append, .commit and .clear"
        raise Problem(400, f"no event '{str(kind)[:80]}' here; a transcription session takes {known}", param="type")


def _event(message: dict[str, Any]) -> dict[str, Any]:
    try:
        event = read_json(message["text"] if message.get("text") is not None else message["bytes"])
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise Problem(400, "a message that is no JSON object; send events such as input_audio_buffer.append")
    return event


def _session(given: Any, before: Session, service: Service) -> Session:
    """The session as changed. Raises Problem for what is not possible here."""
    if not isinstance(given, dict):
        raise Problem(400, "session: missing; send what should change", param="session")
    try:
        session = Session.model_validate(_merged(before.model_dump(), given))
        fields = session.audio.input.transcription.fields
    except ValidationError as error:
        raise of_validation(error.errors(), nested=True) from None
    check_model(fields.model, service)
    check_fields(fields, service)
    if session.include:
        told = f"the model {service.backend.model} gives no log-probabilities of tokens here; leave out include"
        raise Problem(400, told, param="include")
    return session


def _merged(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What is not given stays."""
    both = {
        name: _merged(before[name], value)
        for name, value in given.items()
        if isinstance(value, dict) and isinstance(before.get(name), dict)
    }
    return {**before, **given, **both}


def _shown(session: Session) -> dict[str, Any]:
    content = session.model_dump(exclude_none=True)
    # Clips of voices are not sent back.
    content["audio"]["input"]["transcription"].pop("known_speaker_references")
    return content


def _sound(audio: Any) -> bytes:
    try:
        return base64.b64decode(audio, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Problem(400, "audio: no base64; send samples as base64", param="audio") from None


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:20]}"
