"""Prompts of every kind, and what it takes to run a tiny backbone under them."""

import itertools
import os
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LAYERS, WIDTH, tone
from torch import Tensor

from softspoken.backbones import Encoded, Features, WhisperBackbone
from softspoken.errors import ConfigError, PromptError
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt, inject
from softspoken.prompts.config import EnrolmentPrompt
from softspoken.prompts.folder import PROMPT_FOLDER
from softspoken.prompts.integrity import INTEGRITY_FILE, sealed
from softspoken.prompts.modules import clip_states
from softspoken.prompts.rows import AXIS_OF_SETS, PromptRows
from softspoken.prompts.silence import SilenceModel
from softspoken_lab.noise.config import noise_prompts

S = 8
VOICE = SpeakerPrompt(dimension=S)
PARTS = StackPrompt(length=3)

CONFIGS = {
    "deep": PromptConfig(encoder=PARTS, decoder=PARTS, speaker=VOICE),
    "input": PromptConfig(
        encoder=StackPrompt(length=3, depth="input"), decoder=StackPrompt(length=2, depth="input"), speaker=VOICE
    ),
    "shifted": PromptConfig(encoder=PARTS, decoder=PARTS, speaker=VOICE, placement="shifted"),
    "shifted, shared": PromptConfig(
        encoder=PARTS, decoder=PARTS, speaker=VOICE, placement="shifted", reparameterisation="shared"
    ),
    "separate": PromptConfig(encoder=PARTS, decoder=PARTS, speaker=VOICE, reparameterisation="separate"),
    "encoder alone": PromptConfig(encoder=PARTS, decoder=None, speaker=None),
    "appended": PromptConfig(encoder=PARTS, decoder=None, speaker=None, placement="appended"),
    "appended, input": noise_prompts(3),
    "decoder alone": PromptConfig(encoder=None, decoder=PARTS, speaker=None),
    "voice into the decoder": PromptConfig(
        encoder=PARTS, decoder=PARTS, speaker=SpeakerPrompt(dimension=S, into="decoder")
    ),
    "voice into both": PromptConfig(encoder=PARTS, decoder=PARTS, speaker=SpeakerPrompt(dimension=S, into="both")),
    "voice alone": PromptConfig(encoder=None, decoder=None, speaker=SpeakerPrompt(dimension=S, into="both")),
    "frames": PromptConfig(encoder=PARTS, decoder=PARTS, speaker=VOICE, frames=FramePrompt()),
    "frames alone": PromptConfig(encoder=None, decoder=None, speaker=None, frames=FramePrompt()),
    "frames, keyed": PromptConfig(encoder=PARTS, decoder=PARTS, speaker=VOICE, frames=FramePrompt(keyed=4)),
    "frames, keyed, shifted": PromptConfig(
        encoder=PARTS, decoder=PARTS, speaker=VOICE, frames=FramePrompt(keyed=4), placement="shifted"
    ),
    "frames, keyed, muted": PromptConfig(
        encoder=PARTS, decoder=PARTS, speaker=VOICE, frames=FramePrompt(keyed=4, mute_db=20)
    ),
    "low rank": PromptConfig(
        encoder=StackPrompt(length=6, rank=2), decoder=StackPrompt(length=4, rank=2), speaker=VOICE
    ),
    "enrolment": PromptConfig(encoder=PARTS, decoder=PARTS, speaker=VOICE, enrolment=EnrolmentPrompt(clip_s=0.5)),
    "enrolment alone, queries": PromptConfig(
        encoder=None, decoder=None, speaker=None, enrolment=EnrolmentPrompt(form="queries", queries=3, clip_s=0.5)
    ),
}


def hook_count(backbone: WhisperBackbone) -> int:
    modules = [backbone.module, backbone.frontend, *(stack for stack in backbone.stacks.values())]
    every = set(itertools.chain.from_iterable(module.modules() for module in modules))
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in every)


def trained(config: PromptConfig, seed: int = 1) -> SoftPrompts:
    """Prompts with no tensor left at its initial zeros, large enough to matter."""
    generator = torch.Generator().manual_seed(seed)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return prompts.eval()


def voices(config: PromptConfig, count: int, seed: int = 2) -> Tensor | None:
    if config.speaker is None:
        return None
    return torch.randn(count, S, generator=torch.Generator().manual_seed(seed))


def activities(config: PromptConfig, count: int, frames: int = 60) -> Tensor | None:
    if config.frames is None:
        return None
    return torch.rand(count, frames, generator=torch.Generator().manual_seed(3))


def clips(backbone: WhisperBackbone, config: PromptConfig, count: int, seed: int = 4) -> Tensor | None:
    """What the frozen backbone hears in enrolment clips."""
    if config.enrolment is None:
        return None
    return clip_states(backbone, [tone(0.7, seed + index) for index in range(count)], config.enrolment)


