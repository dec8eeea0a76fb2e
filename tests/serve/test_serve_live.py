"""Sockets for live sound: OpenAI's own client unchanged, our plain one, limits, users, clients that misbehave."""

import base64
import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from fake_backend import FakeBackend
from openai import OpenAI
from openai.types.realtime import (
    ConversationItemInputAudioTranscriptionCompletedEvent,
    ConversationItemInputAudioTranscriptionDeltaEvent,
    ConversationItemInputAudioTranscriptionSegment,
    SessionCreatedEvent,
    SessionUpdatedEvent,
)
from served import ADA_HZ, BEN_HZ, Live, data_url, listening, multipart, until, wav
from voices import voice
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from softspoken.serve.config import Limits, ServerConfig

SILENCE = np.zeros(16_000, np.float32)


def pcm(audio: np.ndarray, rate_hz: int = 16_000) -> bytes:
    sound = audio if rate_hz == 16_000 else soxr.resample(audio, 16_000, rate_hz)
    return (32767 * np.clip(sound, -1, 1)).astype("<i2").tobytes()


@pytest.fixture
def openai_client(live: Live) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def listen(live: Live) -> Callable[..., contextlib.AbstractContextManager[ClientConnection]]:
    def opened(query: str = "", **given: Any) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{live.port}/v1/listen{query}", **given)

    return opened


def enrol(live: Live, name: str, pitch_hz: float, key: str | None = None) -> None:
    body, headers = multipart(wav(voice(5.0, pitch_hz)), name=name)
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    urllib.request.urlopen(urllib.request.Request(f"{live.url}/v1/voices", body, headers))


def events_until(connection: Any, kind: str) -> list[Any]:
    found = []
    while True:
        found.append(connection.recv())
        if found[-1].type == kind:
            return found


def append(connection: Any, data: bytes) -> None:
    size = len(data) // 7 // 2 * 2
    for at in range(0, len(data), size):
        connection.input_audio_buffer.append(audio=base64.b64encode(data[at : at + size]).decode())


def test_openais_client_follows_known_voices(openai_client: OpenAI, live: Live) -> None:
    enrol(live, "ada", ADA_HZ)
    reference = data_url(wav(voice(3.0, BEN_HZ)))
    talk = np.concatenate([voice(2.0, ADA_HZ), SILENCE, voice(2.0, BEN_HZ), SILENCE, SILENCE])
    with openai_client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        created = connection.recv()
        assert isinstance(created, SessionCreatedEvent)
        transcription = {
            "model": "gpt-4o-transcribe-diarize",
            "language": "en",
            "known_speaker_names": ["ada", "ben"],
            "known_speaker_references": ["ada", reference],
        }
        connection.session.update(
            session={"type": "transcription", "audio": {"input": {"transcription": transcription}}}  # type: ignore
        )
        updated = connection.recv()
        assert isinstance(updated, SessionUpdatedEvent)
        assert reference not in updated.model_dump_json()
        append(connection, pcm(talk, 24_000))
        connection.input_audio_buffer.commit()
        events: list[Any] = []
        while sum(event.type.endswith(".completed") for event in events) < 2:
            events.append(connection.recv())
    kinds = [event.type.removeprefix("conversation.item.input_audio_transcription.") for event in events]
    assert kinds[:2] == ["input_audio_buffer.speech_started", "delta"]
    segments = [event for event in events if isinstance(event, ConversationItemInputAudioTranscriptionSegment)]
    assert [(one.speaker, one.text) for one in segments] == [("ada", "word0 word1"), ("ben", "word3 word4")]
    deltas: dict[str, str] = {}
    for event in events:
        if isinstance(event, ConversationItemInputAudioTranscriptionDeltaEvent):
            assert event.delta is not None
            deltas[event.item_id] = deltas.get(event.item_id, "") + event.delta
        if isinstance(event, ConversationItemInputAudioTranscriptionCompletedEvent):
            type(event).model_validate(event.model_dump(), strict=True)
            assert event.transcript == deltas[event.item_id]


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_telephone_sound(openai_client: OpenAI, kind: str) -> None:
    import io

    import soundfile

    file = io.BytesIO()
    sound = soxr.resample(np.concatenate([voice(2.0, ADA_HZ), SILENCE, SILENCE]), 16_000, 8_000)
    subtype = "ULAW" if kind == "audio/pcmu" else "ALAW"
    soundfile.write(file, sound, 8_000, format="RAW", subtype=subtype)
    with openai_client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        connection.session.update(session={"type": "transcription", "audio": {"input": {"format": {"type": kind}}}})  # type: ignore
        append(connection, file.getvalue())
        completed = events_until(connection, "conversation.item.input_audio_transcription.completed")[-1]
    assert completed.transcript == "word0 word1"


