"""Whatever is sent: no 5xx, no hang, no path in an answer."""

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import soundfile
from fake_backend import FakeBackend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import ADA_HZ, multipart, wav
from starlette.testclient import TestClient
from voices import voice

from softspoken.serve.app import create_app
from softspoken.serve.config import Limits, ServerConfig

URL = "/v1/audio/transcriptions"
NAMES = ["model", "language", "response_format", "temperature", "stream", "speakers[]", "known_speaker_names[]"]
NAMES += ["known_speaker_references[]", "timestamp_granularities[]", "include[]", "chunking_strategy", "prompt_set"]
NAMES += ["chunking_strategy[type]", "prompt", "keywords[]", "languages[]", "name", "consent", "keep_clip", "replace"]
VALUES = [
    "whisper-1",
    "en",
    "json",
    "verbose_json",
    "diarized_json",
    "1",
    "0",
    "true",
    "word",
    "logprobs",
    "auto",
    "{",
    "",
]
VALUES += ["data:audio/wav;base64,UklGRg==", "data:,x", "../../etc/passwd", "ada", "server_vad", "\x00", "nan", "1e999"]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=20)), max_size=8)
SLOWLY = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("data")
    config = ServerConfig(data=folder, limits=Limits(upload_mb=1, longest_s=60))
    with TestClient(create_app(FakeBackend(languages=("en",)), config), raise_server_exceptions=False) as opened:
        yield opened


def check(answer: Any) -> None:
    assert answer.status_code < 500
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert not any(mark in error["message"] for mark in ("/dev/", "/tmp/", "/proc/", "/home/", "Traceback", ".py"))


@settings(max_examples=120, **SLOWLY)  # type: ignore[arg-type]
@given(fields=FIELDS, with_model=st.booleans(), url=st.sampled_from([URL, "/v1/audio/translations", "/v1/voices"]))
def test_any_fields(server: TestClient, fields: list[tuple[str, str]], with_model: bool, url: str) -> None:
    data: dict[str, list[str]] = {"model": ["whisper-1"]} if with_model else {}
    for name, value in fields:
        data.setdefault(name, []).append(value.encode("utf-8", "replace").decode())
    check(server.post(url, data=data, files={"file": ("a.wav", wav(voice(1.0, ADA_HZ)))}))


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_mutated_uploads(server: TestClient, kind: str) -> None:
    """Bytes changed, cut out and doubled, in the recording and in the form around it."""

    chance, file = random.Random(kind), io.BytesIO()
    soundfile.write(file, voice(1.0, ADA_HZ), 16_000, format=kind)
    whole = file.getvalue()
    for _ in range(60):
        content = mutated(whole, chance)
        body, headers = multipart(content, model="whisper-1")
        if chance.random() < 0.3:
            body = mutated(body, chance)
        headers["content-length"] = str(len(body))
        check(server.post(URL, content=body, headers=headers))


def mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(min(len(changed), 200) if chance.random() < 0.6 else len(changed))
        what = chance.random()
        if what < 0.6:
            changed[at] = chance.randrange(256)
        elif what < 0.8:
            del changed[at : at + chance.randrange(1, 400)]
        else:
            changed[at:at] = changed[at : at + chance.randrange(1, 100)]
        if not changed:
            return b""
    return bytes(changed)


@settings(max_examples=60, **SLOWLY)  # type: ignore[arg-type]
@given(
    body=st.binary(max_size=300), kind=st.sampled_from(["multipart/form-data; boundary=m", "multipart/form-data", "x"])
)
def test_any_bytes(server: TestClient, body: bytes, kind: str) -> None:
    for url in (URL, "/v1/voices", "/v1/voices/import"):
        check(server.post(url, content=body, headers={"content-type": kind}))


@settings(max_examples=60, **SLOWLY)  # type: ignore[arg-type]
@given(name=st.text(min_size=1, max_size=80), new=st.none() | st.text(max_size=80) | st.integers())
def test_any_name(server: TestClient, name: str, new: Any) -> None:

    path = f"/v1/voices/{quote(name.encode('utf-8', 'replace'), safe='')}"
    for answer in (server.get(path), server.delete(path), server.patch(path, json={"name": new})):
        check(answer)


def test_the_openapi_document_refers_to_what_is_there(server: TestClient) -> None:
    document = server.get("/openapi.json")
    schemas = document.json()["components"]["schemas"]

    assert set(re.findall(r'"#/components/schemas/(\w+)"', document.text)) <= set(schemas)
    form = document.json()["paths"][URL]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"file", "model", "known_speaker_names[]", "speakers[]", "stream"} <= set(form["properties"])
    assert form["required"] == ["file", "model"]


def test_the_openapi_document_tells_of_errors(server: TestClient) -> None:
    """What schemathesis found missing: each error that a route may answer with, in the one shape, and all formats."""
    document = server.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    shape = answer["content"]["application/json"]["schema"]
                    assert shape == {"$ref": "#/components/schemas/Failure"}, (path, status)
    told = document["paths"][URL]["post"]["responses"]
    assert {"400", "401", "404", "413", "415", "429", "503"} <= set(told)
    formats = {"application/json", "text/plain", "text/vtt", "application/x-subrip", "text/event-stream"}
    assert set(told["200"]["content"]) == formats
    assert {"404", "409", "422"} <= set(document["paths"]["/v1/voices/{name}"]["patch"]["responses"])


def test_a_method_that_is_not_there(server: TestClient) -> None:
    """All that are there are named, whichever route comes first."""
    assert server.put("/v1/voices/ada").headers["allow"] == "DELETE, GET, PATCH"
    assert server.put("/v1/voices").headers["allow"] == "GET, POST"
    assert server.put("/").headers["allow"] == "GET"


@pytest.mark.parametrize("deep", ['{"a":' * 50_000, '{"type": "\\ud800"}', '{"type": "server_vad", "threshold": NaN}'])
def test_json_in_a_field(server: TestClient, deep: str) -> None:
    files = {"file": ("a.wav", wav(voice(1.0, ADA_HZ)))}
    answer = server.post(URL, data={"model": "whisper-1", "chunking_strategy": deep}, files=files)
    check(answer)
    assert answer.json()["error"]["param"] == "chunking_strategy"
