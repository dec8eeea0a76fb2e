"""HuBERT, WavLM, wav2vec 2.0: what transformers gives for one file, and the same for a row of a padded batch."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
import torch
from tiny import tone
from tiny_ssl import KINDS, LAYERS, WIDTH, tiny_encoder, tiny_model
from torch import Tensor
from transformers import Wav2Vec2FeatureExtractor

from softspoken.backbones import Backbone, Features
from softspoken.backbones.base import valid_positions
from softspoken.errors import AudioError
from softspoken_lab.noise.ssl import SSLBackbone, SSLKind

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")

VARIANTS = [
    pytest.param(kind, prenorm, norm, id=f"{kind}-{'pre' if prenorm else 'post'}-{norm}")
    for kind in KINDS
    for prenorm in (False, True)
    for norm in ("group", "layer")
]
variants = pytest.mark.parametrize(("kind", "prenorm", "norm"), VARIANTS)
kinds = pytest.mark.parametrize("kind", KINDS)

SPEECH = [tone(0.83, seed=1), tone(0.21, seed=2) + 0.05, tone(1.4, seed=3), tone(0.026, seed=4)]
"""Of four lengths, one of them a single frame, one with an offset that normalisation takes away."""


def theirs(backbone: SSLBackbone, values: Tensor) -> list[Tensor]:
    """transformers' own forward pass: what enters the first layer, what each gives, the last as the model's output."""
    outputs = backbone.module(values[:, 0], output_hidden_states=True)
    return [*outputs.hidden_states[:-1], outputs.last_hidden_state]


def check_rows(backbone: Backbone, single: list[Features], batch: Features, more: int = 0) -> None:
    """Every valid state of every layer of the batch is the one of the single file, `more` of them not audio."""
    together = backbone.encode_layers(batch)
    for row, features in enumerate(single):
        alone = backbone.encode_layers(features)
        length = int(alone.lengths[0])
        assert int(together.lengths[row]) == length == alone.states[0].shape[1]
        assert length == (int(features.lengths[0]) - 400) // 320 + 1 + more
        for one, many in zip(alone.states, together.states, strict=True):
            torch.testing.assert_close(many[row, :length], one[0], rtol=1e-4, atol=1e-5)


@variants
def test_one_file_gives_what_transformers_gives(kind: SSLKind, prenorm: bool, norm: Literal["group", "layer"]) -> None:
    backbone = tiny_encoder(kind, prenorm, norm=norm)
    features = backbone.features(SPEECH[:1])
    encoded = backbone.encode_layers(features)
    expected = theirs(backbone, features.values)
    assert len(encoded.states) == len(expected) == 1 + LAYERS
    for ours, their in zip(encoded.states, expected, strict=True):
        torch.testing.assert_close(ours, their, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(backbone.encode(features).states, expected[-1], rtol=1e-5, atol=1e-5)
    # The states differ from layer to layer, and with the audio: there is something to compare.
    spread = [float((one - two).abs().mean()) for one, two in pairwise(expected)]
    assert min(spread) > 0.05
    other = backbone.encode(backbone.features([tone(0.83, seed=9)])).states
    assert float((other - expected[-1]).abs().mean()) > 0.05


@variants
def test_a_padded_row_gives_what_the_file_alone_gives(
    kind: SSLKind, prenorm: bool, norm: Literal["group", "layer"]
) -> None:
    backbone = tiny_encoder(kind, prenorm, norm=norm)
    single = [backbone.features([waveform]) for waveform in SPEECH]
    check_rows(backbone, single, backbone.features(SPEECH))


@pytest.mark.parametrize("values", [{"num_conv_pos_embeddings": 15}, {"conv_pos_batch_norm": True}])
def test_other_positions_are_padded_right_too(values: dict[str, Any]) -> None:
    """An odd kernel, and the batch norm that some HuBERTs have in place of weight norm."""
    model = tiny_model("hubert", **values)
    if values.get("conv_pos_batch_norm"):
        model.encoder.pos_conv_embed.batch_norm.running_mean.uniform_(-1, 1)
    backbone = SSLBackbone(model, "tiny", "tiny")
    single = [backbone.features([waveform]) for waveform in SPEECH]
    check_rows(backbone, single, backbone.features(SPEECH))
    for ours, their in zip(backbone.encode_layers(single[0]).states, theirs(backbone, single[0].values), strict=True):
        torch.testing.assert_close(ours, their, rtol=1e-5, atol=1e-5)


def test_what_is_behind_a_row_is_not_heard() -> None:
    backbone = tiny_encoder("wavlm")
    features = backbone.features(SPEECH)
    hidden = ~valid_positions(features.lengths, features.values.shape[-1])[:, None]
    noisy = Features(torch.where(hidden, torch.full_like(features.values, 7.0), features.values), features.lengths)
    quiet, loud = backbone.encode(features), backbone.encode(noisy)
    for row, length in enumerate(quiet.lengths.tolist()):
        torch.testing.assert_close(loud.states[row, :length], quiet.states[row, :length], rtol=1e-4, atol=1e-5)


# Rows that others put in


def in_front(hidden: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
    return torch.cat([rows.expand(hidden.shape[0], -1, -1), hidden], dim=1)


def behind(hidden: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
    pieces = zip(hidden, lengths.tolist(), strict=True)
    return torch.stack([torch.cat([row[:length], rows, row[length:]]) for row, length in pieces])


@pytest.mark.parametrize("place", [in_front, behind])
@pytest.mark.parametrize("prenorm", [False, True])
@kinds
def test_rows_put_in_by_hooks_are_seen_and_masked_right(
    kind: SSLKind, prenorm: bool, place: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    backbone = tiny_encoder(kind, prenorm)
    stack = backbone.stacks["encoder"]
    rows = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def insert(module: object, args: object, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden, lengths = output
        return place(hidden, lengths, rows), lengths + len(rows)

    def overwrite(module: object, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return args[0] * 0.5, *args[1:]

    plain = backbone.encode(backbone.features(SPEECH[:1])).states
    hooks = [stack.entry.register_forward_hook(insert), stack.layers[1].register_forward_pre_hook(overwrite)]
    single = [backbone.features([waveform]) for waveform in SPEECH]
    check_rows(backbone, single, backbone.features(SPEECH), more=len(rows))
    prompted = backbone.encode(single[0]).states
    audio = prompted[:, len(rows) :] if place is in_front else prompted[:, : -len(rows)]
    assert float((audio - plain).detach().abs().mean()) > 1e-3
    prompted[0, 0, 0].backward()
    assert rows.grad is not None
    assert float(rows.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in backbone.module.parameters())
    for hook in hooks:
        hook.remove()
    assert torch.equal(backbone.encode(single[0]).states, plain)


# What it is


@kinds
def test_it_is_frozen_and_drops_nothing(kind: SSLKind) -> None:
    backbone = tiny_encoder(kind, prenorm=True)
    assert not any(module.training for module in backbone.module.modules())
    assert not any(parameter.requires_grad for parameter in backbone.module.parameters())
    assert (backbone.kind, set(backbone.stacks), backbone.stacks["encoder"].width) == (kind, {"encoder"}, WIDTH)
    assert backbone.parameter_count == sum(parameter.numel() for parameter in backbone.module.parameters())
    features = backbone.features(SPEECH)
    assert torch.equal(backbone.encode(features).states, backbone.encode(features).states)


@kinds
def test_half_precision_stays_close(kind: SSLKind) -> None:
    backbone = tiny_encoder(kind)
    expected = backbone.encode(backbone.features(SPEECH))
    assert backbone.to("cpu", torch.bfloat16) is backbone
    features = backbone.features(SPEECH)
    assert features.values.dtype == backbone.dtype == torch.bfloat16
    encoded = backbone.encode(features)
    valid = valid_positions(encoded.lengths, encoded.states.shape[1])
    difference = (encoded.states.float() - expected.states)[valid].abs().mean()
    assert 0 < float(difference) < 0.1 * float(expected.states[valid].abs().mean())


# Audio in


def test_waveforms_are_normalised_over_their_own_samples_where_the_model_was_trained_so() -> None:
    features = tiny_encoder().features(SPEECH)
    assert features.values.shape == (len(SPEECH), 1, max(waveform.size for waveform in SPEECH))
    assert features.lengths.tolist() == [waveform.size for waveform in SPEECH]
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    expected = extractor(SPEECH, sampling_rate=16_000, padding=True, return_tensors="pt").input_values
    torch.testing.assert_close(features.values[:, 0], expected, rtol=1e-4, atol=1e-5)
    plain = tiny_encoder(normalised=False).features(SPEECH)
    for row, waveform in enumerate(SPEECH):
        assert np.array_equal(plain.values[row, 0, : waveform.size].numpy(), waveform)
        assert not plain.values[row, 0, waveform.size :].any()


def test_a_window_adds_silence_that_is_heard() -> None:
    backbone = tiny_encoder()
    features = backbone.features(SPEECH, window_s=1.5)
    assert features.lengths.tolist() == [24_000] * len(SPEECH)
    bare = backbone.features(SPEECH[:1])
    size = SPEECH[0].size
    assert torch.equal(features.values[:1, :, :size], bare.values)
    assert not features.values[0, 0, size:].any()
    assert torch.equal(backbone.features([SPEECH[0]], window_s=size / 16_000).values, bare.values)


def test_silence_and_one_frame_are_audio() -> None:
    backbone = tiny_encoder()
    assert backbone.frontend.window == 400
    encoded = backbone.encode(backbone.features([np.zeros(4000, np.float32), tone(0.025)]))
    assert encoded.lengths.tolist() == [12, 1]
    assert torch.isfinite(encoded.states).all()
    samples = torch.arange(400, 3000)
    expected = torch.stack([backbone.module._get_feat_extract_output_lengths(size) for size in samples])
    assert torch.equal(backbone.frontend.frames(samples), expected)


@pytest.mark.parametrize(
    ("audio", "window_s", "expected"),
    [
        ([], None, "no audio given"),
        ([tone(1.0), np.zeros(399, np.float32)], None, r"399 samples .* needs 400 \(0\.025 s"),
        ([np.zeros(0, np.float32)], 1.0, "0 samples"),
        ([np.zeros((2, 4000), np.float32)], None, "mono"),
        ([tone(1.0)], 0.5, r"1\.00 s of audio for a window of 0\.50 s"),
        ([np.full(4000, np.nan, np.float32)], None, "not finite"),
    ],
)
def test_bad_audio_is_refused_in_one_line(audio: list[np.ndarray], window_s: float | None, expected: str) -> None:
    with pytest.raises(AudioError, match=expected) as caught:
        tiny_encoder().features(audio, window_s)
    assert "\n" not in str(caught.value)