def test_who_commits_is_answered_even_if_nothing_was_said(openai_client: OpenAI) -> None:
    with openai_client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        append(connection, pcm(SILENCE, 24_000))
        connection.input_audio_buffer.commit()
        completed = events_until(connection, "conversation.item.input_audio_transcription.completed")[-1]
    assert completed.transcript == ""


def test_what_cannot_be_done_is_an_error_event_and_no_end(openai_client: OpenAI, live: Live) -> None:
    with connect(f"ws://127.0.0.1:{live.port}/v1/realtime?intent=transcription") as socket:
        assert json.loads(socket.recv())["type"] == "session.created"
        wrong: list[tuple[Any, str]] = [
            ("no json", "no JSON object"),
            ({"type": "response.create", "event_id": "mine"}, "no event"),
            ({"type": "input_audio_buffer.append", "audio": "%%%"}, "no base64"),
            ({"type": "session.update"}, "session"),
            (update(model="nobody"), "no model"),
            (update(language="xx"), "xx"),
            (update(speakers=["nobody"]), "no voice 'nobody'"),
            (update(known_speaker_names=["a"], known_speaker_references=["data:,x"]), "data URL"),
        ]
        for event, told in wrong:
            socket.send(event if isinstance(event, str) else json.dumps(event))
            answer = json.loads(socket.recv())
            assert answer["type"] == "error", event
            assert told in answer["error"]["message"]
            assert answer["error"]["event_id"] == (event.get("event_id") if isinstance(event, dict) else None)
        socket.send(json.dumps({"type": "input_audio_buffer.clear"}))
        assert json.loads(socket.recv())["type"] == "input_audio_buffer.cleared"


def update(**transcription: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"audio": {"input": {"transcription": transcription}}}}


def test_the_plain_socket(listen: Any, live: Live) -> None:
    enrol(live, "ada", ADA_HZ)
    talk = pcm(np.concatenate([voice(2.0, ADA_HZ), voice(2.0, BEN_HZ), SILENCE]))
    with listen("?speakers=ada") as socket:
        for at in range(0, len(talk), 3201):
            socket.send(talk[at : at + 3201])
        socket.send('{"type": "finish"}')
        events = [json.loads(message) for message in socket]
    assert [one["text"] for one in events if one["type"] == "confirmed"] == ["word0", "word1"]
    assert [(one["speaker"], one["start"], one["end"]) for one in events if one["type"] == "segment"] == [("ada", 0, 2)]
    assert {"type": "partial", "speaker": "ada", "text": "and"} in events
    assert events[-1] == {"type": "finished"}


@pytest.mark.parametrize("query", ["?speakers=nobody", "?rate=1", "?encoding=mp3", "?language=xx", "?prompt_set=no"])
def test_a_wrong_query_is_told(listen: Any, query: str) -> None:
    with listen(query) as socket:
        answer = json.loads(socket.recv())
        assert answer["type"] == "error"
        with pytest.raises(ConnectionClosed):
            socket.recv()


def test_sockets_that_say_nothing_cost_nothing_and_are_closed(backend: FakeBackend, tmp_path: Path) -> None:
    started: list[object] = []
    backend.live = lambda *given: started.append(given)  # type: ignore[assignment, method-assign]
    limits = Limits(sockets=40, silent_socket_s=4)
    with listening(backend, ServerConfig(data=tmp_path / "data", limits=limits)) as live:
        with contextlib.ExitStack() as held:
            sockets = [
                held.enter_context(connect(f"ws://127.0.0.1:{live.port}/v1/{kind}"))
                for kind in ["listen", "realtime"] * 20
            ]
            with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{live.port}/v1/listen"):
                pass
            assert refused.value.response.status_code == 429
            assert "Retry-After" in refused.value.response.headers
            began = time.monotonic()
            urllib.request.urlopen(f"{live.url}/health")
            assert time.monotonic() - began < 1
            text = urllib.request.urlopen(f"{live.url}/metrics").read().decode()
            assert "softspoken_sockets 40.0" in text
            until(lambda: live.service.sockets == 0, 20)
            last = json.loads(sockets[0].recv())
            assert (last["type"], last["error"]["code"]) == ("error", "silent")
        assert started == []


def test_who_goes_away_takes_nothing_with_him(listen: Any, live: Live) -> None:
    for _ in range(3):
        socket = listen()
        socket.send(pcm(voice(1.5, ADA_HZ)))
        socket.socket.close()
    until(lambda: live.service.sockets == 0)
    assert live.service.scheduler.alive


