"""A server on the fake model, without a socket; recordings as bytes; its page in a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright drives the browser: pip install playwright"
    )
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine: it shows the page")
    spoken = tmp_path_factory.mktemp("microphone") / "said.wav"
    spoken.write_bytes(wav(voice(20.0, BEN_HZ)))
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", *fake, f"--use-file-for-fake-audio-capture={spoken}"]
        )
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, live: Live, talk: bytes, tmp_path: Path) -> Iterator[Any]:
    """The page with a recording chosen. Nothing may be logged as an error, and no other host asked."""
    (tmp_path / "talk.wav").write_bytes(talk)
    context = browser.new_context(permissions=["microphone"])
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    bad: list[str] = []
    opened.on("console", lambda message: bad.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: bad.append(str(error)))
    own = (live.url, "blob:", "data:")
    opened.on("request", lambda request: None if request.url.startswith(own) else bad.append(request.url))
    opened.goto(live.url)
    opened.set_input_files("#recording", str(tmp_path / "talk.wav"))
    yield opened
    context.close()
    # A browser notes every refusal, also those that the page shows.
    expected = ("status of 409", "status of 422", "code: 503")
    assert [line for line in bad if not any(part in line for part in expected)] == []
