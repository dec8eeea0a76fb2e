"""The only place where a prompt meets a backbone: hooks on its seams, set by a context manager, gone after it.

Layout of a prompted stack (target-speaker paper, section 2.2):

    encoder   [voice][prompt 1..N][audio frames ...]     or, appended, [audio frames ...][prompt 1..N]
    decoder   <|startofprev|>[voice][prompt 1..N]<|startoftranscript|> ...

The voice flows through the layers; the prompt rows are overwritten before every layer (`deep`) or stand only before
the first (`input`). Slots are made by position and hold no token, so every vocabulary works. The encoder's prompt rows
stay in its output: the decoder's cross-attention sees them.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.backbones.base import Backbone
from softspoken.backbones.weights import StackName
from softspoken.errors import ConfigError, PromptMismatch
from softspoken.prompts.config import Placement
from softspoken.prompts.layout import Layout
from softspoken.prompts.modules import SoftPrompts, added_by
from softspoken.prompts.rows import FrameRows, PromptRows, StackRows

_CLAIMING = threading.Lock()
_CLAIMED: set[int] = set()
"""Stacks (by identity) that run under a prompt now."""


@contextmanager
def inject(
    backbone: Backbone,
    prompts: SoftPrompts | PromptRows,
    speaker: Float[Tensor, "B S"] | None = None,
    activity: Float[Tensor, "B T"] | None = None,
    clips: Float[Tensor, "L B F D"] | None = None,
) -> Iterator[None]:
    """Inside this context, `backbone.encode` and `backbone.decode` run with `prompts`; after it, without a trace.

    Args:
        prompts: the trainable module, or its rows already made for a batch (then `speaker` is not needed).
        speaker: one embedding a row of the batch, where the prompts follow a voice.
        activity: how likely the target speaks in each encoder frame (20 ms), 0 to 1, for frame prompts. Missing frames
            at the end count as 0.
        clips: `clip_states` of the enrolments, for prompts that hear these.

    Raises:
        PromptMismatch: the prompts do not fit this backbone, or a voice or activity they need is missing.
        ConfigError: the same stack already runs under a prompt, of an outer context or of another thread.
    """
    rows = prompts(speaker, clips) if isinstance(prompts, SoftPrompts) else prompts
    _check(backbone, rows, activity)
    with ExitStack() as hooks:
        _claim(backbone, rows, hooks)
        slots = rows.encoder.slots if rows.encoder is not None else 0
        if rows.encoder is not None:
            _hook_encoder(backbone, rows.encoder, rows.placement, hooks)
        if rows.frames is not None:
            assert activity is not None
            _hook_frames(backbone, rows.frames, activity, slots, hooks)
        if rows.decoder is not None:
            _hook_decoder(backbone, rows.decoder, hooks)
        yield


def _claim(backbone: Backbone, rows: PromptRows, hooks: ExitStack) -> None:
    """One prompt at a time: a second one, nested or from another thread, would silently mix with the first."""
    wanted: list[nn.Module] = []
    if rows.encoder is not None or rows.frames is not None:
        wanted.append(backbone.stacks["encoder"])
    if rows.decoder is not None:
        wanted.append(backbone.stacks["decoder"])
    for stack in wanted:
        with _CLAIMING:
            if id(stack) in _CLAIMED:
                raise ConfigError(
                    f"backbone '{backbone.name}' already runs under a prompt; leave that context first, or give every "
                    "row of one batch its own prompt"
                )
            _CLAIMED.add(id(stack))
        hooks.callback(_CLAIMED.discard, id(stack))


def _check(backbone: Backbone, rows: PromptRows, activity: Tensor | None) -> None:
    placed: dict[StackName, StackRows | None] = {"encoder": rows.encoder, "decoder": rows.decoder}
    shapes: list[tuple[StackName, torch.Size, tuple[int, ...]]] = [
        (name, part.rows.shape, (1,)) for name, part in placed.items() if part is not None
    ]
    if rows.frames is not None:
        shapes.append(("encoder", rows.frames.rest.shape, ()))
    for name, shape, also in shapes:
        if name not in backbone.stacks:
            raise PromptMismatch(f"the prompt has {name} vectors, backbone '{backbone.name}' has no {name}")
        stack = backbone.stacks[name]
        if shape[-1] != stack.width:
            raise PromptMismatch(
                f"prompt width {shape[-1]}, backbone '{backbone.name}' width {stack.width}; "
                "load the backbone it was trained on"
            )
        if shape[0] not in (*also, len(stack.layers)):
            raise PromptMismatch(
                f"prompts for {shape[0]} {name} layers, backbone '{backbone.name}' has {len(stack.layers)}; "
                "load the backbone it was trained on"
            )
    if rows.frames is not None and activity is None:
        raise PromptMismatch("this prompt has frame vectors; give the activity of the target, (batch, frames)")


def _hook_encoder(backbone: Backbone, part: StackRows, placement: Placement, hooks: ExitStack) -> None:
    stack = backbone.stacks["encoder"]
    slots = part.slots
    first = part.shallow.shape[1]
    layout: Layout | None = None

    def pad_mel(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        # Two mel frames a slot, so that the audio's positions begin behind the slots; the window's end gives way.
        mel, lengths = args
        assert backbone.inputs_per_frame is not None
        front = backbone.inputs_per_frame * slots
        limit = backbone.inputs_per_frame * getattr(backbone, "max_frames", mel.shape[-1] + front)
        mel = F.pad(mel, (front, 0))[..., :limit]
        return mel, (lengths + front).clamp(max=limit)

    def take_slots(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, *rest = args
        return torch.cat([_slots(part, hidden), hidden[:, slots:]], dim=1), *rest

    def place(module: nn.Module, args: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        nonlocal layout
        hidden, lengths = output
        used = used_slots(part, hidden.shape[0]).to(lengths.device)
        placed = _slots(part, hidden)
        if placement == "unshifted" and part.counts is None:
            return torch.cat([placed, hidden], dim=1), lengths + slots
        layout = Layout.of(placement, hidden.shape[1], lengths, used, slots)
        return layout.place(hidden, placed), lengths + used

    def overwrite(rows: Float[Tensor, "P N D"]) -> Any:
        plain = _overwrite(rows, first, lambda: True)

        def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if layout is None:
                replaced: tuple[Any, ...] | None = plain(module, args)
                return replaced
            hidden, *rest = args
            return layout.overwrite(hidden, _rows_for(rows, hidden.shape[0]).to(hidden.dtype), first), *rest

        return hook

    if part.unattended:
        _hook(hooks, stack.norm.register_forward_hook(_unheard(first, first + part.unattended)))
    if placement == "shifted":
        if backbone.inputs_per_frame is None:
            raise PromptMismatch(
                f"placement 'shifted' is for Whisper's log-mel, backbone '{backbone.name}' hears waveforms; "
                "use 'unshifted' or 'appended'"
            )
        if part.counts is not None:
            raise ConfigError("shifted prompts of different lengths in one batch; run them one after the other")
        _hook(hooks, backbone.frontend.register_forward_pre_hook(pad_mel))
        _hook(hooks, stack.entry.register_forward_pre_hook(take_slots))
    else:
        _hook(hooks, stack.entry.register_forward_hook(place))
    for index in range(1, part.rows.shape[0]):
        _hook(hooks, stack.layers[index].register_forward_pre_hook(overwrite(part.rows[index])))


def _unheard(first: int, end: int) -> Any:
    """A hook after which nobody attends to what these positions hold."""

    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return torch.cat([output[:, :first], torch.zeros_like(output[:, first:end]), output[:, end:]], dim=1)

    return hook


def _hook_frames(
    backbone: Backbone,
    part: FrameRows,
    activity: Float[Tensor, "B T"],
    slots: int,
    hooks: ExitStack,
) -> None:
    def add(layer: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            hidden, *rest = args
            frames = hidden[:, slots:]
            active = _fitted(activity, frames.shape[1]).to(frames.dtype)
            return torch.cat([hidden[:, :slots], frames + added_by(part, layer, frames, active)], dim=1), *rest

        return hook

    def quieten(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        mel, *rest = args
        return mute(mel, activity, part.mute_db, backbone.inputs_per_frame), *rest

    if part.mute_db:
        if backbone.inputs_per_frame is None:
            raise PromptMismatch(
                f"'mute_db' is for Whisper's log-mel, backbone '{backbone.name}' hears waveforms; leave it out"
            )
        _hook(hooks, backbone.frontend.register_forward_pre_hook(quieten))
    for index, layer in enumerate(backbone.stacks["encoder"].layers):
        _hook(hooks, layer.register_forward_pre_hook(add(index)))


def mute(
    mel: Float[Tensor, "B M _"], activity: Float[Tensor, "B T"], mute_db: float, inputs_per_frame: int | None
) -> Float[Tensor, "B M _"]:
    """The mel frames in which the target surely does not speak, `mute_db` quieter (`FramePrompt.mute_db`)."""
    assert inputs_per_frame is not None
    each = _fitted(activity, -(-mel.shape[-1] // inputs_per_frame))
    each = each.repeat_interleave(inputs_per_frame, dim=1)[:, None, : mel.shape[-1]].to(mel.dtype)
    # Whisper's scale: a quarter of log10 of the power, with 80 dB between the loudest and the floor.
    floor = mel.amax(dim=(1, 2), keepdim=True) - 80 / 40
    return torch.maximum(mel - (1 - each) * mute_db / 40, floor)


def _fitted(activity: Float[Tensor, "B T"], frames: int) -> Float[Tensor, "B F"]:
    """As many frames as asked for: 0 behind the end."""
    return F.pad(activity, (0, max(frames - activity.shape[1], 0)))[:, :frames]


def _hook_decoder(backbone: Backbone, part: StackRows, hooks: ExitStack) -> None:
    if part.counts is not None:
        raise ConfigError("decoder prompts of different lengths in one batch; run them one after the other")
    stack = backbone.stacks["decoder"]
    first = 1 + part.shallow.shape[1]
    prefill = True

    def prepend(
        module: nn.Module, args: tuple[Float[Tensor, "B U D"], Int[Tensor, "B"], int]
    ) -> tuple[Tensor, Tensor, int]:
        nonlocal prefill
        hidden, lengths, offset = args
        # With a cache, the slots are already in it after the first pass.
        prefill = offset == 0
        if not prefill:
            return hidden, lengths, offset
        begin = backbone.decoder_opening().to(hidden.dtype).expand(hidden.shape[0], -1, -1)
        return torch.cat([begin, _slots(part, hidden), hidden], dim=1), lengths + first + part.rows.shape[2], offset

    _hook(hooks, stack.entry.register_forward_pre_hook(prepend))
    for index in range(1, part.rows.shape[0]):
        hook = _overwrite(part.rows[index], first, lambda: prefill)
        _hook(hooks, stack.layers[index].register_forward_pre_hook(hook))


def used_slots(part: StackRows, size: int) -> Int[Tensor, "B"]:
    """How many prompt rows each of `size` rows of a batch has, shallow ones among them."""
    rows = torch.tensor([part.rows.shape[2]]) if part.counts is None else part.counts
    if rows.shape[0] not in (1, size):
        raise PromptMismatch(f"{rows.shape[0]} sets of prompts for a batch of {size}; give one a row")
    taken: Tensor = rows + part.shallow.shape[1]
    return taken.expand(size)


def _slots(part: StackRows, hidden: Float[Tensor, "B T D"]) -> Float[Tensor, "B N D"]:
    """The vectors before the first layer, one set a row of the batch."""
    size = hidden.shape[0]
    parts = [_rows_for(part.shallow, size), _rows_for(part.rows[0], size)]
    return torch.cat(parts, dim=1).to(hidden.dtype)


def _overwrite(rows: Float[Tensor, "B N D"], first: int, wanted: Any) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not wanted():
            return None
        hidden, *rest = args
        here = _rows_for(rows, hidden.shape[0]).to(hidden.dtype)
        end = first + here.shape[1]
        return torch.cat([hidden[:, :first], here, hidden[:, end:]], dim=1), *rest

    return hook


def _rows_for(rows: Float[Tensor, "P N D"], size: int) -> Float[Tensor, "B N D"]:
    if rows.shape[0] not in (1, size):
        raise PromptMismatch(f"{rows.shape[0]} voices for a batch of {size}; give one voice a row")
    return rows.expand(size, -1, -1)


def _hook(hooks: ExitStack, handle: Any) -> None:
    hooks.callback(handle.remove)
