"""Compiled prompts: worked out once, of their own size only, equal to what `inject` places."""

import copy
import gc
import tracemalloc
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch
from prompt_samples import CONFIGS, activities, clips, heard, some_tokens, trained, voices
from tiny import LAYERS, WIDTH, tone
from torch import Tensor

from softspoken.backbones import WhisperBackbone
from softspoken.engines import TorchEngine
from softspoken.errors import ConfigError, PromptMismatch
from softspoken.prompts import PromptConfig, SoftPrompts, inject
from softspoken.prompts.arrays import shapes_of
from softspoken.prompts.compiled import CompiledPrompts, CompiledRows, compile_rows, join, unprompted

LENGTHS_S = (1.2, 0.7)


def compiled_of(backbone: WhisperBackbone, prompts: SoftPrompts) -> CompiledPrompts:
    return CompiledPrompts(backbone, prompts.config, prompts.arrays())


def array(part: Tensor | None) -> np.ndarray | None:
    return None if part is None else part.numpy()


def arrays(rows: object) -> list[np.ndarray]:
    """Everything a set holds, in a fixed order."""
    if isinstance(rows, np.ndarray):
        return [rows]
    if not is_dataclass(rows):
        return []
    return [part for field in fields(rows) for part in arrays(getattr(rows, field.name))]


def storages(parts: list[np.ndarray]) -> dict[int, int]:
    found = {}
    for part in parts:
        while isinstance(part.base, np.ndarray):
            part = part.base
        if part.nbytes:
            found[id(part)] = part.nbytes
    return found


def scores(backbone: WhisperBackbone, rows: CompiledRows, activity: Tensor | None, count: int = 2) -> np.ndarray:
    engine = TorchEngine(backbone)
    features = engine.features([tone(seconds, row) for row, seconds in enumerate(LENGTHS_S[:count])])
    heard_now = engine.encode(features, rows, array(activity))
    return heard_now.prefill(some_tokens(backbone)[0].tolist()).logits


def rows_of(backbone: WhisperBackbone, prompts: SoftPrompts, count: int = 2, seed: int = 2) -> CompiledRows:
    config = prompts.config
    return compiled_of(backbone, prompts).rows(
        array(voices(config, count, seed)), array(clips(backbone, config, count))
    )


def test_shapes_are_those_of_the_module(config: PromptConfig) -> None:
    for one in (config, config.model_copy(update={"reparameterisation": "separate"})):
        module = SoftPrompts(one, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
        expected = {name: tuple(part.shape) for name, part in module.state_dict().items()}
        assert shapes_of(one, WIDTH, module.layers) == expected


def test_they_are_what_inject_places(config: PromptConfig, backbone: WhisperBackbone) -> None:
    prompts, activity = trained(config), activities(config, 2)
    speaker, states = voices(config, 2), clips(backbone, config, 2)
    features = heard(backbone, *LENGTHS_S)
    with torch.no_grad(), inject(backbone, prompts, speaker, activity, states):
        wanted = backbone.decode(some_tokens(backbone, 2), backbone.encode(features))[:, -1]
    found = scores(backbone, compiled_of(backbone, prompts).rows(array(speaker), array(states)), activity)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4, rtol=0.0)


def test_folded_or_not_is_the_same(config: PromptConfig, backbone: WhisperBackbone) -> None:
    prompts = trained(config)
    plain, folded = rows_of(backbone, prompts), rows_of(backbone, prompts.fold())
    for one, other in zip(arrays(plain), arrays(folded), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)
    assert plain.shift == folded.shift


def test_prompts_for_no_voice_are_made_once(config: PromptConfig, backbone: WhisperBackbone) -> None:
    compiled = compiled_of(backbone, trained(config))
    if not config.follows_voice:
        assert compiled.rows() is compiled.rows()
        with pytest.raises(PromptMismatch, match="follows no voice"):
            compiled.rows(np.zeros((1, 8), np.float32))
        return
    if config.speaker is not None:
        with pytest.raises(PromptMismatch):
            compiled.rows(None, array(clips(backbone, config, 1)))
        first = compiled.rows(array(voices(config, 1, 2)), array(clips(backbone, config, 1)))
        second = compiled.rows(array(voices(config, 1, 5)), array(clips(backbone, config, 1)))
        assert any(not np.array_equal(one, other) for one, other in zip(arrays(first), arrays(second), strict=True))


