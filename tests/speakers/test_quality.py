"""Clips that no voice can be learned from are refused; two voices are a warning."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from voices import PitchEmbedder, voice

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.errors import AudioError, EnrolmentError
from softspoken.speakers import check_enrolment, load_embedder, speech_frames
from softspoken.speakers.quality import halves_cosine


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


def test_a_good_clip() -> None:
    quality = check_enrolment(np.concatenate([silence(2), voice(5), silence(2)]), "good.wav", PitchEmbedder())
    assert quality.speech_s == pytest.approx(5.0, abs=0.1)
    assert quality.clipped_share == 0
    assert quality.warnings == ()
    assert quality.halves_cosine is not None
    assert quality.halves_cosine > 0.95


def test_silence_is_not_speech_however_loud_the_voice() -> None:
    for gain in (0.3, 1.0, 5.0):
        spoken = speech_frames(gain * np.concatenate([voice(3), silence(3)]))
        assert spoken[:290].mean() > 0.95
        assert spoken[310:].sum() == 0


@pytest.mark.parametrize("seconds", [0.02, 1.0, 2.9])
def test_too_little_speech(seconds: float) -> None:
    with pytest.raises(EnrolmentError, match=r"short\.wav' holds .* s of speech, expected at least 3 s"):
        check_enrolment(np.concatenate([voice(seconds), silence(10)]), "short.wav", PitchEmbedder())


def test_silent() -> None:
    with pytest.raises(AudioError, match=r"none\.wav' is silent"):
        check_enrolment(silence(10), "none.wav", PitchEmbedder())


def test_clipped() -> None:
    loud = np.clip(voice(5) * 20, -1, 1)
    with pytest.raises(EnrolmentError, match=r"loud\.wav' is clipped: .* lower level"):
        check_enrolment(loud, "loud.wav", PitchEmbedder())
    check_enrolment(voice(5) * 8, "nearly.wav", PitchEmbedder())


def test_two_voices_are_a_warning() -> None:
    both = np.concatenate([voice(5, 300), voice(5, 1500)])
    quality = check_enrolment(both, "both.wav", PitchEmbedder())
    assert len(quality.warnings) == 1
    assert "two voices" in quality.warnings[0]
    assert "\n" not in quality.warnings[0]


def test_an_embedder_nobody_measured_gives_no_warning() -> None:
    embedder = PitchEmbedder()
    embedder.two_voices_below = None
    assert check_enrolment(np.concatenate([voice(5, 300), voice(5, 1500)]), "both.wav", embedder).warnings == ()


def test_halves_of_vectors() -> None:
    one, other = np.eye(4, dtype=np.float32)[:2]
    assert halves_cosine(np.stack([one] * 5), 0.15) is None
    assert halves_cosine(np.stack([one] * 8), 0.15) == 1.0
    assert halves_cosine(np.stack([one] * 4 + [other] * 4), 0.15) == pytest.approx(0.0)
    assert halves_cosine(np.stack([one] * 19 + [other]), 0.15) == 1.0


@pytest.mark.embedded
@pytest.mark.shared_data
def test_real_voices_of_training_talkers(shared_data: Path) -> None:
    """The limit was set on such clips; a dozen pairs keep it honest when the code moves."""
    speech = shared_data / "speech"
    rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["corpus"] == "librispeech_train-clean-100" and row["duration_s"] > 10][:12]
    clips = [load_audio(speech / row["path"], end_s=8.0) for row in rows]
    clips = [0.05 * clip / np.sqrt(np.mean(clip**2)) for clip in clips]
    embedder = load_embedder()
    alone = [bool(check_enrolment(clip, "one", embedder).warnings) for clip in clips]
    joined = [np.concatenate([a[:80_000], b[:80_000]]) for a, b in pairwise(clips)]
    together = [bool(check_enrolment(clip, "two", embedder).warnings) for clip in joined]
    assert sum(alone) <= 1
    assert sum(together) >= len(together) - 2