def test_a_model_that_breaks_ends_the_socket_without_telling_why(backend: FakeBackend, config: ServerConfig) -> None:
    class Broken:
        def feed(self, samples: np.ndarray) -> list[Any]:
            raise RuntimeError("at /a/secret/path")

        def finish(self) -> list[Any]:
            return []

    backend.live = lambda *given: Broken()  # type: ignore[assignment, method-assign]
    with listening(backend, config) as live, connect(f"ws://127.0.0.1:{live.port}/v1/listen") as socket:
        socket.send(pcm(voice(1.5, ADA_HZ)))
        answer = socket.recv()
        assert "something went wrong" in str(answer)
        assert "secret" not in str(answer)
        with pytest.raises(ConnectionClosed):
            socket.recv()


def test_each_user_has_voices_of_their_own(backend: FakeBackend, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("ada sk-aaaaaaaaaaaaaaaa\nben sk-bbbbbbbbbbbbbbbb\n")
    with listening(backend, ServerConfig(data=tmp_path / "data", keys=keys)) as live:
        enrol(live, "ada", ADA_HZ, "sk-aaaaaaaaaaaaaaaa")
        url = f"ws://127.0.0.1:{live.port}/v1/listen?speakers=ada"
        with pytest.raises(InvalidStatus) as refused, connect(url):
            pass
        assert refused.value.response.status_code == 401
        with connect(url, additional_headers={"Authorization": "Bearer sk-bbbbbbbbbbbbbbbb"}) as socket:
            assert "no voice 'ada'" in str(socket.recv())
        # As a page does it, which cannot set a header.
        protocols: Any = ["realtime", "openai-insecure-api-key.sk-aaaaaaaaaaaaaaaa"]
        with connect(f"ws://127.0.0.1:{live.port}/v1/realtime", subprotocols=protocols) as socket:
            assert socket.subprotocol == "realtime"
            socket.recv()
            socket.send(json.dumps(update(speakers=["ada"])))
            assert json.loads(socket.recv())["type"] == "session.updated"


def test_a_page_of_another_site_gets_no_socket(live: Live, listen: Any) -> None:
    with pytest.raises(InvalidStatus) as refused, listen(origin="https://elsewhere.example"):
        pass
    assert refused.value.response.status_code == 403
    with listen(origin=live.url):
        pass


def test_a_socket_outlives_the_time_for_a_first_request(backend: FakeBackend, tmp_path: Path) -> None:
    config = ServerConfig(data=tmp_path / "data", limits=Limits(silent_client_s=0.5))
    with listening(backend, config) as live, connect(f"ws://127.0.0.1:{live.port}/v1/listen") as socket:
        for _ in range(6):
            socket.send(pcm(voice(0.5, ADA_HZ)))
            time.sleep(0.2)
        socket.send('{"type": "finish"}')
        assert json.loads(list(socket)[-1]) == {"type": "finished"}


@pytest.mark.parametrize("ended", ["commit", "clear"])
def test_the_first_sound_is_ended_while_the_model_is_made_ready(
    backend: FakeBackend, config: ServerConfig, ended: str
) -> None:
    ready, begun = threading.Event(), threading.Event()
    at_once = backend.live

    def slowly(*given: Any) -> Any:
        begun.set()
        ready.wait(10)
        return at_once(*given)

    backend.live = slowly  # type: ignore[assignment, method-assign]
    with listening(backend, config) as live, connect(f"ws://127.0.0.1:{live.port}/v1/realtime") as socket:
        assert json.loads(socket.recv())["type"] == "session.created"
        said = base64.b64encode(pcm(voice(1.5, ADA_HZ), 24_000)).decode()
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": said}))
        assert begun.wait(10)
        socket.send(json.dumps({"type": f"input_audio_buffer.{ended}"}))
        if ended == "clear":
            assert json.loads(socket.recv())["type"] == "input_audio_buffer.cleared"
            socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        ready.set()
        kind, event = "conversation.item.input_audio_transcription.completed", {"type": ""}
        while event["type"] != kind:
            event = json.loads(socket.recv(timeout=10))
        assert event["transcript"] == ("word0" if ended == "commit" else "")


def test_a_page_sends_any_key(backend: FakeBackend, tmp_path: Path) -> None:
    """As scripts encode what may not stand among a socket's protocols."""
    keys = tmp_path / "keys"
    keys.write_text("ada sk/aaaa+aaaaaaaaaaa==\n")
    offered: Any = ["realtime", "openai-insecure-api-key.sk%2Faaaa%2Baaaaaaaaaaa%3D%3D"]
    with listening(backend, ServerConfig(data=tmp_path / "data", keys=keys)) as live, contextlib.ExitStack() as held:
        socket = held.enter_context(connect(f"ws://127.0.0.1:{live.port}/v1/realtime", subprotocols=offered))
        assert json.loads(socket.recv())["type"] == "session.created"