def test_later_training_changes_nothing(backbone: WhisperBackbone) -> None:
    prompts = trained(CONFIGS["frames, keyed"])
    compiled = compiled_of(backbone, prompts)
    before = [part.copy() for part in arrays(compiled.rows(array(voices(prompts.config, 1))))]
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.add_(1.0)
    after = arrays(compiled.rows(array(voices(prompts.config, 1))))
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_repeated_sets_are_the_sets(config: PromptConfig, backbone: WhisperBackbone) -> None:
    prompts, activity = trained(config), activities(config, 2)
    rows = rows_of(backbone, prompts)
    if rows.sets == 1:
        for one, other in zip(arrays(rows.repeated([0, 0, 0])), arrays(rows), strict=True):
            assert np.array_equal(one, other)
        return
    swapped = scores(backbone, rows.repeated([1, 0]), activity)
    speaker, states = voices(config, 2), clips(backbone, config, 2)
    turned = compiled_of(backbone, prompts).rows(
        None if speaker is None else speaker.flip(0).numpy(), None if states is None else states.flip(1).numpy()
    )
    np.testing.assert_allclose(swapped, scores(backbone, turned, activity), atol=1e-5, rtol=0.0)
    assert rows.repeated([0, 1, 1, 0, 1]).sets == 5


def test_what_cannot_be_joined_is_refused(backbone: WhisperBackbone) -> None:
    def one(name: str, **frames: float) -> CompiledRows:
        config = CONFIGS[name]
        if frames and config.frames is not None:
            config = config.model_copy(update={"frames": config.frames.model_copy(update=frames)})
        return rows_of(backbone, trained(config), count=1)

    refusals = {
        "different 'shifted' lengths": [one("shifted"), one("deep")],
        "mute differently": [one("frames, keyed, muted"), one("frames, keyed, muted", mute_db=5.0)],
        "prompts that mute differently": [one("deep"), one("frames, keyed, muted"), unprompted(backbone)],
    }
    for message, sets in refusals.items():
        with pytest.raises(ConfigError, match=f"{message}.*run them one after the other") as caught:
            join(sets)
        assert "\n" not in str(caught.value)
    alone = one("deep")
    assert join([alone]) is alone
    # The same length and the same strength go together.
    assert join([one("shifted"), one("shifted")]).sets == 2
    assert join([one("frames, keyed, muted"), one("frames, keyed, muted")]).sets == 2


def test_joined_rows_of_frames_and_none(backbone: WhisperBackbone) -> None:
    """Who has no frame prompts is added nothing, whatever the other's activity."""
    keyed = rows_of(backbone, trained(CONFIGS["frames, keyed"]), count=1)
    plain = unprompted(backbone)
    for active in (0.0, 1.0):
        together = scores(backbone, join([keyed, plain]), torch.full((2, 60), active))
        features = heard(backbone, *LENGTHS_S)
        with torch.no_grad():
            wanted = backbone.decode(some_tokens(backbone, 2), backbone.encode(features))[1, -1]
        np.testing.assert_allclose(together[1], wanted.numpy(), atol=1e-4, rtol=0.0)


def test_what_was_stored_in_half_is_kept_in_half(backbone: WhisperBackbone) -> None:
    """Exactly the same rows, of prompts whose numbers half precision holds; others stay as they are."""
    config = CONFIGS["frames, keyed"]
    prompts = trained(config)
    trainable = prompts.fold().parameter_count
    assert kept_bytes(compiled_of(backbone, prompts)) >= 4 * trainable
    stored = copy.deepcopy(prompts).half().float()
    compiled = compiled_of(backbone, stored)
    assert kept_bytes(compiled) == 2 * sum(part.numel() for part in stored.fold().state_dict().values())
    speaker = voices(config, 2)
    with torch.no_grad():
        wanted = compile_rows(backbone, stored.fold()(speaker))
    for one, other in zip(arrays(compiled.rows(array(speaker))), arrays(wanted), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6, rtol=1e-6)


def kept_bytes(compiled: CompiledPrompts) -> int:
    """Of the tensors that it holds."""
    return sum(storages(list(compiled._held.values())).values())


def test_size_is_what_they_hold(config: PromptConfig, backbone: WhisperBackbone) -> None:
    rows = rows_of(backbone, trained(config))
    assert rows.nbytes == sum(storages(arrays(rows)).values())
    assert rows.nbytes <= 2 * sum(part.nbytes for part in arrays(rows)) + 8 * WIDTH


def test_another_prompt_costs_its_own_size(backbone: WhisperBackbone) -> None:
    engine, config = TorchEngine(backbone), CONFIGS["decoder alone"]
    compiled_of(engine.backbone, trained(config))
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = [compiled_of(engine.backbone, trained(config, seed=seed)) for seed in range(10)]
    gc.collect()
    more = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    own = sum(kept_bytes(one) + one.rows().nbytes for one in kept)
    # Far less than another model.
    assert more < 2 * own + 65_536 < sum(4 * weight.numel() for weight in backbone.module.parameters())
