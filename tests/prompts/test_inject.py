"""Prompts meet a frozen backbone: what they may change, what they must not, and that nothing stays behind."""

import numpy as np
import pytest
import torch
from prompt_samples import (
    CONFIGS,
    PARTS,
    VOICE,
    activities,
    clips,
    heard,
    one_clip,
    row,
    run,
    run_plain,
    some_tokens,
    stack_rows,
    trained,
    voices,
)
from tiny import LAYERS, WIDTH, tone

from softspoken.backbones import Features, WhisperBackbone
from softspoken.errors import PromptMismatch
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, inject
from softspoken.prompts.modules import clip_states


def test_the_backbone_is_bitwise_what_it_was(backbone: WhisperBackbone, config: PromptConfig) -> None:
    features = heard(backbone, 0.8)
    weights = {name: tensor.clone() for name, tensor in backbone.module.state_dict().items()}
    states, logits = run_plain(backbone, features)
    _, prompted = run(
        backbone, trained(config), features, voices(config, 1), activities(config, 1), clips(backbone, config, 1)
    )
    assert not torch.equal(prompted, logits)
    states_after, logits_after = run_plain(backbone, features)
    assert torch.equal(states_after.states, states.states)
    assert torch.equal(logits_after, logits)
    after = backbone.module.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items())


