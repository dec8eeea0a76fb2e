"""Checkpoints made with the code that the target-speaker paper's authors published, as `SoftPrompts`.

Such a checkpoint is a state dict of `soft_prompt_extra_encoder`, `soft_prompt_extra_decoder` (depth, length, width),
`spk_embed_layer` and, unless folded, `mlp_encoder` and `mlp_decoder`; its shapes tell its configuration.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from softspoken.backbones.base import Backbone
from softspoken.backbones.weights import StackName
from softspoken.errors import PromptError, PromptMismatch
from softspoken.prompts.config import PromptConfig, Reparameterisation, SpeakerPrompt, StackPrompt
from softspoken.prompts.modules import SoftPrompts

__all__ = ["AUTHORS_EMBEDDER", "import_authors"]

AUTHORS_EMBEDDER = "speechbrain/x-vector"
"""The speaker embedder that the authors' checkpoints were trained with."""

_STACKS: tuple[StackName, ...] = ("encoder", "decoder")
_EXPECTED = (
    "expected soft_prompt_extra_encoder, soft_prompt_extra_decoder, spk_embed_layer (and mlp_encoder, mlp_decoder)"
)
_NAME = re.compile(
    r"(?P<prefix>(?:.*\.)?)"
    r"(?:soft_prompt_extra_(?P<vectors>encoder|decoder)"
    r"|spk_embed_layer\.(?P<speaker>weight|bias)"
    r"|mlp_(?P<mlp>encoder|decoder)\.(?:(?P<index>\d+)\.)?net\.(?P<part>\d+\.(?:weight|bias)))"
)
_FROZEN_MODEL = ("model.", "whisper.", "encoder.", "decoder.")
"""How the names of the frozen Whisper's own weights begin, where a checkpoint holds these too."""


@dataclass
class _Parts:
    """The authors' tensors by what they are."""

    vectors: dict[StackName, Tensor] = field(default_factory=dict)
    speaker: dict[str, Tensor] = field(default_factory=dict)
    mlps: dict[StackName, dict[int, dict[str, Tensor]]] = field(
        default_factory=lambda: {name: defaultdict(dict) for name in _STACKS}
    )


def import_authors(path: str | Path, backbone: Backbone) -> SoftPrompts:
    """Convert a checkpoint of the authors' code (target-speaker paper, sections 2.2.1 to 2.2.3).

    Args:
        path: a file of `torch.save` (read with `weights_only=True`) or `.safetensors`; the tensors may carry a prefix
            ('module.', 'prompt_layer.'), stand in a nested dictionary, or stand beside the frozen model's weights.
        backbone: what it was trained on.

    Returns:
        The prompts, float32, in evaluation mode, placement `shifted`, with the MLPs they have (`fold()` them away).
        Their voices are embeddings of `AUTHORS_EMBEDDER`, 512 dimensions.

    Raises:
        PromptError: the file cannot be read, or is not such a checkpoint.
        PromptMismatch: it belongs to a backbone of another width or depth.
    """
    source = Path(path).expanduser()
    parts = _sorted_out(dict(_tensors(_read(source))), source)
    _check_numbers(parts, source)
    config = _config(parts, backbone, source)
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    with torch.device("meta"):
        prompts = SoftPrompts(config, backbone.stacks["encoder"].width, layers)
    state = _state(parts, config, layers)
    for name, empty in prompts.state_dict().items():
        if name not in state:
            raise PromptError(f"'{source}' lacks what becomes '{name}'; {_EXPECTED}")
        if state[name].shape != empty.shape:
            raise PromptError(
                f"'{source}': what becomes '{name}' has shape {tuple(state[name].shape)}, "
                f"expected {tuple(empty.shape)}; give the authors' checkpoint unchanged"
            )
    prompts.load_state_dict(state, assign=True)
    return prompts.eval()


def _read(source: Path) -> Any:
    if not source.is_file():
        raise PromptError(f"no file '{source}'; give a checkpoint of the authors' code")
    if source.suffix == ".safetensors":
        try:
            return load_file(source)
        except (SafetensorError, OSError, ValueError) as error:
            raise PromptError(f"'{source}' is not a safetensors file; {_EXPECTED}") from error
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise PromptError(
            f"'{source}' cannot be read as tensors alone (damaged, or it holds other objects); "
            "save the prompt's state_dict() with torch.save or as safetensors"
        ) from error


