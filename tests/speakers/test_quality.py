"""Clips that no voice can be learned from are refused; two voices are a warning."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from voices import PitchEmbedder, voice

import softspoken
from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_wav
from softspoken.errors import AudioError, EnrolmentError
from softspoken.speakers import SpeakerEmbedder, check_enrolment, load_embedder, speech_frames
from softspoken.speakers.enrolment import Clip, enrol
from softspoken.speakers.quality import EnrolmentLimits, halves


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


def test_a_good_clip() -> None:
    quality = check_enrolment(np.concatenate([silence(2), voice(5), silence(2)]), "good.wav", PitchEmbedder())
    assert quality.speech_s == pytest.approx(5.0, abs=0.1)
    assert quality.clipped_share == 0
    assert "telephone" in quality.warnings[0]  # a tone holds nothing above 4 kHz
    assert quality.halves_cosine is not None
    assert quality.halves_cosine > 0.95


def test_silence_is_not_speech_however_loud_the_voice() -> None:
    for gain in (0.3, 1.0, 5.0):
        spoken = speech_frames(gain * np.concatenate([voice(3), silence(3)]))
        assert spoken[:290].mean() > 0.95
        assert spoken[310:].sum() == 0


@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.9])
def test_too_little_speech(seconds: float) -> None:
    with pytest.raises(EnrolmentError, match=r"short\.wav' holds .* s of speech, expected at least 3 s"):
        check_enrolment(np.concatenate([voice(seconds), silence(10)]), "short.wav", PitchEmbedder())


def test_of_samples_the_part_that_is_meant_is_heard_as_of_a_file(tmp_path: Path) -> None:
    audio = np.concatenate([voice(4, 300), voice(6, 1500)])
    write_wav(tmp_path / "both.wav", audio)
    for span in ((4.0, None), (4.5, 9.0)):
        samples, file = (Clip(given, *span).samples() for given in (audio, tmp_path / "both.wav"))
        np.testing.assert_allclose(samples, file, atol=1e-4)
    assert len(Clip(silence(660)).samples()) == 600 * SAMPLE_RATE_HZ


def test_silent() -> None:
    with pytest.raises(AudioError, match=r"none\.wav' is silent"):
        check_enrolment(silence(10), "none.wav", PitchEmbedder())


def test_clipped() -> None:
    loud = np.clip(voice(5) * 20, -1, 1)
    with pytest.raises(EnrolmentError, match=r"loud\.wav' is clipped: .* lower level"):
        check_enrolment(loud, "loud.wav", PitchEmbedder())
    check_enrolment(voice(5) * 8, "nearly.wav", PitchEmbedder())


def test_two_voices_are_refused_or_the_one_that_says_more_is_taken() -> None:
    both = np.concatenate([voice(9, 300), voice(5, 1500)])
    with pytest.raises(EnrolmentError, match=r"two voices .* accept the one") as error:
        check_enrolment(both, "both.wav", PitchEmbedder())
    assert "\n" not in str(error.value)
    taken = check_enrolment(both, "both.wav", PitchEmbedder(), EnrolmentLimits(accept_mixed=True))
    assert taken.speech_s == pytest.approx(8.0, abs=1.5)
    assert "of the one that says more" in taken.warnings[-1]
    embedder = PitchEmbedder()
    assert float(embedder.embed(taken.spoken) @ embedder.embed(voice(9, 300))) > 0.99


def test_a_voice_is_learned_from_the_speech_wherever_it_stands() -> None:
    embedder, clean = PitchEmbedder(), enrol("a", [voice(6)], PitchEmbedder())
    for before, after in ((0, 20), (20, 0), (35, 5)):
        there = enrol("a", [np.concatenate([silence(before), voice(6), silence(after)])], embedder)
        assert float(there.vector @ clean.vector) > 0.999
        assert there.clip is not None
        assert len(there.clip) / SAMPLE_RATE_HZ == pytest.approx(6.0, abs=0.4)


@pytest.mark.parametrize("change", ["constant", "quiet", "loud"])
def test_level_and_constant_do_not_matter(change: str) -> None:
    changed = {"constant": voice(6) + 0.3, "quiet": voice(6) * 0.05, "loud": voice(6) * 5}[change]
    one, other = enrol("a", [voice(6)], PitchEmbedder()), enrol("a", [changed.astype(np.float32)], PitchEmbedder())
    assert float(one.vector @ other.vector) > 0.999
    assert other.clip is not None
    assert abs(float(other.clip.mean())) < 1e-3
    assert 0.01 < float(np.sqrt(np.mean(other.clip**2))) < 0.3


def test_an_embedder_nobody_measured_gives_no_warning() -> None:
    embedder = PitchEmbedder()
    embedder.two_voices_below = None
    both = np.concatenate([voice(5, 300), voice(5, 1500)])
    assert check_enrolment(both, "both.wav", embedder).halves_cosine is None


def test_halves_of_vectors() -> None:
    one, other = np.eye(4, dtype=np.float32)[:2]
    assert halves(np.stack([one] * 5), 0.15)[0] is None
    assert halves(np.stack([one] * 8), 0.15)[0] == 1.0
    assert halves(np.stack([one] * 4 + [other] * 4), 0.15)[0] == pytest.approx(0.0)
    assert halves(np.stack([one] * 19 + [other]), 0.15)[0] == 1.0


@pytest.mark.embedded
@pytest.mark.shared_data
def test_real_voices_of_training_talkers(shared_data: Path) -> None:
    """The limit was set on such clips; a dozen pairs keep it honest when the code moves."""
    speech = shared_data / "speech"
    rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["corpus"] == "librispeech_train-clean-100" and row["duration_s"] > 10][:8]
    clips = [load_audio(speech / row["path"], end_s=8.0) for row in rows]
    clips = [0.05 * clip / np.sqrt(np.mean(clip**2)) for clip in clips]
    embedder = load_embedder()
    alone = [mixed(clip, embedder) for clip in clips]
    joined = [np.concatenate([a[:80_000], b[:80_000]]) for a, b in pairwise(clips)]
    together = [mixed(clip, embedder) for clip in joined]
    assert sum(alone) == 0
    assert sum(together) >= len(together) - 2


def mixed(clip: np.ndarray, embedder: SpeakerEmbedder) -> bool:
    """Whether it is taken for two voices."""
    try:
        check_enrolment(clip, "clip", embedder)
    except EnrolmentError as error:
        return "two voices" in str(error)
    return False


def coloured(exponent: float, seconds: float) -> np.ndarray:
    rng, size = np.random.default_rng(0), round(seconds * SAMPLE_RATE_HZ)
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), 20.0)
    spectrum = (rng.normal(size=len(hertz)) + 1j * rng.normal(size=len(hertz))) * hertz ** (exponent / 2)
    noise = np.fft.irfft(spectrum, size)
    return np.asarray(0.1 * noise / noise.std(), np.float32)


def tones(*hertz: float, harmonics: int = 1) -> np.ndarray:
    at = np.arange(10 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    waves = [np.sin(2 * np.pi * base * k * at) / k for base in hertz for k in range(1, harmonics + 1)]
    return np.asarray(0.1 * np.sum(waves, axis=0), np.float32)


def melody() -> np.ndarray:
    rng, out = np.random.default_rng(1), np.zeros(11 * SAMPLE_RATE_HZ, np.float32)
    for start in range(0, 10 * SAMPLE_RATE_HZ, 6400):
        at = np.arange(8000) / SAMPLE_RATE_HZ
        note = sum(np.sin(2 * np.pi * 220 * 2 ** (rng.integers(0, 24) / 12) * k * at) / k for k in range(1, 7))
        out[start : start + 8000] += (0.05 * note * np.exp(-4 * at)).astype(np.float32)
    return out


NO_VOICES = {
    **{f"noise {exponent}": coloured(exponent, 10.0) for exponent in (-2, -1, 0, 1)},
    "tone": tones(440.0),
    "low tone": tones(120.0, harmonics=8),
    "chord": tones(131.0, 165.0, 196.0, harmonics=6),
    "music": melody(),
    "near silence with a constant": np.asarray(0.2 + 1e-3 * coloured(0, 10.0), np.float32),
}


@pytest.mark.embedded
@pytest.mark.parametrize("peak_db", [-20, -50])
def test_speech_is_speech_at_any_level(peak_db: float) -> None:
    """A real voice, in steps of 16 bits."""
    loud = load_audio(Path(softspoken.__file__).parent / "assets" / "demo" / "voice_ada.flac")
    soft = loud / np.abs(loud).max() * 10 ** (peak_db / 20)
    soft = (np.round(soft * 2**15) / 2**15).astype(np.float32)
    as_loud, as_soft = (check_enrolment(clip, "ada", PitchEmbedder()).speech_s for clip in (loud, soft))
    assert as_soft == pytest.approx(as_loud, rel=0.1)


@pytest.mark.embedded
@pytest.mark.parametrize("name", NO_VOICES)
def test_what_is_no_voice(name: str) -> None:
    """With the real detector, at any level."""
    for gain in (0.03, 1.0):
        with pytest.raises((EnrolmentError, AudioError), match=r"no speech|constant|s of speech"):
            check_enrolment(NO_VOICES[name] * np.float32(gain), name, PitchEmbedder())
