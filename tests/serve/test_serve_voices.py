"""`/v1/voices`: a voice's life, checks that say what to do, and whose voices are whose."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backend import FakeBackend
from served import ADA_HZ, BEN_HZ, wav
from starlette.testclient import TestClient
from voices import voice

from softspoken.errors import ConfigError
from softspoken.serve.app import create_app
from softspoken.serve.config import ServerConfig
from softspoken.serve.users import read_keys

ADA_KEY, BEN_KEY = "sk-ada-0123456789", "sk-ben-0123456789"


def enrol(client: TestClient, name: str, *clips: bytes, **fields: str) -> Any:
    files = [("file", (f"{name}.wav", clip, "audio/wav")) for clip in clips]
    return client.post("/v1/voices", data={"name": name, **fields}, files=files)


def names(client: TestClient) -> list[str]:
    return [one["name"] for one in client.get("/v1/voices").json()["data"]]


def test_the_life_of_a_voice(client: TestClient, talk: bytes) -> None:
    made = enrol(client, "Ada", wav(voice(5.0, ADA_HZ)), consent="Ada said yes on the phone.")
    assert made.status_code == 201
    shown = made.json()
    assert shown.pop("created").endswith("+00:00")
    assert shown.pop("speech_s") == pytest.approx(5.0, abs=0.1)
    # The tones of these voices end below 4 kHz.
    (warning,) = shown.pop("warnings")
    assert "telephone" in warning
    assert shown == {
        "object": "voice",
        "name": "Ada",
        "embedder": "pitch",
        "clip_s": 5.0,
        "consent": "Ada said yes on the phone.",
        "sources": ["Ada.wav"],
    }
    assert client.get("/v1/voices/Ada").json() == made.json()
    files = {"file": ("talk.wav", talk)}
    fields = {"model": "whisper-1", "speakers[]": "Ada"}
    assert client.post("/v1/audio/transcriptions", data=fields, files=files).json()["text"] == "word0 word1 word4"
    assert client.patch("/v1/voices/Ada", json={"name": "Ada L."}).json()["consent"] == "Ada said yes on the phone."
    assert names(client) == ["Ada L."]
    exported = client.get("/v1/voices/Ada L./export")
    assert "attachment" in exported.headers["content-disposition"]
    assert client.delete("/v1/voices/Ada L.").json() == {"object": "voice", "name": "Ada L.", "deleted": True}
    assert names(client) == []
    assert client.post("/v1/voices/import", content=exported.content).status_code == 201
    assert client.get("/v1/voices/Ada L.").json()["consent"] == "Ada said yes on the phone."


def test_known_speakers_by_enrolled_names(client: TestClient, talk: bytes) -> None:
    enrol(client, "Ada", wav(voice(5.0, ADA_HZ)))

    def speakers(**fields: Any) -> list[str]:
        data = {"model": "whisper-1", "response_format": "diarized_json", **fields}
        answer = client.post("/v1/audio/transcriptions", data=data, files={"file": ("talk.wav", talk)}).json()
        return [one["speaker"] for one in answer["segments"]]

    assert speakers(**{"known_speaker_names[]": "Ada"}) == ["Ada", "Ada", "A", "A", "Ada"]
    renamed = {"known_speaker_names[]": "agent", "known_speaker_references[]": "Ada"}
    assert speakers(**renamed) == ["agent", "agent", "A", "A", "agent"]


def test_names_are_taken_once(client: TestClient) -> None:
    enrol(client, "Ada", wav(voice(5.0, ADA_HZ)))
    enrol(client, "Ben", wav(voice(5.0, BEN_HZ)))
    refused = enrol(client, "Ada", wav(voice(4.0, BEN_HZ)))
    assert refused.status_code == 409
    assert "replace=true" in refused.json()["error"]["message"]
    assert enrol(client, "Ada", wav(voice(4.0, BEN_HZ)), replace="true").json()["clip_s"] == 4.0
    assert client.patch("/v1/voices/Ada", json={"name": "Ben"}).status_code == 409
    assert client.patch("/v1/voices/Ada", json={"name": "Ada"}).status_code == 200
    assert enrol(client, "Cleo", wav(voice(4.0, BEN_HZ)), keep_clip="false").json()["clip_s"] == 0.0


@pytest.mark.parametrize(
    ("name", "clips", "says"),
    [
        ("a/b", [wav(voice(5.0))], "choose another"),
        ("", [wav(voice(5.0))], "choose another"),
        ("Ada", [wav(voice(1.0))], "give a longer clip"),
        ("Ada", [wav(np.clip(voice(5.0) * 100, -1, 1))], "lower level"),
        ("Ada", [wav(voice(5.0) * 0)], "is silent"),
        ("Ada", [b"no audio at all"], "not audio"),
        ("Ada", [b""], "empty"),
    ],
)
def test_what_no_voice_can_be_learned_from(client: TestClient, name: str, clips: list[bytes], says: str) -> None:
    refused = enrol(client, name, *clips)
    message = refused.json()["error"]["message"]
    assert refused.status_code == 422
    assert says in message
    assert "/dev/fd" not in message
    assert names(client) == []


def test_no_clip_at_all(client: TestClient) -> None:
    refused = client.post("/v1/voices", data={"name": "Ada"}, files={"clip": ("a.wav", wav(voice(5.0)))})
    assert refused.status_code == 422
    assert refused.json()["error"]["param"] == "file"
    assert client.post("/v1/voices", data={"name": "Ada"}).status_code == 415


def test_two_voices_in_a_clip_are_refused(client: TestClient) -> None:
    refused = enrol(client, "Ada", wav(voice(5.0, ADA_HZ), voice(5.0, BEN_HZ)))
    message = refused.json()["error"]["message"]
    assert refused.status_code == 422
    assert "two voices" in message
    assert "--" not in message
    assert names(client) == []


def test_voices_that_are_not_there(client: TestClient) -> None:
    answers = [
        client.get("/v1/voices/x"),
        client.delete("/v1/voices/x"),
        client.patch("/v1/voices/x", json={"name": "y"}),
        client.get("/v1/voices/x/export"),
    ]
    for answer in answers:
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "voice_not_found"
    assert client.post("/v1/voices/import", content=b"{}").status_code == 422
    assert client.patch("/v1/voices/x", json={"nome": "y"}).status_code == 422


# Keys


@pytest.fixture
def closed(tmp_path: Path, backend: FakeBackend) -> Iterator[TestClient]:
    """A server with two users."""
    keys = tmp_path / "keys"
    keys.write_text(f"# who may\nada {ADA_KEY}\n\nben {BEN_KEY}\n")
    with TestClient(create_app(backend, ServerConfig(keys=keys, data=tmp_path / "data"))) as opened:
        yield opened


def test_nothing_without_a_key(closed: TestClient, talk: bytes) -> None:
    files = {"file": ("talk.wav", talk)}
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": ADA_KEY}):
        for answer in (
            closed.get("/v1/voices", headers=header),
            closed.get("/v1/models", headers=header),
            closed.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=files, headers=header),
        ):
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "invalid_api_key"
    assert closed.get("/health").status_code == 200


def test_one_users_voices_are_not_anothers(closed: TestClient, talk: bytes, tmp_path: Path) -> None:
    closed.headers["Authorization"] = f"Bearer {ADA_KEY}"
    assert enrol(closed, "Zoe", wav(voice(5.0, ADA_HZ))).status_code == 201
    closed.headers["Authorization"] = f"Bearer {BEN_KEY}"
    assert names(closed) == []
    assert closed.get("/v1/voices/Zoe").status_code == 404
    assert closed.get("/v1/voices/Zoe/export").status_code == 404
    fields = {"model": "whisper-1", "speakers[]": "Zoe"}
    refused = closed.post("/v1/audio/transcriptions", data=fields, files={"file": ("talk.wav", talk)})
    assert refused.status_code == 400
    assert "enrolled: none" in refused.json()["error"]["message"]
    assert enrol(closed, "Zoe", wav(voice(5.0, BEN_HZ))).status_code == 201
    assert closed.delete("/v1/voices/Zoe").status_code == 200
    closed.headers["Authorization"] = f"Bearer {ADA_KEY}"
    assert names(closed) == ["Zoe"]
    assert "Zoe" not in closed.get("/metrics").text
    assert (tmp_path / "data" / "ada" / "voices.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text", ["", "ada", "ada short", "a/b 0123456789abcdef", "ada 0123456789abcdef\nada fedcba9876543210"]
)
def test_a_file_of_keys_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_keys(file)