def test_a_batch_equals_single_rows(backbone: WhisperBackbone, config: PromptConfig) -> None:
    """Rows of different lengths, voices and activities: padding and neighbours change nothing."""
    prompts, voice, activity = trained(config), voices(config, 3), activities(config, 3)
    clip = clips(backbone, config, 3)
    seconds = (0.2, 1.2, 0.7)
    features = heard(backbone, *seconds)
    assert len(set(features.lengths.tolist())) == 3
    together, logits = run(backbone, prompts, features, voice, activity, clip)
    for index in range(3):
        length = int(features.lengths[index])
        single = Features(features.values[index : index + 1, :, :length], features.lengths[index : index + 1])
        alone, alone_logits = run(
            backbone, prompts, single, row(voice, index), row(activity, index), one_clip(clip, index)
        )
        valid = int(alone.lengths[0])
        assert int(together.lengths[index]) == valid == alone.states.shape[1]
        torch.testing.assert_close(together.states[index, :valid], alone.states[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(logits[index], alone_logits[0], atol=1e-4, rtol=1e-4)


def test_cached_decoding_equals_uncached(backbone: WhisperBackbone, config: PromptConfig) -> None:
    prompts, voice, activity = trained(config), voices(config, 2), activities(config, 2)
    features, clip = heard(backbone, 0.5, 1.1), clips(backbone, config, 2)
    tokens = some_tokens(backbone, 2)
    with torch.no_grad(), inject(backbone, prompts, speaker=voice, activity=activity, clips=clip):
        encoded = backbone.encode(features)
        whole = backbone.decode(tokens, encoded)
        cache = backbone.new_cache()
        steps = [backbone.decode(tokens[:, :2], encoded, cache)]
        steps += [backbone.decode(tokens[:, i : i + 1], encoded, cache) for i in range(2, tokens.shape[1])]
        # A second transcript in the same context begins anew.
        again = backbone.decode(tokens[:, :2], encoded, backbone.new_cache())
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again, whole[:, :2], atol=1e-4, rtol=1e-4)


def test_rows_of_several_prompts_share_a_batch(backbone: WhisperBackbone, config: PromptConfig) -> None:
    """Row b runs under prompt b, as if alone."""
    features = heard(backbone, 0.7, 1.2)
    voice, activity, clip = voices(config, 2), activities(config, 2), clips(backbone, config, 2)
    sets = [trained(config, seed) for seed in (1, 5)]
    with torch.no_grad():
        rows = stack_rows([prompts(row(voice, index), one_clip(clip, index)) for index, prompts in enumerate(sets)])
    together, logits = run(backbone, rows, features, activity=activity)
    for index, prompts in enumerate(sets):
        length = int(features.lengths[index])
        single = Features(features.values[index : index + 1, :, :length], features.lengths[index : index + 1])
        alone, alone_logits = run(
            backbone, prompts, single, row(voice, index), row(activity, index), one_clip(clip, index)
        )
        valid = int(alone.lengths[0])
        torch.testing.assert_close(together.states[index, :valid], alone.states[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(logits[index], alone_logits[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if config.speaker is not None])
def test_another_voice_is_heard(backbone: WhisperBackbone, name: str) -> None:
    config = CONFIGS[name]
    features, activity, clip = heard(backbone, 0.8), activities(config, 1), clips(backbone, config, 1)
    one = run(backbone, trained(config), features, voices(config, 1, seed=2), activity, clip)[1]
    other = run(backbone, trained(config), features, voices(config, 1, seed=9), activity, clip)[1]
    assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["none", "shared", "separate"])
def test_folded_prompts_give_the_same_output(backbone: WhisperBackbone, config: PromptConfig, kind: str) -> None:
    prompts = trained(PromptConfig.model_validate(config.model_dump() | {"reparameterisation": kind}))
    folded = prompts.fold()
    assert folded.config.reparameterisation == "none"
    assert folded.parameter_count <= prompts.parameter_count
    features, voice, activity = heard(backbone, 0.8), voices(config, 1), activities(config, 1)
    clip = clips(backbone, config, 1)
    states, logits = run(backbone, prompts, features, voice, activity, clip)
    folded_states, folded_logits = run(backbone, folded, features, voice, activity, clip)
    torch.testing.assert_close(folded_states.states, states.states, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(folded_logits, logits, atol=1e-5, rtol=1e-5)


def test_voice_statistics_survive_folding(backbone: WhisperBackbone) -> None:
    prompts = trained(CONFIGS["separate"])
    prompts.speaker_mean.fill_(0.3)
    prompts.speaker_scale.fill_(2.0)
    features, voice = heard(backbone, 0.6), voices(CONFIGS["separate"], 1)
    torch.testing.assert_close(
        run(backbone, prompts.fold(), features, voice)[1],
        run(backbone, prompts, features, voice)[1],
        atol=1e-5,
        rtol=1e-5,
    )


def test_gradients_reach_every_prompt_tensor_and_no_backbone_tensor(
    backbone: WhisperBackbone, config: PromptConfig
) -> None:
    prompts = trained(config).train()
    clip = clips(backbone, config, 2)
    with inject(backbone, prompts, speaker=voices(config, 2), activity=activities(config, 2), clips=clip):
        encoded = backbone.encode(heard(backbone, 0.6, 0.9))
        backbone.decode(some_tokens(backbone, 2), encoded).square().mean().backward()
    for name, parameter in prompts.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    assert all(parameter.grad is None for parameter in backbone.module.parameters())


def test_one_step_changes_every_prompt_tensor_and_no_backbone_tensor(backbone: WhisperBackbone) -> None:
    config = CONFIGS["frames, keyed"]
    prompts = trained(config).train()
    before = {name: tensor.clone() for name, tensor in prompts.named_parameters()}
    weights = {name: tensor.clone() for name, tensor in backbone.module.state_dict().items()}
    optimiser = torch.optim.AdamW(prompts.parameters(), lr=1e-2)
    with inject(backbone, prompts, speaker=voices(config, 1), activity=activities(config, 1)):
        backbone.decode(some_tokens(backbone), backbone.encode(heard(backbone, 0.6))).square().mean().backward()
    optimiser.step()
    assert [name for name, tensor in prompts.named_parameters() if torch.equal(tensor, before[name])] == []
    assert all(torch.equal(backbone.module.state_dict()[name], tensor) for name, tensor in weights.items())


def test_prompt_rows_stand_before_the_audio(backbone: WhisperBackbone) -> None:
    features = heard(backbone, 0.8)
    plain = backbone.encode(features)
    slots = 1 + PARTS.length
    for name in ("deep", "shifted"):
        encoded, _ = run(backbone, trained(CONFIGS[name]), features, voices(CONFIGS[name], 1))
        assert encoded.states.shape[1] == plain.states.shape[1] + slots
        assert encoded.lengths.tolist() == [int(plain.lengths[0]) + slots]


def test_a_full_window_keeps_its_size_where_the_audio_is_shifted(backbone: WhisperBackbone) -> None:
    features = heard(backbone, 3.9)
    assert features.values.shape[2] == 2 * backbone.max_frames
    shifted, _ = run(backbone, trained(CONFIGS["shifted"]), features, voices(CONFIGS["shifted"], 1))
    assert shifted.states.shape[1] == backbone.max_frames
    unshifted, _ = run(backbone, trained(CONFIGS["deep"]), features, voices(CONFIGS["deep"], 1))
    assert unshifted.states.shape[1] == backbone.max_frames + 1 + PARTS.length


@pytest.mark.parametrize("keyed", [0, 4])
def test_untrained_frame_prompts_change_nothing(backbone: WhisperBackbone, keyed: int) -> None:
    config = PromptConfig(encoder=PARTS, decoder=PARTS, speaker=VOICE, frames=FramePrompt(keyed=keyed))
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    bare = SoftPrompts(config.model_copy(update={"frames": None}), WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    bare.load_state_dict({name: t for name, t in prompts.state_dict().items() if not name.startswith("frames.")})
    features, voice = heard(backbone, 0.8), voices(config, 1)
    with_frames = run(backbone, prompts, features, voice, activities(config, 1))
    without_frames = run(backbone, bare, features, voice)
    assert torch.equal(with_frames[0].states, without_frames[0].states)
    assert torch.equal(with_frames[1], without_frames[1])


def test_missing_activity_at_the_end_counts_as_silence(backbone: WhisperBackbone) -> None:
    config = CONFIGS["frames"]
    features, voice = heard(backbone, 0.8), voices(config, 1)
    short = activities(config, 1, frames=20)
    assert short is not None
    longer = torch.cat([short, torch.zeros(1, 40)], dim=1)
    one = run(backbone, trained(config), features, voice, short)[1]
    other = run(backbone, trained(config), features, voice, longer)[1]
    torch.testing.assert_close(one, other)
    assert not torch.allclose(one, run(backbone, trained(config), features, voice, torch.ones(1, 60))[1], atol=1e-3)


def test_another_clip_is_heard_and_its_words_are_hidden_from_the_decoder(backbone: WhisperBackbone) -> None:
    config = CONFIGS["enrolment"]
    features, voice = heard(backbone, 0.8), voices(config, 1)
    one, other = clips(backbone, config, 1, seed=4), clips(backbone, config, 1, seed=9)
    prompts = trained(config)
    encoded, logits = run(backbone, prompts, features, voice, clip=one)
    assert (run(backbone, prompts, features, voice, clip=other)[1] - logits).abs().max() > 1e-3
    assert one is not None
    rows = one.shape[2] // 4
    assert int(encoded.states[0, 1 : 1 + rows].abs().max()) == 0
    assert encoded.states[0, 1 + rows :].abs().amin(dim=-1).max() > 0


def test_what_a_clip_becomes_depends_on_the_clip_alone(backbone: WhisperBackbone) -> None:
    config = CONFIGS["enrolment"]
    both = clips(backbone, config, 2)
    assert both is not None
    assert config.enrolment is not None
    # A short clip is repeated, a long one cut: the same samples give the same states.
    alone = clip_states(backbone, [np.tile(tone(0.7, 4), 3)], config.enrolment)
    torch.testing.assert_close(alone, both[:, :1], atol=1e-5, rtol=1e-5)


def test_muting_leaves_active_frames_alone_and_quiets_the_rest(backbone: WhisperBackbone) -> None:
    muted = PromptConfig(encoder=None, decoder=None, speaker=None, frames=FramePrompt(mute_db=30))
    prompts = SoftPrompts(muted, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    features = heard(backbone, 0.8)
    plain = run_plain(backbone, features)[0].states
    frames = plain.shape[1]
    active = run(backbone, prompts, features, activity=torch.ones(1, frames))[0].states
    torch.testing.assert_close(active, plain, atol=1e-5, rtol=1e-5)
    heard_mel: list[torch.Tensor] = []
    hook = backbone.frontend.register_forward_hook(lambda module, args, output: heard_mel.append(args[0]))
    with torch.no_grad(), inject(backbone, prompts, activity=torch.zeros(1, frames)):
        backbone.encode(features)
    hook.remove()
    floor = features.values.amax() - 2.0
    expected = torch.maximum(features.values - 30 / 40, floor)
    torch.testing.assert_close(heard_mel[0], expected)


def test_a_prompt_that_hears_clips_needs_one_and_others_refuse_it(backbone: WhisperBackbone) -> None:
    hears, deaf = CONFIGS["enrolment alone, queries"], CONFIGS["encoder alone"]
    clip = clips(backbone, hears, 1)
    with pytest.raises(PromptMismatch, match="give the clip"):
        trained(hears)()
    with pytest.raises(PromptMismatch, match="leave them out"):
        trained(deaf)(clips=clip)
