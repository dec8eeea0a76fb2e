"""Compiled prompts: worked out once, of their own size only, equal to what `inject` places."""

import copy
import gc

import pytest
import torch
from prompt_samples import CONFIGS, activities, clips, heard, some_tokens, trained, voices
from torch import Tensor

from softspoken.backbones import WhisperBackbone
from softspoken.engines import TorchEngine
from softspoken.errors import ConfigError, PromptMismatch
from softspoken.prompts import PromptConfig, SoftPrompts, inject
from softspoken.prompts.compiled import CompiledPrompts, CompiledRows, compile_rows, unprompted
from softspoken.prompts.joined import join

LENGTHS_S = (1.2, 0.7)


def tensors(rows: CompiledRows) -> list[Tensor]:
    """Everything a set holds, in a fixed order."""
    parts: list[object] = [*vars(rows.encoder).values(), *vars(rows.decoder).values()]
    if rows.frames is not None:
        parts += vars(rows.frames).values()
        parts += vars(rows.frames.bank).values() if rows.frames.bank is not None else ()
    return [part for part in parts if isinstance(part, Tensor)]


def storages(parts: list[Tensor]) -> dict[int, int]:
    found = {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in parts}
    return {address: size for address, size in found.items() if size}


def scores(backbone: WhisperBackbone, rows: CompiledRows, activity: Tensor | None, count: int = 2) -> Tensor:
    heard_now = TorchEngine(backbone).encode(heard(backbone, *LENGTHS_S[:count]), rows, activity)
    return heard_now.prefill(some_tokens(backbone)[0].tolist()).logits


def rows_of(backbone: WhisperBackbone, prompts: SoftPrompts, count: int = 2, seed: int = 2) -> CompiledRows:
    config = prompts.config
    return CompiledPrompts(backbone, prompts).rows(voices(config, count, seed), clips(backbone, config, count))


def test_they_are_what_inject_places(config: PromptConfig, backbone: WhisperBackbone) -> None:
    prompts, activity = trained(config), activities(config, 2)
    speaker, states = voices(config, 2), clips(backbone, config, 2)
    features = heard(backbone, *LENGTHS_S)
    with torch.no_grad(), inject(backbone, prompts, speaker, activity, states):
        wanted = backbone.decode(some_tokens(backbone, 2), backbone.encode(features))[:, -1]
    found = scores(backbone, CompiledPrompts(backbone, prompts).rows(speaker, states), activity)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0.0)


def test_folded_or_not_is_the_same(config: PromptConfig, backbone: WhisperBackbone) -> None:
    prompts = trained(config)
    plain, folded = rows_of(backbone, prompts), rows_of(backbone, prompts.fold())
    for one, other in zip(tensors(plain), tensors(folded), strict=True):
        torch.testing.assert_close(one, other)
    assert plain.shift == folded.shift


def test_prompts_for_no_voice_are_made_once(config: PromptConfig, backbone: WhisperBackbone) -> None:
    compiled = CompiledPrompts(backbone, trained(config))
    if not config.follows_voice:
        assert compiled.rows() is compiled.rows()
        with pytest.raises(PromptMismatch, match="follows no voice"):
            compiled.rows(torch.zeros(1, 8))
        return
    if config.speaker is not None:
        with pytest.raises(PromptMismatch):
            compiled.rows(None, clips(backbone, config, 1))
        first = compiled.rows(voices(config, 1, 2), clips(backbone, config, 1))
        second = compiled.rows(voices(config, 1, 5), clips(backbone, config, 1))
        assert any(not torch.equal(one, other) for one, other in zip(tensors(first), tensors(second), strict=True))


def test_later_training_changes_nothing(backbone: WhisperBackbone) -> None:
    prompts = trained(CONFIGS["frames, keyed"])
    compiled = CompiledPrompts(backbone, prompts)
    before = [part.clone() for part in tensors(compiled.rows(voices(prompts.config, 1)))]
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.add_(1.0)
    after = tensors(compiled.rows(voices(prompts.config, 1)))
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert not any(part.requires_grad for part in after)


def test_repeated_sets_are_the_sets(config: PromptConfig, backbone: WhisperBackbone) -> None:
    prompts, activity = trained(config), activities(config, 2)
    rows = rows_of(backbone, prompts)
    if rows.sets == 1:
        for one, other in zip(tensors(rows.repeated([0, 0, 0])), tensors(rows), strict=True):
            assert torch.equal(one, other)
        return
    swapped = scores(backbone, rows.repeated([1, 0]), activity)
    speaker, states = voices(config, 2), clips(backbone, config, 2)
    turned = CompiledPrompts(backbone, prompts).rows(
        None if speaker is None else speaker.flip(0), None if states is None else states.flip(1)
    )
    torch.testing.assert_close(swapped, scores(backbone, turned, activity), atol=1e-5, rtol=0.0)
    assert rows.repeated([0, 1, 1, 0, 1]).sets == 5


