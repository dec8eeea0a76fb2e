"""Prompts made ready for serving: what an audio does not change is computed once.

Rows that are overwritten before every layer are the same whatever is heard, so a serving engine needs of them only
what others see: their keys and values. Only the last encoder layer's rows are worked out with the audio, because the
decoder sees what becomes of them. Both are exactly what `inject` makes of the same prompts (to rounding).

Shapes: B batch, P sets of prompts (1 for all rows, else B), L layers, F shallow vectors, N overwritten rows,
D width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import functional_call

from softspoken.backbones.base import StackName
from softspoken.backbones.whisper import WhisperBackbone
from softspoken.errors import ConfigError
from softspoken.prompts.frames import Bank, FrameRows
from softspoken.prompts.modules import PromptRows, SoftPrompts, StackRows


@dataclass(frozen=True)
class CompiledStack:
    """One stack's prompts as attention needs them. Where `shallow_valid` or `valid` is false, there is padding."""

    shallow: Float[Tensor, "P F D"]
    """Vectors that go through all layers, positions added: voices, input prompts, a decoder's opening token."""
    shallow_valid: Bool[Tensor, "P F"]
    keys: Float[Tensor, "L P N D"]
    values: Float[Tensor, "L P N D"]
    valid: Bool[Tensor, "P N"]
    last: Float[Tensor, "P N D"]
    """The rows themselves before the last layer; an encoder goes on with them."""
    unattended: Bool[Tensor, "P N"]
    """Rows whose output the decoder sees nothing of."""
    positions: Int[Tensor, "P"]
    """Positions that prompts take in front of what follows."""


@dataclass(frozen=True)
class CompiledRows:
    """A set of prompts made concrete for P voices: what an engine places."""

    encoder: CompiledStack
    decoder: CompiledStack
    frames: FrameRows | None = None
    shift: int = 0
    """Encoder positions by which the audio moves behind the prompts ('shifted')."""

    @property
    def sets(self) -> int:
        """P: of the parts that follow no voice there is one all the same."""
        sizes: list[int] = []

        def note(part: Tensor, axis: int) -> Tensor:
            sizes.append(part.shape[axis])
            return part

        _mapped(self, note)
        return max(sizes)

    def repeated(self, rows: Sequence[int]) -> "CompiledRows":
        """Set `rows[b]` for row b of a batch."""
        index = torch.tensor(list(rows), dtype=torch.long, device=self.encoder.shallow.device)
        return _mapped(self, lambda part, axis: part if part.shape[axis] == 1 else part.index_select(axis, index))

    def spread(self, count: int | None = None) -> "CompiledRows":
        """`count` sets of every part, also of those that are the same for all voices; None: as many as there are."""
        size = self.sets if count is None else count

        def repeat(part: Tensor, axis: int) -> Tensor:
            return part.expand(*part.shape[:axis], size, *part.shape[axis + 1 :])

        return _mapped(self, repeat)

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        found: dict[int, int] = {}

        def note(part: Tensor, axis: int) -> Tensor:
            storage = part.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
            return part

        _mapped(self, note)
        return sum(found.values())


class CompiledPrompts:
    """A trained set of prompts on its backbone, ready to serve any voice. Safe to share between threads."""

    def __init__(self, backbone: WhisperBackbone, prompts: SoftPrompts) -> None:
        """`prompts`: folded or not; they are checked by the caller (`LoadedPrompts.check`)."""
        self.config = prompts.config
        self._backbone = backbone
        folded = prompts.fold().to(backbone.device).requires_grad_(False)
        self._held = {name: _smallest(part) for name, part in folded.state_dict().items()}
        self._prompts = folded.to("meta")
        # Prompts that follow no voice are the same in every batch.
        self._only = None if self.config.follows_voice else self._compiled(None, None)

    @torch.no_grad()
    def rows(
        self, speaker: Float[Tensor, "B S"] | None = None, clips: Float[Tensor, "L B F D"] | None = None
    ) -> CompiledRows:
        """For these voices; arguments and errors are those of `SoftPrompts.forward`."""
        if self._only is not None and speaker is None and clips is None:
            return self._only
        return self._compiled(speaker, clips)

    @torch.no_grad()
    def _compiled(self, speaker: Tensor | None, clips: Tensor | None) -> CompiledRows:
        held = {name: part.float() for name, part in self._held.items()}
        rows: PromptRows = functional_call(self._prompts, held, (speaker, clips))
        return compile_rows(self._backbone, rows)


def _smallest(part: Tensor) -> Tensor:
    """In half precision where that is exact, as it is for prompts that were stored so."""
    half = part.half()
    return half if torch.equal(half.float(), part) else part


