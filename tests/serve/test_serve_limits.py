"""What a server does not put up with, and that the others do not notice."""

import json
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fake_backend import FakeBackend
from served import ADA_HZ, Live, listening, multipart, until, wav
from starlette.testclient import TestClient
from voices import voice

from softspoken.serve.app import create_app
from softspoken.serve.config import Limits, ServerConfig

URL = "/v1/audio/transcriptions"


def post(live: Live, content: bytes, **fields: str) -> tuple[int, Any, dict[str, str]]:
    connection = live.connection()
    body, headers = multipart(content, **{"model": "whisper-1", **fields})
    connection.request("POST", URL, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    kind = answer.headers.get("content-type", "")
    return answer.status, json.loads(text) if "json" in kind else text.decode(), dict(answer.headers.items())


def with_limits(config: ServerConfig, **limits: Any) -> ServerConfig:
    return config.model_copy(update={"limits": config.limits.model_copy(update=limits)})


def test_too_large_is_refused_before_it_is_sent(live: Live) -> None:
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as connection:
        head = f"POST {URL} HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=m\r\n"
        connection.sendall(f"{head}content-length: 2000000000\r\n\r\n".encode())
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413")
    assert live.service.scheduler.waiting == 0


def test_too_large_without_saying_so(live: Live, talk: bytes) -> None:
    """The answer may be lost to a client that goes on sending; the server is not."""
    connection = live.connection()
    body, headers = multipart(bytes(4_000_000), model="whisper-1")
    headers.pop("content-length")
    try:
        connection.request("POST", URL, iter([body[:100_000]] * 50), headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    except (ConnectionResetError, BrokenPipeError):
        pass
    connection.close()
    assert post(live, talk)[0] == 200
    assert live.service.admission.idle


def test_too_long(client: TestClient) -> None:
    long = voice(1.0, ADA_HZ, 0)
    answer = client.post(URL, data={"model": "whisper-1"}, files={"file": ("long.wav", wav(*[long] * 40))})
    assert answer.status_code == 200
    config = ServerConfig(limits=Limits(longest_s=30))
    with TestClient(create_app(FakeBackend(), config)) as strict:
        refused = strict.post(URL, data={"model": "whisper-1"}, files={"file": ("long.wav", wav(*[long] * 40))})
    assert refused.status_code == 413
    assert "'long.wav' lasts longer than 30 s" in refused.json()["error"]["message"]


def test_an_upload_too_large_for_memory_waits_in_a_file(backend: FakeBackend, config: ServerConfig) -> None:
    content = wav(*[voice(1.0, ADA_HZ)] * 40)
    assert len(content) > 1_000_000
    with TestClient(create_app(backend, with_limits(config, memory_mb=1))) as client:
        answer = client.post(URL, data={"model": "whisper-1"}, files={"file": ("long.wav", content)})
    assert answer.json()["usage"]["seconds"] == 40.0


def test_too_many_are_told_when_to_come_back(config: ServerConfig, talk: bytes) -> None:
    gate = threading.Event()
    backend = FakeBackend(gate=gate)
    with listening(backend, with_limits(config, requests=2)) as live, ThreadPoolExecutor(2) as pool:
        running = [pool.submit(post, live, talk) for _ in range(2)]
        until(lambda: live.service.scheduler.waiting == 2)
        status, body, headers = post(live, talk)
        assert status == 429
        assert body["error"]["type"] == "rate_limit_error"
        assert 1 <= int(headers["retry-after"]) <= 120
        gate.set()
        assert [each.result()[0] for each in running] == [200, 200]
        assert post(live, talk)[0] == 200


def test_audio_in_memory_is_bounded(config: ServerConfig, talk: bytes) -> None:
    backend = FakeBackend(gate=threading.Event())
    with listening(backend, with_limits(config, held_s=8.0)) as live, ThreadPoolExecutor(1) as pool:
        running = pool.submit(post, live, talk)
        until(lambda: live.service.scheduler.waiting == 1)
        assert post(live, talk)[0] == 429
        assert backend.gate is not None
        backend.gate.set()
        assert running.result()[0] == 200


def test_too_slow_a_model(config: ServerConfig, talk: bytes) -> None:
    with listening(FakeBackend(batch_s=0.6), with_limits(config, request_s=0.3)) as live:
        status, body, headers = post(live, talk)
    assert (status, body["error"]["code"]) == (504, "time_limit")
    assert headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_client_that_vanishes_costs_no_more_batches(config: ServerConfig, stream: str) -> None:
    backend = FakeBackend(batch_s=0.2)
    # One row a batch, so that the recording would take twelve seconds.
    with listening(backend, with_limits(config, rows=1)) as live:
        connection = live.connection()
        body, headers = multipart(wav(*[voice(1.0)] * 60), model="whisper-1", stream=stream)
        connection.request("POST", URL, body, headers)
        until(lambda: len(backend.batches) > 0)
        connection.sock.close()
        until(lambda: live.service.scheduler.waiting == 0)
        assert len(backend.batches) < 30
        assert live.service.admission.idle


def test_clients_that_say_nothing_are_shown_the_door(config: ServerConfig, talk: bytes) -> None:
    """A hundred silent sockets, a half head and a half body; somebody else is served meanwhile."""
    with listening(FakeBackend(), with_limits(config, silent_client_s=1.0)) as live:
        address = ("127.0.0.1", live.port)
        silent = [socket.create_connection(address, timeout=10) for _ in range(100)]
        half = socket.create_connection(address, timeout=10)
        half.sendall(b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        body, headers = multipart(talk, model="whisper-1")
        stalled = socket.create_connection(address, timeout=10)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        stalled.sendall(f"POST {URL} HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n".encode() + body[:1000])
        assert post(live, talk)[0] == 200
        assert stalled.recv(65536).startswith(b"HTTP/1.1 408")
        assert half.recv(65536) == b""
        assert all(one.recv(1) == b"" for one in silent)
        for one in (*silent, half, stalled):
            one.close()
        assert post(live, talk)[0] == 200


def test_an_orderly_end(config: ServerConfig, talk: bytes) -> None:
    """What is in flight ends; `/ready` says no from the first signal on, and nothing new gets in."""
    gate = threading.Event()
    backend = FakeBackend(gate=gate)
    with listening(backend, config) as live, ThreadPoolExecutor(1) as pool:
        assert live.connection().connect() is None
        waiting = live.connection()
        waiting.request("GET", "/ready")
        assert waiting.getresponse().read().startswith(b'{"status":"ready"')
        running = pool.submit(post, live, talk)
        until(lambda: len(backend.batches) == 1)
        live.server.handle_exit(15, None)
        port = live.port
        until(lambda: not listens(port))
        gate.set()
        assert running.result()[0] == 200
        live.thread.join(10)
        assert not live.thread.is_alive()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_not_ready_while_stopping(client: TestClient) -> None:
    assert client.get("/ready").json()["status"] == "ready"
    client.app.state.service.stopping = True  # type: ignore[attr-defined]
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200


def test_scripts_of_other_sites(client: TestClient, backend: FakeBackend, talk: bytes) -> None:
    def asked(origin: str) -> int:
        headers = {"Origin": origin}
        files = {"file": ("talk.wav", talk)}
        return client.post(URL, data={"model": "whisper-1"}, files=files, headers=headers).status_code

    assert asked("https://evil.example") == 403
    assert asked("http://testserver") == 200
    allowed = ServerConfig(origins=("https://app.example",))
    with TestClient(create_app(backend, allowed)) as other:
        answer = other.get("/v1/models", headers={"Origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-origin" not in other.get("/v1/models", headers={"Origin": "https://b.c"}).headers


def test_what_breaks_inside_stays_inside(client: TestClient, talk: bytes) -> None:
    answer = client.post(URL, data={"model": "whisper-1", "language": "de"}, files={"file": ("talk.wav", talk)})
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    assert client.post(URL, data={"model": "whisper-1"}, files={"file": ("talk.wav", talk)}).status_code == 200


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\xff\xff\xff\xffWAVEfmt ", bytes(1000), b"OggS" * 50])
def test_what_is_no_recording(client: TestClient, content: bytes) -> None:
    answer = client.post(URL, data={"model": "whisper-1"}, files={"file": ("../../etc/passwd", content)})
    message = answer.json()["error"]["message"]
    assert answer.status_code == 400
    assert "'passwd'" in message
    assert "/" not in message


def test_logs_and_metrics_hold_no_words_and_no_names(
    client: TestClient, talk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "softspoken.serve"):
        files = {"file": ("secret-file.wav", talk)}
        fields = {"model": "whisper-1", "known_speaker_names[]": "Ada", "prompt": "secret words"}
        client.post(URL, data=fields, files=files)
        client.get("/v1/voices/Ada")
        client.get("/no/such/Ada")
    lines = [record.facts for record in caplog.records if hasattr(record, "facts")]
    assert [line["status"] for line in lines] == [400, 404, 404]
    written = caplog.text + str(lines) + client.get("/metrics").text
    assert not any(word in written for word in ("Ada", "secret", "word0", "testclient"))
    assert 'route="/v1/voices/{name}"' in written


def test_metrics_count(client: TestClient, talk: bytes) -> None:
    client.post(URL, data={"model": "whisper-1"}, files={"file": ("talk.wav", talk)})
    text = client.get("/metrics").text
    assert "softspoken_audio_seconds_total 5.0" in text
    assert "softspoken_transcriptions 0.0" in text
    assert "softspoken_first_segment_seconds_count 1.0" in text


def test_careful_headers(client: TestClient) -> None:
    headers = client.get("/health").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert len(headers["x-request-id"]) == 16


def test_nobody_reads_an_endless_body_without_a_key(config: ServerConfig, backend: FakeBackend, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("ada sk-ada-0123456789\n")
    body = b'{"name": "' + b"x" * 4_000_000 + b'"}'
    headers = {"content-type": "application/json"}
    with_keys = config.model_copy(update={"keys": tmp_path / "keys"})
    with TestClient(create_app(backend, with_keys)) as client:
        assert client.patch("/v1/voices/ada", content=body, headers=headers).status_code == 401
        headers["authorization"] = "Bearer sk-ada-0123456789"
        assert client.patch("/v1/voices/ada", content=body, headers=headers).status_code == 413
        assert client.patch("/v1/voices/ada", content=b"{", headers=headers).status_code == 422
        assert client.patch("/v1/voices/ada", content=b"{}", headers=headers).json()["error"]["param"] == "name"


class Slow(FakeBackend):
    """Takes its time to tell talkers apart."""

    def __init__(self) -> None:
        super().__init__()
        self.ready, self.at_once, self.most, self.calls = threading.Event(), 0, 0, 0

    def talkers(self, audio: Any) -> Any:
        self.calls += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.ready.wait(10)
        self.at_once -= 1
        return super().talkers(audio)


def test_a_short_clip_does_not_wait_for_talkers_to_be_told_apart(config: ServerConfig, talk: bytes) -> None:
    backend = Slow()
    with listening(backend, config) as live, ThreadPoolExecutor(1) as pool:
        long = pool.submit(post, live, talk, response_format="diarized_json")
        until(lambda: backend.at_once == 1)
        assert post(live, talk)[0] == 200
        assert not long.done()
        backend.ready.set()
        assert long.result()[0] == 200


def test_clients_who_come_and_go_pile_up_no_work(config: ServerConfig, talk: bytes) -> None:
    backend = Slow()
    with listening(backend, config) as live:
        for number in range(4):
            connection = live.connection()
            connection.request("POST", URL, *multipart(talk, model="whisper-1", response_format="diarized_json"))
            waiting = min(number, 1)
            until(lambda most=waiting: backend.at_once == 1 and live.service.telling.statistics().tasks_waiting == most)
            connection.close()
            until(lambda: live.service.admission.idle)
        backend.ready.set()
        assert post(live, talk, response_format="diarized_json")[0] == 200
    assert backend.most == 1
    assert backend.calls < 5


def test_a_page_whose_name_leads_here_is_refused(live: Live) -> None:
    for host, status in (
        ("evil.example", 403),
        ("not a name]", 403),
        (f"localhost:{live.port}", 200),
        (f"[::1]:{live.port}", 200),
    ):
        connection = live.connection()
        connection.request("GET", "/v1/voices", headers={"host": host})
        assert connection.getresponse().status == status, host
        connection.close()


def test_a_stream_ends_in_time(config: ServerConfig) -> None:
    with listening(FakeBackend(batch_s=0.3), with_limits(config, request_s=0.5, rows=1)) as live:
        status, text, _ = post(live, wav(*[voice(1.0)] * 20), stream="true")
    assert status == 200
    assert "time_limit" in text


def test_pages_of_an_allowed_origin_may_send_their_headers(backend: FakeBackend) -> None:
    with TestClient(create_app(backend, ServerConfig(origins=("https://app.example.org",)))) as client:
        asked = {"origin": "https://app.example.org", "access-control-request-method": "POST"}
        wanted = "authorization,content-type,x-stainless-lang,x-stainless-os"
        assert client.options(URL, headers={**asked, "access-control-request-headers": wanted}).status_code == 200


def test_made_up_methods_make_no_new_counts(client: TestClient) -> None:
    for number in range(3):
        client.request(f"METHOD{number}", "/health")
    assert "METHOD" not in client.get("/metrics").text