def one_clip(states: Tensor | None, index: int) -> Tensor | None:
    return None if states is None else states[:, index : index + 1]


def heard(backbone: WhisperBackbone, *seconds: float) -> Features:
    return backbone.features([tone(length, seed) for seed, length in enumerate(seconds)])


def some_tokens(backbone: WhisperBackbone, rows: int = 1) -> Tensor:
    return torch.tensor([backbone.tokens.start() + backbone.tokens.encode(" one two")] * rows)


@torch.no_grad()
def run(
    backbone: WhisperBackbone,
    prompts: object,
    features: Features,
    voice: Tensor | None = None,
    activity: Tensor | None = None,
    clip: Tensor | None = None,
) -> tuple[Encoded, Tensor]:
    """Encoder output and logits inside the prompts."""
    with inject(backbone, prompts, speaker=voice, activity=activity, clips=clip):
        encoded = backbone.encode(features)
        return encoded, backbone.decode(some_tokens(backbone, features.values.shape[0]), encoded)


@torch.no_grad()
def run_plain(backbone: WhisperBackbone, features: Features) -> tuple[Encoded, Tensor]:
    encoded = backbone.encode(features)
    return encoded, backbone.decode(some_tokens(backbone, features.values.shape[0]), encoded)


def row(value: Tensor | None, index: int) -> Tensor | None:
    return None if value is None else value[index : index + 1]


# Stored prompts

STORED_CONFIG = PromptConfig(
    encoder=StackPrompt(length=3),
    decoder=StackPrompt(length=2),
    reparameterisation="separate",
    speaker=SpeakerPrompt(dimension=8),
    frames=FramePrompt(keyed=2),
)
FACTS: dict[str, Any] = {
    "embedder": "ge2e",
    "window": "30s",
    "timestamps": False,
    "training": {"steps": 12, "data": "some speech"},
    "results": [{"method": "plain", "WER": 1.2}, {"method": "this prompt", "WER": 0.31, "note": "a | b"}],
}
SILENCE = SilenceModel(weights={"empty": -0.4}, bias=-1.0, threshold=0.3)


def prompts_of(config: PromptConfig = STORED_CONFIG, seed: int = 1) -> SoftPrompts:
    generator = torch.Generator().manual_seed(seed)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    with torch.no_grad():
        for tensor in prompts.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return prompts


NOT_AN_OBJECT = [b"", b"{", b"[1]", b"\xff\xfe", b"null", b"[" * 100_000]
"""What a stored JSON file may hold and must not."""


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files, in subfolders too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_interrupted_save(
    save: Callable[[], object], folder: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int, failure: BaseException
) -> None:
    """`save` overwrites `folder`, and putting its file or folder number `fails_at` into place raises `failure`: what
    was there is there, and nothing beside it."""
    before = contents(folder)
    real, calls = os.replace, 0

    def replace(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise failure
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises((PromptError, KeyboardInterrupt)) as caught:
        save()
    assert calls >= fails_at
    assert caught.type is (PromptError if isinstance(failure, OSError) else KeyboardInterrupt)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def reseal(folder: Path) -> None:
    """Write `integrity.json` for whatever is in a stored folder now, as a careless or hostile tool would."""
    if (folder / PROMPT_FOLDER).is_dir():
        reseal(folder / PROMPT_FOLDER)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    files.pop(INTEGRITY_FILE, None)
    content = sealed({name: path.read_bytes() for name, path in files.items()})[INTEGRITY_FILE]
    (folder / INTEGRITY_FILE).write_bytes(content)


def assert_equal(one: SoftPrompts, other: SoftPrompts) -> None:
    assert one.config == other.config
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def stack_rows(sets: list[PromptRows]) -> PromptRows:
    """Several sets of equal shapes as one batch: row b of the result is set b. Raises ConfigError on other shapes."""

    def joined(parts: list[object], axis: int) -> object:
        first = parts[0]
        plain = not isinstance(first, Tensor) and not is_dataclass(first)
        if any(type(part) is not type(first) for part in parts) or (plain and len(set(parts)) > 1):
            raise ConfigError("prompts of different kinds in one batch; give prompts of one configuration")
        if plain:
            return first
        if isinstance(first, Tensor):
            tensors = [part for part in parts if isinstance(part, Tensor)]
            if len({tensor.shape[:axis] + tensor.shape[axis + 1 :] for tensor in tensors}) > 1:
                raise ConfigError("prompts of different sizes in one batch; give prompts of one configuration")
            return torch.cat(tensors, dim=axis)
        names = [field.name for field in fields(first)]  # type: ignore[arg-type]
        return type(first)(
            **{name: joined([getattr(part, name) for part in parts], AXIS_OF_SETS.get(name, 1)) for name in names}
        )

    result = joined(list(sets), 1)
    assert isinstance(result, PromptRows)
    return result
