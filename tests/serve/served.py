"""Recordings as bytes, and a server on the fake model that listens."""

import base64
import http.client
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import soundfile
from fake_backend import FakeBackend

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.serve.app import create_app
from softspoken.serve.config import ServerConfig
from softspoken.serve.run import Server, server_of
from softspoken.serve.service import Service

ADA_HZ, BEN_HZ, CLEO_HZ = 300.0, 900.0, 1500.0


def wav(*parts: np.ndarray) -> bytes:
    """Parts one after the other, as a wav file."""
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(parts), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


def data_url(content: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(content).decode()


@dataclass
class Live:
    """A server that listens on 127.0.0.1, in a thread."""

    server: Server
    service: Service
    thread: threading.Thread

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)


@contextmanager
def listening(backend: FakeBackend, config: ServerConfig) -> Iterator[Live]:
    app = create_app(backend, config.model_copy(update={"port": 0}))
    server = server_of(app, config.model_copy(update={"port": 0}))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    try:
        yield Live(server, app.state.service, thread)
    finally:
        if backend.gate is not None:
            backend.gate.set()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def until(true: Callable[[], bool], most_s: float = 10.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + most_s
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def multipart(content: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    """A form as bytes, and its headers."""
    mark = "----mark"
    parts = [
        f'--{mark}\r\ncontent-disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    head = f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="talk.wav"\r\n\r\n'.encode()
    body = b"".join([*parts, head, content, f"\r\n--{mark}--\r\n".encode()])
    return body, {"content-type": f"multipart/form-data; boundary={mark}", "content-length": str(len(body))}
