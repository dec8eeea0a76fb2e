"""The CAM++ encoder on OpenVINO: PyTorch's voices, windows, long recordings, and whose weights it takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from made_campplus import made_network, made_weights
from voices import voice

from softspoken.errors import AudioError, BackboneError
from softspoken.speakers import campplus
from softspoken.speakers.campplus import BANDS, CamPlusEmbedder, ranges, read_weights, sounding, window_frames
from softspoken.speakers.campplus_graph import context_weights, recording_inputs, window_graph
from softspoken.speakers.features import centred, kaldi_log_mel
from softspoken.speakers.graphs import Graph


@pytest.fixture(scope="module")
def embedder() -> CamPlusEmbedder:
    return CamPlusEmbedder(made_weights)


def in_torch(mel: np.ndarray) -> np.ndarray:
    """Vectors of centred log mel [B, T, 80], of length one."""
    with torch.inference_mode():
        vectors = made_network()(torch.from_numpy(np.ascontiguousarray(mel))).numpy()
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.5, 9.0])
def test_voices_are_those_of_the_network_in_pytorch(embedder: CamPlusEmbedder, seconds: float) -> None:
    """Whatever recordings are filled up with changes nothing."""
    audio = voice(seconds)
    vector = embedder.embed(audio)
    assert vector.shape == (192,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(vector, in_torch(centred(sounding(kaldi_log_mel(audio, BANDS))[None]))[0], atol=1e-5)


@pytest.mark.parametrize("window_s", [0.02, 0.8, 1.6, 5.0])
def test_windows_together_are_windows_alone(embedder: CamPlusEmbedder, window_s: float) -> None:
    """Spectrogram once and all windows in batches gives what each window's own frames give."""
    audio = voice(7.0)
    vectors, starts_s = embedder.embed_windows(audio, window_s, 0.2)
    assert len(starts_s) > 10
    mel = kaldi_log_mel(audio, BANDS)
    frames = max(round(window_s * 100) - 2, 4)
    for index in (0, 1, 9, len(starts_s) - 1):
        first = round(float(starts_s[index]) * 100)
        np.testing.assert_allclose(vectors[index], in_torch(centred(mel[None, first : first + frames]))[0], atol=1e-4)
    assert round(float(starts_s[-1]) * 100) + frames == len(mel)


def test_a_window_is_what_the_recording_of_it_is(embedder: CamPlusEmbedder) -> None:
    audio = voice(3.0)
    vectors, _ = embedder.embed_windows(audio, 0.8, 0.4)
    np.testing.assert_allclose(vectors[2], embedder.embed(audio[12_800:25_600]), atol=1e-4)


def test_audio_shorter_than_a_window_is_one_window(embedder: CamPlusEmbedder) -> None:
    audio = voice(0.5)
    for one in (embedder, CamPlusEmbedder(made_weights, windows="bfloat16")):
        vectors, starts_s = one.embed_windows(audio, 0.8, 0.4)
        np.testing.assert_array_equal(starts_s, [0.0])
        np.testing.assert_allclose(vectors[0], in_torch(centred(kaldi_log_mel(audio, BANDS)[None]))[0], atol=1e-5)


@pytest.mark.parametrize("frames", [78, 250])
def test_the_graph_of_windows_is_the_network(frames: int) -> None:
    """Also of windows of more than one segment of context."""
    mel = np.random.default_rng(0).standard_normal((2, frames, BANDS)).astype(np.float32)
    (vectors,) = Graph(lambda: window_graph(made_weights(), 2, frames))(mel)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, in_torch(mel), atol=1e-5)


def test_context_is_the_mean_of_the_whole_and_of_the_segment() -> None:
    values = np.random.default_rng(0).standard_normal(250)
    filled = np.concatenate([values, np.full(50, 9.0)])
    mean, spread = context_weights(300, 250)
    segments = [values[first : first + 100].mean() + values.mean() for first in (0, 100, 200)]
    np.testing.assert_allclose(filled @ mean, segments, atol=1e-5)
    np.testing.assert_array_equal(spread.sum(axis=0), 1)


