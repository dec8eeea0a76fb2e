"""A server on the fake model, without a socket; recordings as bytes."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake_backend import FakeBackend
from starlette.testclient import TestClient
from voices import voice

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.serve.app import create_app
from softspoken.serve.config import Limits, ServerConfig

ADA_HZ, BEN_HZ, CLEO_HZ = 300.0, 900.0, 1500.0


def wav(*parts: np.ndarray) -> bytes:
    """Parts one after the other, as a wav file."""
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(parts), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


def data_url(content: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(content).decode()


@pytest.fixture
def talk() -> bytes:
    """Ada for two seconds, Ben for two, Ada for one."""
    return wav(voice(2.0, ADA_HZ), voice(2.0, BEN_HZ), voice(1.0, ADA_HZ))


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    return ServerConfig(data=tmp_path / "data", limits=Limits(upload_mb=3, longest_s=120))


@pytest.fixture
def client(backend: FakeBackend, config: ServerConfig) -> Iterator[TestClient]:
    with TestClient(create_app(backend, config), raise_server_exceptions=False) as opened:
        yield opened
