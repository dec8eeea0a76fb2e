"""Segmentation: shapes, windows, whose weights it takes; with the real ones, where speech and two talkers are."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from segmentation_reference import SegmentationNetwork
from voices import voice

from softspoken.audio import load_audio
from softspoken.errors import AudioError, BackboneError, ConfigError
from softspoken.speakers.segmentation import (
    FRAME_SAMPLES,
    FRAME_STEP,
    Segmenter,
    band_passes,
    load_segmentation,
    read_weights,
)


def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return SegmentationNetwork().eval()


def weights() -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network().state_dict().items()}


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(weights)


@pytest.mark.parametrize("samples", [1600, 1601, 16_000, 160_000])
def test_probabilities_are_those_of_the_network_in_pytorch(segmenter: Segmenter, samples: int) -> None:
    windows = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    said = segmenter.probabilities(windows.numpy())
    assert said.shape == (2, 1 + (samples - FRAME_SAMPLES) // FRAME_STEP, 7)
    np.testing.assert_allclose(said.sum(-1), 1, atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(said, network()(windows).exp().numpy(), atol=1e-4)


def test_ten_seconds_are_589_frames() -> None:
    assert 1 + (160_000 - FRAME_SAMPLES) // FRAME_STEP == 589


def test_filters_pass_their_band_alone() -> None:
    """Each pair, even and odd, answers to a tone within its band and hardly to one far from it."""
    filters = torch.from_numpy(band_passes(weights()))
    torch.testing.assert_close(filters, network().sincnet.get_submodule("conv1d.0.filterbank")().detach())
    assert filters.shape == (80, 1, 251)
    even, odd = filters[:40, 0], filters[40:, 0]
    torch.testing.assert_close(even, even.flip(1))
    torch.testing.assert_close(odd, -odd.flip(1))
    spectrum = torch.fft.rfft(even, 16_000).abs()
    edges = torch.linspace(0, 7900, 41)
    # 50 Hz are added to the lower edge and 50 Hz to the width.
    middles = ((edges[:-1] + 50 + edges[1:] + 100) / 2).round().long()
    far = (middles + 4000) % 8000
    rows = torch.arange(40)
    assert (spectrum[rows, middles] > 20 * spectrum[rows, far]).all()


@pytest.mark.parametrize("seconds", [0.1, 0.511, 3.0, 10.0, 10.001, 23.4])
def test_probabilities_of_frames_of_20_ms(segmenter: Segmenter, seconds: float) -> None:
    audio = voice(seconds)
    said = segmenter.segment(audio)
    frames = -(-len(audio) // 320)
    assert said.speech.shape == said.overlap.shape == (frames,)
    assert said.local.shape == (len(said.starts), min(frames, 500), 3)
    assert said.starts[0] == 0
    assert said.starts[-1] + said.local.shape[1] == frames
    for values in (said.speech, said.overlap, said.local):
        assert values.dtype == np.float32
        assert 0 <= values.min() <= values.max() <= 1 + 1e-5
    assert (said.overlap <= said.speech + 1e-6).all()


def test_a_recording_of_one_window_says_what_its_talkers_do(segmenter: Segmenter) -> None:
    """Somebody speaks with the sum of the talkers' probabilities, less that of two, which counts twice."""
    said = segmenter.segment(voice(4.0))
    np.testing.assert_allclose(said.local[0].sum(axis=1) - said.overlap, said.speech, atol=1e-5)


def test_windows_are_those_of_the_pieces_and_are_averaged(segmenter: Segmenter) -> None:
    audio = voice(15.0)
    said = segmenter.segment(audio, step_s=5.0)
    first, second = segmenter.segment(audio[:160_000]), segmenter.segment(audio[80_000:])
    np.testing.assert_allclose(said.local, np.concatenate([first.local, second.local]), atol=1e-5)
    np.testing.assert_allclose(said.speech[:250], first.speech[:250], atol=1e-5)
    np.testing.assert_allclose(said.speech[250:500], (first.speech[250:] + second.speech[:250]) / 2, atol=1e-5)
    np.testing.assert_allclose(said.overlap[500:], second.overlap[250:], atol=1e-5)


def test_many_windows_go_in_batches(segmenter: Segmenter) -> None:
    audio = voice(30.0)
    said = segmenter.segment(audio, step_s=1.0)
    assert list(said.starts) == list(range(0, 1001, 50))
    last = segmenter.segment(audio[-160_000:])
    np.testing.assert_allclose(said.local[-1], last.local[0], atol=1e-5)


def test_loudness_does_not_matter(segmenter: Segmenter) -> None:
    loud, quiet = segmenter.segment(voice(3.0)), segmenter.segment(0.3 * voice(3.0))
    np.testing.assert_allclose(loud.speech, quiet.speech, atol=1e-2)


def test_short_audio_and_impossible_steps_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(AudioError, match="expected at least"):
        segmenter.segment(np.zeros(100, np.float32))
    for step_s in (0.0, 11.0):
        with pytest.raises(ConfigError, match="step"):
            segmenter.segment(voice(1.0), step_s)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": network().state_dict()}, tmp_path / "other.pt")
    with pytest.raises(BackboneError, match="has tensors"):
        read_weights(tmp_path / "other.pt")
    torch.save(network().state_dict(), tmp_path / "bare.pt")
    with pytest.raises(BackboneError, match="not a readable segmentation checkpoint"):
        read_weights(tmp_path / "bare.pt")


@pytest.mark.embedded
def test_nobody_speaks_in_silence() -> None:
    assert load_segmentation() is load_segmentation()
    noise = 1e-4 * np.random.default_rng(0).standard_normal(160_000).astype(np.float32)
    for audio in (np.zeros(48_000, np.float32), noise):
        said = load_segmentation().segment(audio)
        assert said.speech.mean() < 0.05
        assert said.overlap.max() < 0.05


@pytest.mark.embedded
@pytest.mark.shared_data
def test_speech_where_words_are_and_overlap_where_two_speak(shared_data: Path) -> None:
    speech = shared_data / "speech"
    rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["split"] == "train" and row.get("words") and 4 < row["duration_s"] < 9]
    clips, probabilities = [], []
    for row in list({row["speaker"]: row for row in rows}.values())[:8]:
        audio = load_audio(speech / row["path"])
        clips.append(0.05 * audio / np.sqrt(np.mean(audio**2)))
        said = load_segmentation().segment(np.concatenate([clips[-1], np.zeros(32_000, np.float32)]))
        words = [frame for _, start, end in row["words"] for frame in range(round(start * 50), round(end * 50))]
        probabilities.append((said.speech[words].mean(), said.speech[-80:].mean(), said.overlap.mean()))
    inside, behind, alone = np.mean(probabilities, axis=0)
    assert inside > 0.9
    assert behind < 0.2
    pairs = [one[: len(other)] + other[: len(one)] for one, other in pairwise(clips)]
    assert np.mean([load_segmentation().segment(pair).overlap.mean() for pair in pairs]) > alone + 0.4
