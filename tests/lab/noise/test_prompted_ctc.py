"""Prompted encoders with a CTC head: equation (1) by hand, batches, gradients, and the frozen network left alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny import tiny_backbone, tone
from tiny_recognizer import ENCODERS, encoder_named, new_prompts, new_recognizer, row_of
from tiny_ssl import tiny_encoder
from torch import Tensor

from softspoken.backbones import Backbone
from softspoken.errors import PromptMismatch
from softspoken.prompts import PromptConfig, StackPrompt, inject
from softspoken.prompts.config import Depth
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.model import PromptedCTC, entering_once, mean_pooled, prompted_states

SECONDS = (0.9, 0.25, 0.6)


def sounds() -> list[np.ndarray]:
    return [tone(seconds, seed) for seed, seconds in enumerate(SECONDS)]


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> Backbone:
    return encoder_named(request.param)


# Equation (1)


def attention_by_hand(joined: np.ndarray, attention: Any, heads: int) -> np.ndarray:
    """softmax(X_P W_Q W_K' X_P' / sqrt(d)) X_P W_V of each head, side by side (the paper's equations 1 and 2)."""
    queries, keys, values = (
        (joined @ getattr(attention, name).weight.double().numpy().T).reshape(len(joined), heads, -1)
        for name in ("q_proj", "k_proj", "v_proj")
    )
    outputs = []
    for head in range(heads):
        scores = queries[:, head] @ keys[:, head].T / np.sqrt(queries.shape[-1])
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        outputs.append(weights / weights.sum(axis=1, keepdims=True) @ values[:, head])
    result: np.ndarray = np.concatenate(outputs, axis=1) @ attention.out_proj.weight.double().numpy().T
    return result


def without_biases(attention: Any) -> None:
    """The equation has none."""
    with torch.no_grad():
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            bias = getattr(attention, name).bias
            if bias is not None:
                bias.zero_()


@pytest.mark.parametrize("name", ["hubert", "wav2vec2", "whisper"])
@pytest.mark.parametrize("heads", [1, 2])
@torch.no_grad()
def test_prompted_attention_is_equation_1(name: str, heads: int) -> None:
    """Through `inject`: what goes into a layer's attention is [X, P], what comes out is what the paper says."""
    backbone: Backbone
    if name == "whisper":
        backbone = tiny_backbone(layers=1)
        attention = backbone.stacks["encoder"].layers[0].self_attn
        attention.num_heads, attention.head_dim = heads, 32 // heads
        attention.scaling = attention.head_dim**-0.5
        normalise: Any = backbone.stacks["encoder"].layers[0].self_attn_layer_norm
    else:
        backbone = tiny_encoder(name, num_hidden_layers=1, num_attention_heads=heads)  # type: ignore[arg-type]
        attention, normalise = backbone.stacks["encoder"].layers[0].attention, torch.nn.Identity()
    without_biases(attention)
    seen: list[Tensor] = []
    handle = attention.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    features = backbone.features([tone(0.5)])
    audio = backbone.embed_audio(features).states[0]
    prompts = new_prompts(backbone, noise_prompts(5))
    with inject(backbone, prompts):
        backbone.encode(features)
    handle.remove()
    (vectors,) = prompts.stacks["encoder"].vectors
    joined = normalise(torch.cat([audio, vectors])).double().numpy()
    expected = attention_by_hand(joined, attention, heads)
    (found,) = seen[0]
    assert found.shape == (len(audio) + 5, 32)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4, rtol=1e-4)
    # The prompts are seen: without them the same frames come out otherwise.
    assert np.abs(attention_by_hand(joined[: len(audio)], attention, heads) - expected[: len(audio)]).max() > 1e-2


# Batches


@pytest.mark.parametrize("depth", ["input", "deep"])
@torch.no_grad()
def test_a_padded_batch_equals_single_files(encoder: Backbone, depth: Depth) -> None:
    model = new_recognizer(encoder, noise_prompts(3, depth))
    features = encoder.features(sounds())
    together, lengths = model(encoder, features)
    states = prompted_states(encoder, features, model.rows())
    assert torch.equal(states.lengths, lengths)
    assert len(set(lengths.tolist())) == len(SECONDS)
    for row, sound in enumerate(sounds()):
        alone, own_lengths = model(encoder, encoder.features([sound]))
        length = int(own_lengths[0])
        assert int(lengths[row]) == length
        torch.testing.assert_close(together[row, :length], alone[0, :length], atol=1e-4, rtol=1e-4)
        own = prompted_states(encoder, encoder.features([sound]), model.rows())
        for layer, state in enumerate(own.states):
            torch.testing.assert_close(states.states[layer][row, :length], state[0, :length], atol=1e-4, rtol=1e-4)
        assert torch.equal(row_of(features, row).lengths, encoder.features([sound]).lengths)


@torch.no_grad()
def test_only_audio_frames_come_out(encoder: Backbone) -> None:
    """As many as the frozen encoder gives, and before the first layer they are the very same."""
    model = new_recognizer(encoder, noise_prompts(3))
    features = encoder.features(sounds())
    plain = encoder.encode_layers(features)
    prompted = prompted_states(encoder, features, model.rows())
    assert torch.equal(prompted.lengths, plain.lengths)
    assert [state.shape for state in prompted.states] == [state.shape for state in plain.states]
    for row, length in enumerate(plain.lengths.tolist()):
        assert torch.equal(prompted.states[0][row, :length], plain.states[0][row, :length])
        for layer in range(1, len(plain.states)):
            moved = prompted.states[layer][row, :length] - plain.states[layer][row, :length]
            assert moved.abs().max() > 1e-3