def test_recordings_are_filled_up_with_nothing() -> None:
    mel = np.ones((1, 7, BANDS), np.float32)
    filled, frames, inside, *_ = recording_inputs(mel, 50)
    assert filled.shape == (1, 50, BANDS)
    assert filled[0, 7:].max() == 0
    assert (frames.sum(), inside.sum()) == (7, 4)


def test_a_long_recording_is_the_mean_of_its_parts(embedder: CamPlusEmbedder) -> None:
    audio = voice(40.0)
    halves = [in_torch(centred(part[None]))[0] for part in np.array_split(sounding(kaldi_log_mel(audio, BANDS)), 2)]
    mean = halves[0] + halves[1]
    np.testing.assert_allclose(embedder.embed(audio), mean / np.linalg.norm(mean), atol=1e-4)


def test_silence_around_a_voice_does_not_count(embedder: CamPlusEmbedder) -> None:
    audio = voice(3.0)
    nothing = np.zeros(48_000, np.float32)
    padded = np.concatenate([nothing, audio, nothing])
    wanted = embedder.embed(audio)
    whole = in_torch(centred(kaldi_log_mel(padded, BANDS)[None]))[0]
    assert np.linalg.norm(embedder.embed(padded) - wanted) < 0.1 * np.linalg.norm(whole - wanted)


def test_loudness_does_not_matter(embedder: CamPlusEmbedder) -> None:
    audio = voice(3.0)
    np.testing.assert_allclose(embedder.embed(audio), embedder.embed(0.05 * audio), atol=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_only_windows_are_rounded(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campplus, "fastest_rounding", lambda: precision)
    exact = CamPlusEmbedder(made_weights)
    rounding = exact.rounding()
    assert rounding is exact.rounding()
    assert rounding is rounding.rounding()
    audio = voice(2.0)
    np.testing.assert_array_equal(rounding.embed(audio), exact.embed(audio))
    (found, found_s), (wanted, wanted_s) = rounding.embed_windows(audio), exact.embed_windows(audio)
    np.testing.assert_array_equal(found_s, wanted_s)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    # The ranges of int8 are those of the published weights, not of random ones.
    assert (found * wanted).sum(axis=1).min() > (0.99 if precision == "bfloat16" else 0.0)


@pytest.mark.embedded
def test_windows_in_int8_are_about_those_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campplus, "fastest_rounding", lambda: "int8")
    exact = CamPlusEmbedder.load()
    audio = voice(4.0)
    found, wanted = exact.rounding().embed_windows(audio, 0.8, 0.4)[0], exact.embed_windows(audio, 0.8, 0.4)[0]
    assert not np.array_equal(found, wanted)
    assert (found * wanted).sum(axis=1).min() > 0.9


def test_every_product_that_is_rounded_has_its_range() -> None:
    names = {name.removesuffix(".weight") for name, weight in made_weights().items() if weight.ndim > 2}
    assert set(ranges()) <= names | {name.removesuffix(".linear") for name in names}
    assert all(top > 0 for top in ranges().values())


def test_digital_silence_gives_a_finite_vector(embedder: CamPlusEmbedder) -> None:
    assert np.isfinite(embedder.embed(np.zeros(16_000, np.float32))).all()
    assert np.isfinite(embedder.embed_windows(np.zeros(16_000, np.float32), 0.8, 0.4)[0]).all()


def test_short_audio_is_refused(embedder: CamPlusEmbedder) -> None:
    with pytest.raises(AudioError, match="expected at least"):
        embedder.embed(np.zeros(100, np.float32))
    with pytest.raises(AudioError, match="expected at least"):
        embedder.embed_windows(np.zeros(100, np.float32))


def test_windows_hold_the_frames_whose_samples_are_theirs() -> None:
    frames, starts = window_frames(16_000, 0.8, 0.4)
    assert frames == 78
    assert list(starts) == [0, 20]


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save(made_network().state_dict(), tmp_path / "other.pt")
    with pytest.raises(BackboneError, match="has tensors"):
        read_weights(tmp_path / "other.pt")
    (tmp_path / "damaged.pt").write_bytes(b"not a checkpoint" * 100)
    with pytest.raises(BackboneError, match="not a readable CAM\\+\\+ checkpoint"):
        read_weights(tmp_path / "damaged.pt")
