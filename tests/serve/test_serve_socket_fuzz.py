"""Whatever is sent to a socket: an error that says what to do, no fault of the server's own, no hang, no path."""

import contextlib
import json
import logging
import random
import socket as sockets
import urllib.request
from typing import Any

import numpy as np
import pytest
from fake_backend import FakeBackend, FakeLive
from served import ADA_HZ, Live, until
from voices import voice
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from softspoken.live import LiveEvent, Said

REALTIME, LISTEN = "/v1/realtime?intent=transcription", "/v1/listen"
DEEP = '{"a":' * 50_000


def opened(live: Live, path: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{live.port}{path}", open_timeout=10)


def in_session(inside: str) -> str:
    return '{"type": "session.update", "session": {"audio": {"input": ' + inside + "}}}"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("[" * 100_000, "no JSON object"),
        (DEEP, "no JSON object"),
        ('{"type": "\\ud800"}', "no JSON object"),
        ('{"type": "x", "event_id": "\\ud800"}', "no JSON object"),
        (in_session('{"turn_detection": {"threshold": NaN}}'), "no JSON object"),
        (in_session('{"turn_detection": {"threshold": 1e999}}'), "no JSON object"),
        (b"\xff\xfe\x00", "no JSON object"),
        ('{"type": ["session.update"]}', "no event"),
        (in_session('{"format": {"rate": 1}}'), "audio.input.format.rate: "),
        (in_session('{"format": 7}'), "audio.input.format: "),
        (in_session('{"transcription": {"model": "\\u0000"}}'), "no model"),
    ],
    ids=str,
)
def test_no_event_ends_a_realtime_socket(live: Live, message: str | bytes, told: str) -> None:
    with opened(live, REALTIME) as socket:
        socket.recv(10)
        socket.send(message)
        answer = json.loads(socket.recv(10))
        assert answer["type"] == "error"
        assert told in answer["error"]["message"]
        socket.send('{"type": "input_audio_buffer.clear"}')
        assert json.loads(socket.recv(10))["type"] == "input_audio_buffer.cleared"


@pytest.mark.parametrize("message", ["rubbish", "{}", "[", "", '{"type": "stop"}', DEEP], ids=lambda one: one[:20])
def test_only_finish_finishes(live: Live, message: str) -> None:
    with opened(live, LISTEN) as socket:
        socket.send(message)
        answer = json.loads(socket.recv(10))
        assert answer["type"] == "error"
        assert '{"type": "finish"}' in answer["error"]["message"]


def test_a_speaker_named_twice(live: Live) -> None:
    with opened(live, f"{LISTEN}?speakers=ada&speakers=ada") as socket:
        assert "named twice" in json.loads(socket.recv(10))["error"]["message"]


def test_what_is_cleared_while_it_is_heard_is_not_told(live: Live, backend: FakeBackend) -> None:
    """The end of a stretch whose words were forgotten comes when nothing is open any more."""

    class EndsOnly(FakeLive):
        def feed(self, samples: np.ndarray) -> list[LiveEvent]:
            return [Said(None, "word0", 0.0, 1.0)]

    backend.live = lambda *given: EndsOnly(None)  # type: ignore[method-assign]
    with opened(live, REALTIME) as socket:
        socket.recv(10)
        socket.send('{"type": "input_audio_buffer.append", "audio": "AAAA"}')
        socket.send('{"type": "input_audio_buffer.clear"}')
        assert json.loads(socket.recv(10))["type"] == "input_audio_buffer.cleared"


def anything(chance: random.Random) -> str | bytes:
    """A message: right, nearly right, or rubbish."""
    update = {
        "audio": {"input": {"format": {"type": "audio/pcm", "rate": chance.choice([24_000, 8_000, 1, "x", None])}}}
    }
    right: list[Any] = [
        {"type": "session.update", "session": update},
        {"type": "session.update", "session": chance.choice([None, 7, {}, [], {"type": "realtime"}])},
        {"type": "input_audio_buffer.append", "audio": chance.choice(["AAAA" * 500, "A", "é", None, 3])},
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear", "event_id": chance.choice(["mine", 3, None])},
        {"type": "finish"},
    ]
    text = json.dumps(chance.choice(right))
    kind = chance.random()
    if kind < 0.4:
        return text
    if kind < 0.6:
        at = chance.randrange(len(text))
        return text[:at] + chance.choice(["", '"', "\\ud800", "{", "\x00", "é", "9" * 30]) + text[at + 1 :]
    if kind < 0.8:
        return chance.randbytes(chance.randrange(2_000))
    return (32767 * voice(0.3, ADA_HZ)).astype("<i2").tobytes()[chance.randrange(2) :]


@pytest.mark.parametrize("path", [REALTIME, LISTEN, f"{LISTEN}?rate=44100", f"{LISTEN}?rate=8000&encoding=alaw"])
def test_any_messages(live: Live, path: str, caplog: pytest.LogCaptureFixture) -> None:
    chance, answers = random.Random(path), []
    with caplog.at_level(logging.ERROR, logger="softspoken.serve"):
        for _ in range(25):
            with contextlib.suppress(ConnectionClosed, TimeoutError), opened(live, path) as socket:
                for _ in range(chance.randrange(1, 8)):
                    socket.send(anything(chance))
                if chance.random() < 0.4:
                    # Gone without a word.
                    socket.socket.shutdown(sockets.SHUT_RDWR)
                socket.send('{"type": "finish"}')
                while True:
                    answers.append(json.loads(socket.recv(0.3)))
                    assert answers[-1].get("error", {}).get("code") != "internal_error", answers[-1]
        until(lambda: live.service.sockets == 0)
    assert [record.message for record in caplog.records if record.name == "softspoken.serve"] == []
    assert not any(mark in str(answers) for mark in ("/dev/", "/tmp/", "/home/", "Traceback", ".py"))
    assert urllib.request.urlopen(f"{live.url}/health").status == 200