@pytest.mark.parametrize("name", ENCODERS)
@torch.no_grad()
def test_in_front_and_behind_are_a_permutation(name: str) -> None:
    """Attention without positions does not know where a row stands; WavLM's knows distances."""
    encoder = encoder_named(name)
    features = encoder.features(sounds())
    behind = new_prompts(encoder, noise_prompts(3))()
    one = prompted_states(encoder, features, behind)
    other = prompted_states(encoder, features, replace(behind, placement="unshifted"))
    assert torch.equal(one.lengths, other.lengths)
    apart = 0.0
    for row, length in enumerate(one.lengths.tolist()):
        apart = max(apart, float((one.states[-1][row, :length] - other.states[-1][row, :length]).abs().max()))
    if name.startswith("wavlm"):
        assert apart > 1e-2
    else:
        assert apart < 1e-4


@torch.no_grad()
def test_entering_once_is_a_repeated_batch(encoder: Backbone) -> None:
    features = encoder.features(sounds())
    with entering_once(encoder, 2):
        twice = encoder.encode_layers(features)
    once = encoder.encode_layers(features)
    assert twice.lengths.tolist() == once.lengths.tolist() * 2
    for repeated, state in zip(twice.states, once.states, strict=True):
        for half in (repeated[: len(SECONDS)], repeated[len(SECONDS) :]):
            for row, length in enumerate(once.lengths.tolist()):
                torch.testing.assert_close(half[row, :length], state[row, :length], atol=1e-4, rtol=1e-4)
    after = encoder.encode_layers(features)
    assert all(torch.equal(one, other) for one, other in zip(after.states, once.states, strict=True))


@torch.no_grad()
def test_pooling_leaves_padding_out(encoder: Backbone) -> None:
    found = encoder.encode(encoder.features(sounds()))
    pooled = mean_pooled(found.states, found.lengths)
    assert pooled.shape == (len(SECONDS), encoder.stacks["encoder"].width)
    for row, sound in enumerate(sounds()):
        alone = encoder.encode(encoder.features([sound])).states[0].mean(dim=0)
        torch.testing.assert_close(pooled[row], alone, atol=1e-4, rtol=1e-4)


# The frozen network


@torch.no_grad()
def test_no_prompts_are_the_frozen_network(encoder: Backbone) -> None:
    """Removed prompts, a frozen baseline's none, and an encoder that never knew any: bitwise the same."""
    model = new_recognizer(encoder, noise_prompts(3))
    features = encoder.features(sounds())
    states = encoder.encode_layers(features)
    frozen = model.head(states.states, states.lengths)[0]
    removed, lengths = model.under(None, encoder, features)
    assert torch.equal(removed, frozen)
    assert torch.equal(lengths, states.lengths)
    bare, _ = PromptedCTC(None, model.head).eval()(encoder, features)
    assert torch.equal(bare, frozen)
    prompted, _ = model(encoder, features)
    assert (prompted[0, :5] - frozen[0, :5]).abs().max() > 1e-3


def test_one_step_changes_all_prompts_and_the_head_and_nothing_of_the_backbone(encoder: Backbone) -> None:
    model = new_recognizer(encoder, noise_prompts(3, "deep"))
    weights = {name: tensor.clone() for name, tensor in encoder.module.state_dict().items()}
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    log_probs, lengths = model(encoder, encoder.features(sounds()))
    sum(log_probs[row, :length].square().mean() for row, length in enumerate(lengths.tolist())).backward()
    assert model.prompts is not None
    gradient = model.prompts.stacks["encoder"].vectors.grad
    assert gradient is not None
    assert (gradient.abs().amax(dim=2) > 0).all()
    assert all(parameter.grad is None for parameter in encoder.module.parameters())
    optimiser.step()
    assert [name for name, tensor in model.named_parameters() if torch.equal(tensor, before[name])] == []
    after = encoder.module.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items())


def test_nothing_stays_behind_when_it_fails(encoder: Backbone) -> None:
    features = encoder.features(sounds())
    with torch.no_grad():
        before = encoder.encode(features).states
    model = new_recognizer(encoder, noise_prompts(3))

    def fail() -> None:
        with entering_once(encoder, 2), inject(encoder, model.rows()):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with torch.no_grad():
        assert torch.equal(encoder.encode(features).states, before)


# What cannot be


def test_prompts_of_another_width_are_refused(encoder: Backbone) -> None:
    other = new_prompts(tiny_backbone(width=16, layers=len(encoder.stacks["encoder"].layers)), noise_prompts(3))
    with pytest.raises(PromptMismatch, match=r"prompt width 16, backbone .* width 32; load the backbone") as caught:
        prompted_states(encoder, encoder.features(sounds()), other())
    assert "\n" not in str(caught.value)


def test_prompts_for_a_decoder_that_is_not_there() -> None:
    encoder = tiny_encoder()
    config = PromptConfig(encoder=None, decoder=StackPrompt(length=2, depth="input"), speaker=None)
    whisper = new_prompts(tiny_backbone(), config)
    with pytest.raises(PromptMismatch, match="has no decoder"):
        prompted_states(encoder, encoder.features(sounds()), whisper())


def test_no_prompts_at_all_is_no_configuration() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1") as caught:
        noise_prompts(0)
    assert caught.value.error_count() == 1
    (error,) = caught.value.errors()
    assert error["loc"] == ("length",)
