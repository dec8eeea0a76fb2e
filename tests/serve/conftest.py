"""A server on the fake model, without a socket; recordings as bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_backend import FakeBackend
from served import ADA_HZ, BEN_HZ, Live, listening, wav
from starlette.testclient import TestClient
from voices import voice

from softspoken.serve.app import create_app
from softspoken.serve.config import Limits, ServerConfig


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


@pytest.fixture
def live(backend: FakeBackend, config: ServerConfig) -> Iterator[Live]:
    with listening(backend, config) as opened:
        yield opened
