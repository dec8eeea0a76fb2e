"""`/v1/voices`: a voice's life, checks that say what to do, and whose voices are whose."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import pytest
from fake_backend import FakeBackend
from served import ADA_HZ, BEN_HZ, wav
from starlette.testclient import TestClient
from voices import voice

from softspoken.errors import ConfigError, EnrolmentError
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


@pytest.fixture(params=["folder", "database"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a server's voices are."""
    if request.param == "folder":
        return tmp_path / "data"
    return f"{request.getfixturevalue('postgres_url')}&schema=serve-{token_hex(4)}"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """The keys of two."""
    keys = tmp_path / "keys"
    keys.write_text(f"# who may\nada {ADA_KEY}\n\nben {BEN_KEY}\n")
    return keys


@pytest.fixture
def closed(users: Path, data: Path | str, backend: FakeBackend) -> Iterator[TestClient]:
    """A server with two users."""
    with TestClient(create_app(backend, ServerConfig(keys=users, data=data))) as opened:
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
    assert "security" in closed.get("/openapi.json").json()["paths"]["/v1/voices"]["get"]


def test_one_users_voices_are_not_anothers(closed: TestClient, talk: bytes) -> None:
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


def test_a_users_file_is_the_servers_alone(users: Path, tmp_path: Path, backend: FakeBackend) -> None:
    with TestClient(create_app(backend, ServerConfig(keys=users, data=tmp_path / "data"))) as server:
        server.headers["Authorization"] = f"Bearer {ADA_KEY}"
        assert enrol(server, "Zoe", wav(voice(5.0, ADA_HZ))).status_code == 201
    assert (tmp_path / "data" / "ada" / "voices.db").stat().st_mode & 0o077 == 0


def test_two_servers_share_a_database(postgres_url: str, backend: FakeBackend, talk: bytes) -> None:
    """A voice that one has enrolled is known to the other at once, and forgotten by both."""
    config = ServerConfig(data=f"{postgres_url}&schema=serve-{token_hex(4)}")
    with TestClient(create_app(backend, config)) as one, TestClient(create_app(FakeBackend(), config)) as other:
        assert enrol(one, "Ada", wav(voice(5.0, ADA_HZ))).status_code == 201
        asked = partial(other.post, "/v1/audio/transcriptions", data={"model": "whisper-1", "speakers[]": "Ada"})
        assert asked(files={"file": ("talk.wav", talk)}).json()["text"] == "word0 word1 word4"
        assert other.delete("/v1/voices/Ada").status_code == 200
        assert names(one) == []


@pytest.mark.parametrize("place", ["postgresql://ada:secret@127.0.0.1:1/voices", "a file"])
def test_a_store_that_is_away(
    place: str, tmp_path: Path, backend: FakeBackend, talk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is nobody's request that is wrong: 503, and why is for the log. Who names no voice is not concerned."""
    if place == "a file":
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "voices.db").write_text("this is no database\n" * 100)
        place = str(tmp_path / "data")
    else:
        pytest.importorskip("psycopg")
    with TestClient(create_app(backend, ServerConfig(data=place)), raise_server_exceptions=False) as server:
        asked = partial(server.post, "/v1/audio/transcriptions", files={"file": ("talk.wav", talk)})
        answers = [
            server.get("/v1/voices"),
            enrol(server, "Ada", wav(voice(5.0, ADA_HZ))),
            asked(data={"model": "whisper-1", "speakers[]": "Ada"}),
        ]
        for answer in answers:
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "store_unavailable"
            assert answer.headers["retry-after"] == "10"
            assert not any(part in answer.text for part in ("127.0.0.1", "secret", str(tmp_path)))
        assert asked(data={"model": "whisper-1"}).status_code == 200
    said = [record.facts["reason"] for record in caplog.records if "store of voices" in record.message]  # type: ignore
    assert len(said) == len(answers)
    assert not any("secret" in reason or str(tmp_path) in reason for reason in said)


def test_a_name_that_is_too_long_for_a_database(tmp_path: Path, backend: FakeBackend) -> None:
    """PostgreSQL would cut the schemas of two users to the same name."""
    (tmp_path / "keys").write_text(f"{'a' * 64} {ADA_KEY}\n")
    with pytest.raises(EnrolmentError, match="PostgreSQL takes 1 to 63"):
        create_app(backend, ServerConfig(keys=tmp_path / "keys", data="postgresql://localhost/voices"))


@pytest.mark.parametrize(
    "text", ["", "ada", "ada short", "a/b 0123456789abcdef", "ada 0123456789abcdef\nada fedcba9876543210"]
)
def test_a_file_of_keys_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_keys(file)