def _tensors(content: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors of nested dictionaries, under dotted names."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(value, f"{prefix}{key}.")
    elif isinstance(content, Tensor):
        yield prefix.removesuffix("."), content


def _sorted_out(tensors: dict[str, Tensor], source: Path) -> _Parts:
    parts = _Parts()
    prefixes: set[str] = set()
    others: list[str] = []
    for name, tensor in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            others.append(name)
            continue
        prefixes.add(match["prefix"])
        if match["vectors"]:
            parts.vectors[match["vectors"]] = tensor  # type: ignore[index]
        elif match["speaker"]:
            parts.speaker[match["speaker"]] = tensor
        else:
            # One MLP for all layers has no index.
            parts.mlps[match["mlp"]][int(match["index"] or 0)][match["part"]] = tensor  # type: ignore[index]
    if not parts.vectors:
        found = ", ".join(list(tensors)[:3]) if tensors else "no tensors"
        raise PromptError(f"'{source}' is no checkpoint of the authors' code: it has {found}; {_EXPECTED}")
    if len(prefixes) > 1:
        raise PromptError(f"'{source}' holds several sets of prompts, under {sorted(prefixes)}; give a file with one")
    prefix = prefixes.pop()
    for name in others:
        # A tensor beside the prompts that we would drop silently may matter: it is not the code that we know.
        if name.startswith(prefix) and not name.removeprefix(prefix).startswith(_FROZEN_MODEL):
            raise PromptError(f"'{source}' has a tensor '{name}' that the authors' code does not make; {_EXPECTED}")
    return parts


def _check_numbers(parts: _Parts, source: Path) -> None:
    groups = [mlp for mlps in parts.mlps.values() for mlp in mlps.values()]
    for group in ({f"prompts of the {name}": tensor for name, tensor in parts.vectors.items()}, parts.speaker, *groups):
        for name, tensor in group.items():
            if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
                raise PromptError(f"'{source}': {name} holds other than finite numbers; use an earlier checkpoint")


def _config(parts: _Parts, backbone: Backbone, source: Path) -> PromptConfig:
    weight = parts.speaker.get("weight")
    if weight is None or weight.dim() != 2:
        raise PromptError(f"'{source}' has no speaker projection 'spk_embed_layer.weight'; {_EXPECTED}")
    stacks: dict[StackName, StackPrompt] = {}
    for name, vectors in parts.vectors.items():
        stack = backbone.stacks[name]
        if vectors.dim() != 3:
            raise PromptError(
                f"'{source}': {name} prompts of shape {tuple(vectors.shape)}; expected (depth, length, width)"
            )
        depth, length, width = vectors.shape
        if width != stack.width:
            raise PromptMismatch(
                f"'{source}' has width {width}, backbone '{backbone.name}' has {stack.width}; "
                "give the backbone it was trained on"
            )
        if depth not in (1, _depth(backbone)):
            raise PromptMismatch(
                f"'{source}' has prompts for {depth} layers, backbone '{backbone.name}' has {_depth(backbone)}; "
                "give the backbone it was trained on"
            )
        stacks[name] = StackPrompt(length=length, depth="input" if depth == 1 else "deep")
    return PromptConfig(
        encoder=stacks.get("encoder"),
        decoder=stacks.get("decoder"),
        placement="shifted",
        reparameterisation=_reparameterisation(parts, source),
        speaker=SpeakerPrompt(dimension=weight.shape[1]),
        frames=None,
    )


def _depth(backbone: Backbone) -> int:
    """The authors' code makes as many prompts for the decoder as for the encoder, also where it has fewer layers."""
    return len(backbone.stacks["encoder"].layers)


def _reparameterisation(parts: _Parts, source: Path) -> Reparameterisation:
    kinds: set[Reparameterisation] = set()
    for name, vectors in parts.vectors.items():
        count, depth = len(parts.mlps[name]), vectors.shape[0]
        if count not in (0, 1, depth):
            raise PromptError(f"'{source}' has {count} MLPs for {depth} {name} layers; expected none, 1 or {depth}")
        kinds.add("none" if count == 0 else "separate" if count == depth else "shared")
    if len(kinds) > 1:
        raise PromptError(f"'{source}' has other MLPs for the encoder than for the decoder; expected the same kind")
    return kinds.pop()


def _state(parts: _Parts, config: PromptConfig, layers: Mapping[StackName, int]) -> dict[str, Tensor]:
    """Our names. Decoder prompts beyond the last layer (turbo models) were never used by the authors' code."""
    dimension = parts.speaker["weight"].shape[1]
    state = {"speaker_mean": torch.zeros(dimension), "speaker_scale": torch.ones(dimension)}
    state |= {f"projections.encoder.{name}": tensor for name, tensor in parts.speaker.items()}
    for name, vectors in parts.vectors.items():
        state[f"stacks.{name}.vectors"] = vectors[: layers[name]]
        count = {"none": 0, "shared": 1, "separate": min(vectors.shape[0], layers[name])}[config.reparameterisation]
        for index, mlp in sorted(parts.mlps[name].items())[:count]:
            state |= {f"stacks.{name}.mlps.{index}.net.{part}": tensor for part, tensor in mlp.items()}
    return {name: tensor.float().contiguous() for name, tensor in state.items()}
