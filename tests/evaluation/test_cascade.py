"""The cascade on two made-up voices: tones of 300 and 800 Hz, and an embedder that tells them apart."""

import numpy as np
import pytest

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import ConfigError
from softspoken.evaluation.cascade import (
    CascadeOptions,
    DiariseOptions,
    Options,
    cascade_named,
    stretches_of,
    target_audio,
)
from softspoken.speakers import SpeakerEmbedder
from softspoken.speakers.segmentation import Segmentation, Segmenter


class Pitch(SpeakerEmbedder):
    """Energy in three bands, as a unit vector."""

    name = "pitch"
    dimension = 3

    def embed(self, audio: np.ndarray) -> np.ndarray:
        spectrum = np.abs(np.fft.rfft(audio)) ** 2
        hz = np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE_HZ)
        bands = [spectrum[(hz >= low) & (hz < low + 500)].sum() for low in (50, 550, 1050)]
        return (np.array(bands) / (np.linalg.norm(bands) + 1e-12)).astype(np.float32)


def tone(hz: float, seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


LOW, HIGH, ABSENT = 300.0, 800.0, 1300.0
TURNS = np.concatenate([tone(LOW, 4.0), tone(HIGH, 4.0)])
METHODS = pytest.mark.parametrize("options", [CascadeOptions(), DiariseOptions()], ids=["cascade", "diarise"])


class Halves(Segmenter):
    """Hears one talker in the first 4 s and another one afterwards; `both` from second 3 to 5, where that is asked."""

    def __init__(self, both: bool = False) -> None:
        self.both = both

    def segment(self, audio: np.ndarray, step_s: float = 5.0) -> Segmentation:
        local = np.zeros((1, -(-len(audio) // 320), 3), np.float32)
        local[0, : 250 if self.both else 200, 0] = 1.0
        local[0, 150 if self.both else 200 :, 1] = 1.0
        count = local[0].sum(axis=1)
        return Segmentation((count > 0).astype(np.float32), (count > 1).astype(np.float32), local, np.array([0]))


def kept(audio: np.ndarray) -> tuple[float, float]:
    """Share of the first and of the second half that was left."""
    heard = np.abs(audio) > 0
    return float(heard[: 4 * SAMPLE_RATE_HZ].mean()), float(heard[4 * SAMPLE_RATE_HZ :].mean())


@METHODS
@pytest.mark.parametrize(("voice", "own"), [(LOW, 0), (HIGH, 1)])
def test_keeps_the_turn_of_the_enrolled_voice(options: Options, voice: float, own: int) -> None:
    left = target_audio(TURNS, tone(voice, 5.0), Pitch(), options, Halves())
    assert left is not None
    assert len(left) == len(TURNS)
    shares = kept(left)
    assert shares[own] > 0.8
    assert shares[1 - own] < 0.3


@METHODS
def test_nothing_is_left_of_a_recording_without_the_voice(options: Options) -> None:
    assert target_audio(TURNS, tone(ABSENT, 5.0), Pitch(), options, Halves()) is None


def test_diarised_audio_keeps_what_the_talkers_say_at_once() -> None:
    left = target_audio(TURNS, tone(HIGH, 5.0), Pitch(), DiariseOptions(padding_s=0.0), Halves(both=True))
    assert left is not None
    assert not left[: 3 * SAMPLE_RATE_HZ].any()
    np.testing.assert_array_equal(left[3 * SAMPLE_RATE_HZ :], TURNS[3 * SAMPLE_RATE_HZ :])


def test_cutting_leaves_only_the_voice_and_muting_keeps_its_place() -> None:
    muted, cut = (
        target_audio(TURNS, tone(HIGH, 5.0), Pitch(), CascadeOptions(outside=outside)) for outside in ("mute", "cut")
    )
    assert muted is not None
    assert cut is not None
    assert len(cut) < len(muted)
    np.testing.assert_array_equal(muted[-len(cut) :], cut)


@METHODS
def test_one_short_recording_is_one_window(options: Options) -> None:
    short = tone(LOW, 0.9)
    left = target_audio(short, tone(LOW, 5.0), Pitch(), options, Halves())
    assert left is not None
    np.testing.assert_array_equal(left, short)


def test_stretches_close_gaps_drop_short_ones_and_pad_within_the_recording() -> None:
    frames = np.zeros(500, dtype=bool)  # 10 s
    frames[0:50] = True
    frames[60:100] = True  # 0.2 s after: one stretch from 0 to 2 s
    frames[200:205] = True  # 0.1 s: dropped
    frames[450:500] = True
    options = CascadeOptions(longest_gap_s=0.5, shortest_s=0.3, padding_s=0.2)
    np.testing.assert_allclose(stretches_of(frames, options), [(0.0, 2.2), (8.8, 10.0)])
    assert stretches_of(np.zeros(500, dtype=bool), options) == []


def test_a_threshold_that_is_no_cosine_is_refused() -> None:
    for options in (CascadeOptions, DiariseOptions):
        with pytest.raises(ConfigError, match="cosine"):
            options(threshold=1.7)


def test_names_of_methods_carry_the_threshold() -> None:
    assert cascade_named("cascade") == CascadeOptions()
    assert cascade_named("diarise:0.5") == DiariseOptions(threshold=0.5)
    assert cascade_named("shipped") is None
    with pytest.raises(ConfigError, match="no number"):
        cascade_named("cascade:high")