def test_what_cannot_be_joined_is_refused(backbone: WhisperBackbone) -> None:
    def one(name: str, **frames: float) -> CompiledRows:
        config = CONFIGS[name]
        if frames and config.frames is not None:
            config = config.model_copy(update={"frames": config.frames.model_copy(update=frames)})
        return rows_of(backbone, trained(config), count=1)

    refusals = {
        "different 'shifted' lengths": [one("shifted"), one("deep")],
        "mute differently": [one("frames, refined, muted"), one("frames, refined, muted", mute_db=5.0)],
        "prompts that mute differently": [one("deep"), one("frames, refined, muted"), unprompted(backbone)],
    }
    for message, sets in refusals.items():
        with pytest.raises(ConfigError, match=f"{message}.*run them one after the other") as caught:
            join(sets)
        assert "\n" not in str(caught.value)
    alone = one("deep")
    assert join([alone]) is alone
    # The same length and the same strength go together.
    assert join([one("shifted"), one("shifted")]).sets == 2
    assert join([one("frames, refined, muted"), one("frames, refined, muted")]).sets == 2


def test_joined_rows_of_frames_and_none(backbone: WhisperBackbone) -> None:
    """Who has no frame prompts is added nothing, whatever the other's activity."""
    keyed = rows_of(backbone, trained(CONFIGS["frames, keyed"]), count=1)
    plain = unprompted(backbone)
    for active in (0.0, 1.0):
        together = scores(backbone, join([keyed, plain]), torch.full((2, 60), active))
        features = heard(backbone, *LENGTHS_S)
        with torch.no_grad():
            wanted = backbone.decode(some_tokens(backbone, 2), backbone.encode(features))[1, -1]
        torch.testing.assert_close(together[1], wanted, atol=1e-4, rtol=0.0)


def test_what_was_stored_in_half_is_kept_in_half(backbone: WhisperBackbone) -> None:
    """Exactly the same rows, of prompts whose numbers half precision holds; others stay as they are."""
    config = CONFIGS["frames, keyed"]
    prompts = trained(config)
    trainable = prompts.fold().parameter_count
    assert kept_bytes(CompiledPrompts(backbone, prompts)) >= 4 * trainable
    stored = copy.deepcopy(prompts).half().float()
    compiled = CompiledPrompts(backbone, stored)
    assert kept_bytes(compiled) == 2 * sum(part.numel() for part in stored.fold().state_dict().values())
    speaker = voices(config, 2)
    with torch.no_grad():
        wanted = compile_rows(backbone, stored.fold()(speaker))
    for one, other in zip(tensors(compiled.rows(speaker)), tensors(wanted), strict=True):
        assert torch.equal(one, other)


def kept_bytes(compiled: CompiledPrompts) -> int:
    """Of everything that it holds beside its backbone."""
    gc.collect()
    parts = [part for value in vars(compiled).values() for part in _tensors_of(value)]
    return sum(storages([part for part in parts if part.device.type != "meta"]).values())


def _tensors_of(value: object) -> list[Tensor]:
    if isinstance(value, SoftPrompts):
        return list(value.state_dict().values())
    return list(value.values()) if isinstance(value, dict) else []


def test_size_is_what_they_hold(config: PromptConfig, backbone: WhisperBackbone) -> None:
    rows = rows_of(backbone, trained(config))
    held = storages(tensors(rows))
    assert rows.nbytes == sum(held.values())
    # Nothing of the backbone is held.
    assert not held.keys() & storages([*backbone.module.parameters()]).keys()
    needed = sum(part.numel() * part.element_size() for part in tensors(rows))
    assert rows.nbytes <= 2 * needed


def alive() -> dict[int, int]:
    gc.collect()
    return storages([found for found in gc.get_objects() if type(found) in (Tensor, torch.nn.Parameter)])


def test_another_prompt_costs_its_own_size(backbone: WhisperBackbone) -> None:
    engine, config = TorchEngine(backbone), CONFIGS["decoder alone"]
    engine.compile(trained(config)).rows()
    before = alive()
    kept = [engine.compile(trained(config, seed=seed)) for seed in range(10)]
    more = sum(size for address, size in alive().items() if address not in before)
    held = [part for one in kept for part in (*tensors(one.rows()), *one._prompts.parameters())]
    own = sum(storages(held).values())
    assert 0.9 * own < more < 1.2 * own + 4096
    # Far less than another model.
    assert more < sum(4 * weight.numel() for weight in backbone.module.parameters())
