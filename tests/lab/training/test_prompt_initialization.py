"""Prompt vectors that begin as silence: what the frozen encoder makes of it, layer by layer."""

import pytest
import torch
from tiny import LAYERS, MAX_FRAMES, WIDTH, tiny_backbone, tone

from softspoken.errors import ConfigError
from softspoken.prompts import PromptConfig, SoftPrompts, StackPrompt
from softspoken_lab.training.initialization import initialize_as_silence, silent_states

BACKBONE = tiny_backbone()
SPEECH = [tone(0.5, 1), tone(0.8, 2)]
FIRST = 40 + 50
"""Frames of the longest clip, and a second more."""


def fresh(encoder: StackPrompt | None, **more: object) -> SoftPrompts:
    torch.manual_seed(0)
    config = PromptConfig(encoder=encoder, speaker=None, **{"decoder": None, **more})
    return SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})


def test_the_vectors_of_each_layer_are_states_of_silent_frames() -> None:
    prompts = fresh(StackPrompt(length=5))
    initialize_as_silence(prompts, BACKBONE, SPEECH[:1])
    entering = BACKBONE.encode_layers(BACKBONE.features(SPEECH[:1], MAX_FRAMES / 50)).states[:-1]
    vectors = prompts.get_parameter("stacks.encoder.vectors")
    for layer, states in zip(vectors, entering, strict=True):
        distances = torch.cdist(layer, states[0])
        assert distances.min(dim=1).values.max() < 0.05
        # Others each, spread over the silence, and none of the speech.
        nearest = distances.argmin(dim=1)
        assert bool((nearest.diff() > 1).all())
        assert int(nearest[0]) >= 25 + 50
        assert int(nearest[-1]) == MAX_FRAMES - 1


def test_several_clips_give_vectors_nearer_to_silence_than_noise_is() -> None:
    prompts = fresh(StackPrompt(length=4))
    noise = prompts.get_parameter("stacks.encoder.vectors").detach().clone()
    initialize_as_silence(prompts, BACKBONE, SPEECH)
    entering = BACKBONE.encode_layers(BACKBONE.features(SPEECH, MAX_FRAMES / 50)).states[:-1]
    for layer, states in enumerate(entering):
        silent = states[:, FIRST:].mean(dim=(0, 1))
        rows = prompts.get_parameter("stacks.encoder.vectors")[layer].mean(dim=0)
        assert (rows - silent).norm() < 0.5 * (noise[layer].mean(dim=0) - silent).norm()


def test_prompts_at_the_input_alone_take_what_enters_the_first_layer() -> None:
    prompts = fresh(StackPrompt(length=3, depth="input"))
    initialize_as_silence(prompts, BACKBONE, SPEECH)
    vectors = prompts.get_parameter("stacks.encoder.vectors")
    assert torch.equal(vectors, silent_states(BACKBONE, SPEECH, 3)[:1])


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_end_of_the_window_is_always_among_them(count: int) -> None:
    entering = BACKBONE.encode_layers(BACKBONE.features(SPEECH, MAX_FRAMES / 50)).states[:-1]
    found = silent_states(BACKBONE, SPEECH, count)
    for rows, states in zip(found, entering, strict=True):
        assert torch.allclose(rows[-1], states[:, -1].mean(dim=0), atol=1e-5)


def test_too_little_silence_for_so_many_vectors() -> None:
    assert silent_states(BACKBONE, SPEECH, MAX_FRAMES - FIRST).shape == (LAYERS, MAX_FRAMES - FIRST, WIDTH)
    with pytest.raises(ConfigError, match=f"leaves {MAX_FRAMES - FIRST} silent positions"):
        silent_states(BACKBONE, SPEECH, MAX_FRAMES - FIRST + 1)


@pytest.mark.parametrize(
    "prompts",
    [
        fresh(StackPrompt(length=4, rank=2)),
        fresh(None, decoder=StackPrompt(length=2)),
        fresh(StackPrompt(), reparameterisation="shared"),
    ],
    ids=["low rank", "decoder alone", "MLPs"],
)
def test_what_is_no_plain_encoder_vector_cannot_begin_so(prompts: SoftPrompts) -> None:
    with pytest.raises(ConfigError, match="plain encoder vectors"):
        initialize_as_silence(prompts, BACKBONE, SPEECH)
