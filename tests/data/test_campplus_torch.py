"""CAM++ in PyTorch: the voices of the one on OpenVINO, and many recordings together."""

import numpy as np
import pytest
import torch
from made_campplus import made_network, made_weights
from voices import PitchEmbedder, voice

from softspoken.data import campplus_torch
from softspoken.data.campplus_network import WindowNetwork
from softspoken.data.campplus_torch import TorchCamPlus, load_learning_embedder
from softspoken.speakers.campplus import CamPlusEmbedder


@pytest.fixture(scope="module")
def embedder() -> TorchCamPlus:
    return TorchCamPlus(made_weights())


def test_voices_and_windows_are_those_that_serve(embedder: TorchCamPlus) -> None:
    serving = CamPlusEmbedder(made_weights)
    for seconds in (0.1, 1.3, 23.0):
        audio = voice(seconds)
        np.testing.assert_allclose(embedder.embed(audio), serving.embed(audio), atol=1e-5)
    for window_s in (0.8, 2.5):
        found, found_s = embedder.embed_windows(voice(4.0), window_s, 0.4)
        wanted, wanted_s = serving.embed_windows(voice(4.0), window_s, 0.4)
        np.testing.assert_array_equal(found_s, wanted_s)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_many_recordings_have_the_vectors_of_single_ones(embedder: TorchCamPlus) -> None:
    """Those that are filled up beside longer ones, too."""
    audio = [voice(seconds, 300.0, seed) for seed, seconds in enumerate((1.0, 4.7, 1.0, 21.0, 0.1, 2.2, 0.7))]
    for together, alone in zip(embedder.embed_all(audio), audio, strict=True):
        np.testing.assert_allclose(together, embedder.embed(alone), atol=1e-5)


@pytest.mark.parametrize("frames", [(78, 78), (41, 300), (201, 250)])
def test_what_fills_up_changes_nothing(frames: tuple[int, int]) -> None:
    """The network that is arranged for speed gives the module's vectors, of whole rows and of those filled up."""
    module = made_network()
    rows = [torch.randn(size, 80, generator=torch.Generator().manual_seed(size)) for size in frames]
    filled = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    found = WindowNetwork(module.state_dict())(filled, torch.tensor(frames))
    with torch.inference_mode():
        alone = torch.cat([module(row[None]) for row in rows])
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-4)


def test_context_is_that_of_the_segment_and_of_the_whole() -> None:
    """Section 2.2: masks of two segments differ, and what is far away counts through the mean of the whole."""
    made = made_network().xvector.get_submodule("block1.tdnnd1.cam_layer")
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
    monkeypatch.setattr(campplus_torch, "multiplies_bfloat16", lambda: able)
    exact = TorchCamPlus(made_weights())
    rounding = exact.rounding()
    assert rounding is exact.rounding()
    assert (rounding is exact) != able
    audio = voice(2.0)
    np.testing.assert_array_equal(rounding.embed(audio), exact.embed(audio))
    found, wanted = rounding.embed_windows(audio)[0], exact.embed_windows(audio)[0]
    assert np.array_equal(found, wanted) != able
    assert (found * wanted).sum(axis=1).min() > 0.99


def test_learning_takes_this_one_for_campplus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = TorchCamPlus(made_weights()), PitchEmbedder()
    monkeypatch.setattr(campplus_torch.TorchCamPlus, "load", lambda device: ours)
    monkeypatch.setattr(campplus_torch, "load_embedder", lambda reference, device: others)
    assert load_learning_embedder("campplus", "cuda") is ours
    assert load_learning_embedder("ge2e") is others
