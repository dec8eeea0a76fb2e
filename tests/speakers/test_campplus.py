"""The CAM++ encoder: shapes, batching, long recordings, and whose weights it takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from voices import voice

from softspoken.errors import AudioError, BackboneError
from softspoken.speakers import campplus
from softspoken.speakers import network as speaker_network
from softspoken.speakers.campplus import CamPlusEmbedder, load_network
from softspoken.speakers.campplus_network import BANDS, CamPlusPlus
from softspoken.speakers.features import centred


def network() -> CamPlusPlus:
    """Random weights whose normalisations do something."""
    torch.manual_seed(0)
    made = CamPlusPlus().eval()
    for part in made.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.get_buffer("running_mean"), std=0.1)
            nn.init.uniform_(part.get_buffer("running_var"), 0.5, 1.5)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.1)
    return made


@pytest.fixture(scope="module")
def embedder() -> CamPlusEmbedder:
    return CamPlusEmbedder(network())


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.5, 9.0])
def test_unit_vectors(embedder: CamPlusEmbedder, seconds: float) -> None:
    vector = embedder.embed(voice(seconds))
    assert vector.shape == (192,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("window_s", [0.02, 0.8, 1.6, 5.0])
def test_windows_together_are_windows_alone(embedder: CamPlusEmbedder, window_s: float) -> None:
    """Spectrogram once and all windows in batches gives what each window's own frames give."""
    audio = voice(9.0)
    vectors, starts_s = embedder.embed_windows(audio, window_s, 0.12)
    assert len(starts_s) > 20
    mel = embedder._log_mel(audio)
    frames = max(round(window_s * 100) - 2, 4)
    for index in (0, 1, 20, len(starts_s) - 1):
        first = round(float(starts_s[index]) * 100)
        with torch.inference_mode():
            alone = embedder.network(centred(mel[None, first : first + frames]))[0].numpy()
        np.testing.assert_allclose(vectors[index], alone / np.linalg.norm(alone), atol=1e-4)
    assert round(float(starts_s[-1]) * 100) + frames == len(mel)


def test_a_window_is_what_the_recording_of_it_is(embedder: CamPlusEmbedder) -> None:
    audio = voice(3.0)
    vectors, _ = embedder.embed_windows(audio, 0.8, 0.4)
    np.testing.assert_allclose(vectors[2], embedder.embed(audio[12_800:25_600]), atol=1e-4)


def test_a_long_recording_is_the_mean_of_its_parts(embedder: CamPlusEmbedder) -> None:
    audio = voice(40.0)
    mel = campplus._sounding(embedder._log_mel(audio))
    halves = [embedder.network(centred(part[None]))[0] for part in mel.tensor_split(2)]
    mean = sum(half / half.norm() for half in halves)
    assert isinstance(mean, torch.Tensor)
    np.testing.assert_allclose(embedder.embed(audio), (mean / mean.norm()).numpy(), atol=1e-4)


def test_silence_around_a_voice_does_not_count(embedder: CamPlusEmbedder) -> None:
    audio = voice(3.0)
    nothing = np.zeros(48_000, np.float32)
    padded = np.concatenate([nothing, audio, nothing])
    with torch.inference_mode():
        whole = embedder.network(centred(embedder._log_mel(padded)[None]))[0].numpy()
    wanted = embedder.embed(audio)
    moved = np.linalg.norm(embedder.embed(padded) - wanted)
    assert moved < 0.1 * np.linalg.norm(whole / np.linalg.norm(whole) - wanted)


def test_loudness_does_not_matter(embedder: CamPlusEmbedder) -> None:
    audio = voice(3.0)
    np.testing.assert_allclose(embedder.embed(audio), embedder.embed(0.05 * audio), atol=1e-3)


def test_context_is_that_of_the_segment_and_of_the_whole() -> None:
    """Section 2.2: masks of two segments differ, and what is far away counts through the mean of the whole."""
    made = network().xvector.get_submodule("block1.tdnnd1.cam_layer")
    torch.manual_seed(1)
    x = torch.randn(1, 128, 250)
    with torch.inference_mode():
        got = made(x)
        context = torch.cat([x[..., s : s + 100].mean(-1, keepdim=True).expand(-1, -1, 100) for s in (0, 100, 200)], -1)
        context = context[..., :250] + x.mean(-1, keepdim=True)
        mask = made.linear2(made.linear1(context).relu()).sigmoid()
        torch.testing.assert_close(got, made.linear_local(x) * mask)


@pytest.mark.parametrize("able", [True, False])
def test_only_windows_are_rounded_and_only_where_it_helps(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker_network, "multiplies_bfloat16", lambda: able)
    exact = CamPlusEmbedder(network())
    rounding = exact.rounding()
    assert rounding is exact.rounding()
    assert (rounding is exact) != able
    audio = voice(2.0)
    np.testing.assert_array_equal(rounding.embed(audio), exact.embed(audio))
    (found, found_s), (wanted, wanted_s) = rounding.embed_windows(audio), exact.embed_windows(audio)
    np.testing.assert_array_equal(found_s, wanted_s)
    assert np.array_equal(found, wanted) != able
    assert (found * wanted).sum(axis=1).min() > 0.99


def test_digital_silence_gives_a_finite_vector(embedder: CamPlusEmbedder) -> None:
    assert np.isfinite(embedder.embed(np.zeros(16_000, np.float32))).all()
    assert np.isfinite(embedder.embed_windows(np.zeros(16_000, np.float32), 0.8, 0.4)[0]).all()


def test_short_audio_is_refused(embedder: CamPlusEmbedder) -> None:
    with pytest.raises(AudioError, match="expected at least"):
        embedder.embed(np.zeros(100, np.float32))


def test_the_bands_are_those_of_the_network() -> None:
    with torch.inference_mode():
        assert network()(torch.randn(2, 50, BANDS)).shape == (2, 192)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "other.pt")
    with pytest.raises(BackboneError, match="has tensors"):
        load_network(tmp_path / "other.pt")
    (tmp_path / "damaged.pt").write_bytes(b"not a checkpoint" * 100)
    with pytest.raises(BackboneError, match="not a readable CAM\\+\\+ checkpoint"):
        load_network(tmp_path / "damaged.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(BackboneError, match="not a readable CAM\\+\\+ checkpoint"):
        load_network(tmp_path / "list.pt")


def test_nothing_is_executed_while_loading(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    torch.save({"head": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(BackboneError):
        load_network(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_many_recordings_have_the_vectors_of_single_ones() -> None:
    torch.manual_seed(0)
    embedder = CamPlusEmbedder(CamPlusPlus())
    audio = [voice(seconds, 300.0, seed) for seed, seconds in enumerate((1.0, 1.5, 1.0, 1.5, 0.7))]
    for one, other in zip(embedder.embed_all(audio), audio, strict=True):
        np.testing.assert_allclose(one, embedder.embed(other), atol=1e-5)