@torch.no_grad()
def compile_rows(backbone: WhisperBackbone, rows: PromptRows) -> CompiledRows:
    """What the engines need of `rows`; the backbone gives the projections to keys and values, and the positions."""
    shift = 0
    if rows.placement == "shifted" and rows.encoder is not None:
        shift = rows.encoder.slots
    encoder = _stack(backbone, "encoder", rows.encoder, positions=shift > 0)
    decoder = _stack(backbone, "decoder", rows.decoder, positions=True)
    return CompiledRows(encoder, decoder, rows.frames, shift)


def unprompted(backbone: WhisperBackbone) -> CompiledRows:
    """No prompts: plain Whisper."""
    return CompiledRows(_stack(backbone, "encoder", None, False), _stack(backbone, "decoder", None, True))


def _stack(backbone: WhisperBackbone, name: StackName, part: StackRows | None, positions: bool) -> CompiledStack:
    stack = backbone.stacks[name]
    layers, width = list(stack.layers), stack.width
    dtype = torch.float32
    none = torch.zeros(1, 0, width, device=backbone.device, dtype=dtype)
    if part is None:
        still = none[None].expand(len(layers), -1, -1, -1)
        nothing = torch.zeros(1, 0, dtype=torch.bool, device=backbone.device)
        return CompiledStack(none, nothing, still, still, nothing, none, nothing, _counts(backbone, [0]))
    if name == "decoder" and part.counts is not None:
        raise ConfigError("decoder prompts of different lengths in one set; give one set a voice and join them")
    sets = max(part.shallow.shape[0], part.rows.shape[1])
    shallow = part.shallow.to(dtype).expand(sets, -1, -1)
    if name == "decoder":
        shallow = torch.cat([backbone.decoder_opening().to(dtype).expand(sets, -1, -1), shallow], dim=1)
    first = part.rows[0].to(dtype).expand(sets, -1, -1)
    counts = part.rows.shape[2] if part.counts is None else None
    used = _counts(backbone, [counts] * sets) if counts is not None else part.counts
    assert used is not None
    valid = torch.arange(first.shape[1], device=first.device)[None] < used[:, None]
    taken = shallow.shape[1] + first.shape[1] if positions else 0
    if positions:
        table = backbone.positions[name][:taken].to(dtype)
        shallow = shallow + table[: shallow.shape[1]]
        first = first + table[shallow.shape[1] :]
    shallow_valid = torch.ones(shallow.shape[:2], dtype=torch.bool, device=shallow.device)
    took = _counts(backbone, [taken] * sets)
    if part.rows.shape[0] == 1 and len(layers) > 1:
        # Input prompts are shallow vectors like any other.
        still = shallow.new_zeros(len(layers), sets, 0, width)
        nothing = torch.zeros(sets, 0, dtype=torch.bool, device=shallow.device)
        joined = torch.cat([shallow, first], dim=1), torch.cat([shallow_valid, valid.expand(sets, -1)], dim=1)
        return CompiledStack(*joined, still, still, nothing, shallow.new_zeros(sets, 0, width), nothing, took)
    deep = [first, *(row.to(dtype).expand(sets, -1, -1) for row in part.rows[1:])]
    keys, values = zip(*(_keys_values(layer, row) for layer, row in zip(layers, deep, strict=True)), strict=True)
    unattended = (torch.arange(first.shape[1], device=first.device) < part.unattended)[None].expand(sets, -1)
    return CompiledStack(
        shallow,
        shallow_valid,
        torch.stack(keys),
        torch.stack(values),
        valid.expand(sets, -1),
        deep[-1],
        unattended,
        took,
    )


def _keys_values(layer: Any, rows: Float[Tensor, "P N D"]) -> tuple[Tensor, Tensor]:
    attention, normed = layer.self_attn, layer.self_attn_layer_norm(rows.to(next(layer.parameters()).dtype))
    return attention.k_proj(normed).float(), attention.v_proj(normed).float()


def _counts(backbone: WhisperBackbone, numbers: Sequence[int]) -> Int[Tensor, "P"]:
    return torch.tensor(list(numbers), device=backbone.device)


def _mapped(rows: CompiledRows, change: Callable[[Tensor, int], Tensor]) -> CompiledRows:
    """`change(tensor, axis of its sets)` of all tensors."""

    def stack(part: CompiledStack) -> CompiledStack:
        axes = {"keys": 1, "values": 1}
        return CompiledStack(**{name: change(value, axes.get(name, 0)) for name, value in vars(part).items()})

    frames = rows.frames
    if frames is not None:
        bank = frames.bank
        if bank is not None:
            given: dict[str, Any] = {n: None if v is None else change(v, 1) for n, v in vars(bank).items()}
            bank = Bank(**given)
        frames = replace(frames, rest=change(frames.rest, 1), active=change(frames.active, 1), bank=bank)
    return CompiledRows(stack(rows.encoder), stack(rows.decoder), frames, rows.shift)
