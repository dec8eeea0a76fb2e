"""Shared fixtures. Shapes written in signatures are checked while testing (jaxtyping + beartype)."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from softspoken.backbones import WhisperBackbone

install_import_hook(["softspoken", "softspoken_lab"], "beartype.beartype")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: more threads than cores make small products many times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real speech and noise: $SOFTSPOKEN_SHARED_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("SOFTSPOKEN_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "speech" / "manifest.jsonl").is_file():
        pytest.skip(f"real speech not found at {folder}: set SOFTSPOKEN_SHARED_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """The folder with the authors' own numbers: $SOFTSPOKEN_SHARED_REFERENCE, or ../shared/reference."""
    folder = Path(os.environ.get("SOFTSPOKEN_SHARED_REFERENCE", REPOSITORY.parent / "shared" / "reference"))
    if not folder.is_dir():
        pytest.skip(f"reference numbers not found at {folder}: set SOFTSPOKEN_SHARED_REFERENCE to run this test")
    return folder


@pytest.fixture(scope="session")
def shared_backbone() -> "WhisperBackbone":
    from tiny import tiny_backbone

    return tiny_backbone()


@pytest.fixture
def backbone(shared_backbone: "WhisperBackbone") -> "Iterator[WhisperBackbone]":
    """A tiny frozen Whisper. After every test with it, whatever happened there, no hook has stayed behind."""
    from prompt_samples import hook_count

    yield shared_backbone
    assert hook_count(shared_backbone) == 0


@pytest.fixture(autouse=True)
def made_voices_are_speech(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests make voices of tones, which the real detector takes for what they are; where weights are embedded it runs.

    Here speech is what is louder than -60 dBFS.
    """
    if request.node.get_closest_marker("embedded") is not None:
        return

    def voiced(audio: np.ndarray) -> np.ndarray:
        chunks = np.pad(audio, (0, -len(audio) % 512)).reshape(-1, 512)
        loud: np.ndarray = np.sqrt(np.square(chunks).mean(axis=1)) > 1e-3
        return loud

    monkeypatch.setattr("softspoken.speakers.speech.voiced_chunks", voiced)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server for the tests."""
    from postgres_server import binaries, running

    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'softspoken[postgres]'")
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: this test starts a server of its own with initdb and postgres")
    with running(programs) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path | str]:
    """Where a store may be, by a name: each test once with files, and once with a database."""
    if request.param == "sqlite":
        return lambda name: tmp_path / "home" / f"{name}.db"
    url, run = request.getfixturevalue("postgres_url"), secrets.token_hex(4)
    return lambda name: f"{url}&schema={name}-{run}"
