"""The enrolled voice out of a recording: everywhere, or where several speak; and the separator with weights."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from voices import PitchEmbedder, voice

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import MissingExtra
from softspoken.evaluation.cascade import CascadeOptions
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.evaluation.separation import extracted, overlaps_extracted
from softspoken.evaluation.voice_filter import VoiceFilter
from softspoken.packages import PinnedPackage

LOW, HIGH, OTHER = 200.0, 1200.0, 700.0
PART = 2 * SAMPLE_RATE_HZ
OPTIONS = CascadeOptions(threshold=0.9, window_s=0.4, hop_s=0.1)


def item(folder: Path, audio: np.ndarray, pitch_hz: float) -> EvaluationItem:
    write_audio(folder / "audio.flac", audio)
    write_audio(folder / "enrolment.flac", voice(3.0, pitch_hz, seed=3))
    return EvaluationItem("a", folder / "audio.flac", folder / "enrolment.flac", "WORDS")


def only_low(audio: np.ndarray, enrolment: np.ndarray) -> np.ndarray:
    """A perfect separator for the low voice."""
    spectrum = np.fft.rfft(audio)
    spectrum[np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE_HZ) > 800] = 0
    return np.fft.irfft(spectrum, len(audio)).astype(np.float32)


class Listening:
    """Plain Whisper that notes what it is given."""

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []

    def __call__(self, audio: np.ndarray) -> Transcript:
        self.heard.append(audio)
        return Transcript((Segment(0.0, 1.0, "words"),))


def share_below_800_hz(audio: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(audio)) ** 2
    return float(power[np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE_HZ) <= 800].sum() / power.sum())


def test_the_voice_goes_to_whisper_if_it_is_the_one(tmp_path: Path) -> None:
    both = voice(2.0, LOW, seed=1) + voice(2.0, HIGH, seed=2)
    whisper = Listening()
    method = extracted(PitchEmbedder(), whisper, only_low)
    assert method.transcribe(item(tmp_path, both, LOW)).text == "words"
    assert share_below_800_hz(whisper.heard[0]) > 0.99
    # What was separated is not the voice that was asked for.
    assert method.transcribe(item(tmp_path, both, OTHER)).text == ""
    assert len(whisper.heard) == 1


def test_only_where_several_speak_it_is_separated(tmp_path: Path) -> None:
    low, high = voice(4.0, LOW, seed=1), voice(4.0, HIGH, seed=2)
    audio = np.zeros(3 * PART, np.float32)
    audio[: 2 * PART] += low
    audio[PART:] += high
    whisper = Listening()
    overlapped = np.repeat(np.array([0, 1, 0], np.float32), PART // 320)
    method = overlaps_extracted(PitchEmbedder(), whisper, only_low, lambda audio: overlapped, OPTIONS)
    assert method.transcribe(item(tmp_path, audio, LOW)).text == "words"
    first, second, third = np.split(whisper.heard[0], 3)
    np.testing.assert_allclose(first, audio[:PART], atol=1e-3)
    assert share_below_800_hz(second) > 0.95
    # The cascade's part, with what it keeps beside a stretch.
    assert not third[SAMPLE_RATE_HZ:].any()


def test_without_overlap_or_target_nothing_is_separated(tmp_path: Path) -> None:
    def refuse(audio: np.ndarray, enrolment: np.ndarray) -> np.ndarray:
        pytest.fail("nothing is to be separated")

    audio = voice(4.0, LOW, seed=1)
    whisper = Listening()
    # One frame short: recordings are no multiple of 20 ms.
    alone = np.zeros(199, np.float32)
    method = overlaps_extracted(PitchEmbedder(), whisper, refuse, lambda audio: alone, OPTIONS)
    assert method.transcribe(item(tmp_path, audio, LOW)).text == "words"
    np.testing.assert_allclose(whisper.heard[0], audio, atol=1e-3)
    assert method.transcribe(item(tmp_path, audio, HIGH)).text == ""


CONFIG = {"n_fft": 1200, "win_length": 640, "hop_length": 160, "n_mels": 128, "log_mel_floor": 1e-6, "frame_stack": 4}
CONFIG |= {"num_lstm_layers": 3, "hidden_dim": 8, "adaptive_w_beta": 0.8, "adaptive_w_a": 0.9, "adaptive_w_b": 0.1}
VOICE = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "window": 80, "stride": 40}


class Session:
    """A model of ours in place of one in a file: `mask` in all bands, full trust; any voice is the same."""

    mask = 1.0

    def __init__(self, path: str, providers: list[str]) -> None:
        self._config = CONFIG if "voicefilter_lite.int8" in path else VOICE

    def get_modelmeta(self) -> SimpleNamespace:
        return SimpleNamespace(custom_metadata_map={"voicefilter_lite_config": json.dumps(self._config)})

    def run(self, names: list[str] | None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        if "mel_window" in given:
            return [np.ones((len(given["mel_window"]), 256), np.float32)]
        frames = given["stacked_logmel"].shape[1]
        assert given["stacked_logmel"].shape == (1, frames, 4 * 128)
        return [np.full((1, frames, 128), self.mask, np.float32), np.ones((1, frames, 1), np.float32)]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> type[Session]:
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(PinnedPackage, "files", lambda self, *members: tuple(map(Path, members)))
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return Session


def test_an_open_mask_leaves_the_recording_where_it_was(sessions: type[Session]) -> None:
    audio = np.pad(voice(1.5, LOW, seed=1), (3_000, 77))
    found = VoiceFilter()(audio, voice(3.0, LOW))
    assert found.shape == audio.shape
    # Bands are wider than a line of the spectrum, so that it is not the very same.
    assert float(found @ audio) ** 2 > 0.9 * float(found @ found) * float(audio @ audio)
    assert np.abs(found[:2_000]).max() < 0.02


def test_a_closed_mask_leaves_nothing_once_it_is_trusted(sessions: type[Session]) -> None:
    sessions.mask = 0.0
    audio = voice(2.0, LOW, seed=1)
    found = VoiceFilter()(audio, voice(0.3, LOW))
    assert np.abs(found[SAMPLE_RATE_HZ:]).max() < 1e-2 * np.abs(audio).max()
    sessions.mask = 1.0


def test_without_onnxruntime_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"the separator 'open-voicefilter-lite' needs the package 'onnxruntime'"):
        VoiceFilter()


@pytest.mark.embedded
def test_the_published_weights_follow_no_voice() -> None:
    """Why the figures of `separate` are those of plain Whisper."""
    pytest.importorskip("onnxruntime")
    low, high = voice(3.0, LOW, seed=1), voice(3.0, HIGH, seed=2)
    real = VoiceFilter()
    one, other = real(low + high, voice(3.0, LOW, seed=3)), real(low + high, voice(3.0, HIGH, seed=4))
    assert np.abs(real.voice(low) - real.voice(high)).max() > 0.05
    assert np.abs(one - other).max() < 0.02 * np.abs(one).max()
