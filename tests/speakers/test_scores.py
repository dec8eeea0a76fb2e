"""Windows cover every frame; scores are cosines; many voices at once score as each alone."""

import numpy as np
import pytest
from voices import PitchEmbedder, voice

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import AudioError, ConfigError, EnrolmentError
from softspoken.speakers import FrameScores, activity_scores
from softspoken.speakers.base import window_starts
from softspoken.speakers.scores import spread_over_frames


@pytest.mark.parametrize("length", [1, 5, 159, 160, 161, 184, 200, 1000])
@pytest.mark.parametrize(("window", "hop"), [(160, 24), (160, 160), (7, 3)])
def test_windows_cover_every_position_and_stay_inside(length: int, window: int, hop: int) -> None:
    starts = window_starts(length, window, hop)
    covered = np.zeros(length, int)
    for start in starts:
        covered[start : start + window] += 1
    assert covered.min() >= 1
    assert starts[0] == 0
    assert length <= window or starts[-1] + window == length
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= hop).all()


def test_windows_of_no_length() -> None:
    with pytest.raises(ConfigError, match="window of 0"):
        window_starts(100, 0, 10)


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.6, 1.61, 3.0, 7.3])
@pytest.mark.parametrize("window_s", [0.8, 1.6])
def test_one_score_a_frame(seconds: float, window_s: float) -> None:
    audio, embedder = voice(seconds), PitchEmbedder()
    scores = activity_scores(embedder, audio, embedder.embed(audio), window_s)
    assert scores.shape == (int(np.ceil(len(audio) / SAMPLE_RATE_HZ * 50)),)
    assert np.isfinite(scores).all()
    assert scores.max() <= 1 + 1e-5


def test_scores_follow_the_voice() -> None:
    embedder = PitchEmbedder()
    audio = np.concatenate([voice(4, 300), voice(4, 1400), voice(4, 300)])
    scores = activity_scores(embedder, audio, embedder.embed(voice(5, 300, seed=1)))
    seconds = (np.arange(len(scores)) + 0.5) / 50
    speaks = (seconds < 3) | (seconds > 9)
    silent = (seconds > 5) & (seconds < 7)
    assert scores[speaks].min() > 0.9
    assert scores[silent].max() < 0.3


def test_each_frame_is_the_mean_of_the_windows_over_its_middle() -> None:
    rng = np.random.default_rng(0)
    starts_s = (window_starts(500, 160, 24) / 100).astype(np.float32)
    scores = rng.normal(size=(3, len(starts_s))).astype(np.float32)
    got = spread_over_frames(scores, starts_s, 1.6, 250, 50.0)
    for frame in range(250):
        middle_s = (frame + 0.5) / 50
        over = (starts_s <= middle_s + 1e-6) & (middle_s < starts_s + 1.6 - 1e-6)
        np.testing.assert_allclose(got[:, frame], scores[:, over].mean(axis=1), atol=1e-5)


def test_a_hop_longer_than_the_window_leaves_no_gap() -> None:
    starts_s = np.array([0.0, 1.0, 2.0], np.float32)
    scores = np.array([[1.0, 2.0, 3.0]], np.float32)
    got = spread_over_frames(scores, starts_s, 0.2, 110, 50.0)
    assert set(got[0]) == {1.0, 2.0, 3.0}
    assert (np.diff(got[0]) >= 0).all()


def test_many_voices_score_as_each_alone() -> None:
    embedder, audio = PitchEmbedder(), np.concatenate([voice(3, 300), voice(3, 900)])
    voices = np.stack([embedder.embed(voice(3, hz)) for hz in (300, 900, 1700)])
    together = FrameScores.measure(embedder, audio, 0.8).against(voices)
    assert together.shape == (3, 300)
    for one, row in zip(voices, together, strict=True):
        np.testing.assert_allclose(activity_scores(embedder, audio, one, 0.8), row, atol=1e-6)


def test_a_voice_of_another_embedder_is_refused() -> None:
    with pytest.raises(EnrolmentError, match="256 dimensions, this embedder 8"):
        activity_scores(PitchEmbedder(), voice(2), np.ones(256, np.float32))


@pytest.mark.parametrize("audio", [np.zeros(0, np.float32), np.full(4000, np.nan, np.float32)])
def test_unusable_audio(audio: np.ndarray) -> None:
    with pytest.raises(AudioError):
        activity_scores(PitchEmbedder(), audio, np.ones(8, np.float32))


def test_likeness_is_that_of_the_best_windows_in_a_row() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    voices = vectors[[2, 7]]
    measured = FrameScores(12 * SAMPLE_RATE_HZ, 1.0, vectors, np.arange(12, dtype=np.float32))
    for windows in (1, 3, 12, 50):
        size = min(windows, 12)
        means = [vectors[at : at + size].mean(axis=0) for at in range(12 - size + 1)]
        expected = [max(float(one @ mean / np.linalg.norm(mean)) for mean in means) for one in voices]
        assert measured.likeness(voices, windows) == pytest.approx(expected, abs=1e-5)
    assert measured.likeness(voices, 1) == pytest.approx([1.0, 1.0])
