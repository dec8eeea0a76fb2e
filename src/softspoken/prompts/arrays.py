"""Prompts as arrays: the tensors that a configuration has, and the rows that they make for some voices.

The same as `prompts.modules` in PyTorch, without gradients, for serving. Shapes: B batch, L
layers, N prompt vectors, D width, S speaker dimensions, F frames of a clip.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.backbones.features import SAMPLE_RATE_HZ
from softspoken.backbones.weights import StackName
from softspoken.errors import PromptMismatch
from softspoken.prompts.config import EnrolmentPrompt, FramePrompt, PromptConfig
from softspoken.prompts.rows import Bank, FrameRows, PromptRows, StackRows

Tensors = Mapping[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]
STATISTICS = ("speaker_mean", "speaker_scale")
"""Statistics of the training voices, kept in float32: 1/deviation may exceed what float16 holds."""


def shapes_of(config: PromptConfig, width: int, layers: Mapping[StackName, int]) -> Shapes:
    """Names and shapes of all tensors of a configuration. Raises KeyError for a stack that there is not."""
    voice = 0 if config.speaker is None else config.speaker.dimension
    found: Shapes = dict.fromkeys(STATISTICS, (voice,))
    for name in _stacks():
        found |= _stack_shapes(config, name, width, layers)
    if config.frames is not None:
        found |= _frame_shapes(config.frames, voice, layers["encoder"], width)
    if config.enrolment is not None:
        rows = config.enrolment.queries if config.enrolment.form == "queries" else 1
        found["enrolment.mark"] = (layers["encoder"], rows, width)
        if config.enrolment.form == "queries":
            found["enrolment.queries"] = (layers["encoder"], rows, width)
    return found


def _stacks() -> tuple[StackName, ...]:
    return ("encoder", "decoder")


def _stack_shapes(config: PromptConfig, name: StackName, width: int, layers: Mapping[StackName, int]) -> Shapes:
    found: Shapes = {}
    part = config.encoder if name == "encoder" else config.decoder
    if part is not None:
        depth, stack = layers[name] if part.depth == "deep" else 1, f"stacks.{name}"
        if part.rank:
            found[f"{stack}.factors"], found[f"{stack}.basis"] = (depth, part.length, part.rank), (part.rank, width)
        else:
            found[f"{stack}.vectors"] = (depth, part.length, width)
        for index in range({"none": 0, "shared": 1, "separate": depth}[config.reparameterisation]):
            net = f"{stack}.mlps.{index}.net"
            found |= {f"{net}.0.weight": (width // 2, width), f"{net}.0.bias": (width // 2,)}
            found |= {f"{net}.2.weight": (width, width // 2), f"{net}.2.bias": (width,)}
            found |= {f"{net}.3.weight": (width,), f"{net}.3.bias": (width,)}
    speaker = config.speaker
    if speaker is not None and speaker.into in (name, "both"):
        found[f"projections.{name}.weight"], found[f"projections.{name}.bias"] = (width, speaker.dimension), (width,)
    return found


def _frame_shapes(config: FramePrompt, voice: int, layers: int, width: int) -> Shapes:
    found: Shapes = {"frames.active": (layers, width), "frames.rest": (layers, width)}
    rank = config.keyed
    if rank:
        found |= {"frames.keys": (layers, width, rank), "frames.values": (layers, rank, width)}
        found |= {"frames.voice": (layers, voice, rank), "frames.bias": (layers, rank)}
        found["frames.by_activity"] = (layers, rank)
    return found


def folded(config: PromptConfig, tensors: Tensors) -> tuple[PromptConfig, dict[str, np.ndarray]]:
    """The same prompts without reparameterisation: what is deployed. Outputs are equal (to rounding)."""
    if config.reparameterisation == "none":
        return config, dict(tensors)
    mixed = {name: part for name, part in tensors.items() if ".mlps." not in name}
    for name in _stacks():
        if f"stacks.{name}.mlps.0.net.0.weight" not in tensors:
            continue
        vectors = _vectors(name, tensors)
        for part in ("factors", "basis", "vectors"):
            mixed.pop(f"stacks.{name}.{part}", None)
        nets = [f"stacks.{name}.mlps.{index}.net" for index in range(vectors.shape[0])]
        separate = config.reparameterisation == "separate"
        changed = [_residual(layer, nets[index if separate else 0], tensors) for index, layer in enumerate(vectors)]
        mixed[f"stacks.{name}.vectors"] = np.stack(changed)
    return config.folded(), mixed


def _residual(vectors: Float[np.ndarray, "N D"], net: str, tensors: Tensors) -> Float[np.ndarray, "N D"]:
    given = {part: tensors[f"{net}.{part}"].astype(np.float32) for part in ("0.weight", "0.bias", "2.weight", "2.bias")}
    inner = np.maximum(vectors @ given["0.weight"].T + given["0.bias"], 0.0)
    normed = layer_norm(inner @ given["2.weight"].T + given["2.bias"])
    found: np.ndarray = vectors + normed * tensors[f"{net}.3.weight"] + tensors[f"{net}.3.bias"]
    return found.astype(np.float32)


def _vectors(name: StackName, tensors: Tensors) -> Float[np.ndarray, "L N D"]:
    factors = tensors.get(f"stacks.{name}.factors")
    if factors is None:
        return tensors[f"stacks.{name}.vectors"].astype(np.float32)
    found: np.ndarray = factors.astype(np.float32) @ tensors[f"stacks.{name}.basis"].astype(np.float32)
    return found


def rows_of(
    config: PromptConfig,
    tensors: Tensors,
    speaker: Float[np.ndarray, "B S"] | None = None,
    clips: Float[np.ndarray, "L B F D"] | None = None,
) -> PromptRows:
    """The rows of folded prompts for these voices: their embeddings, and for `enrolment` prompts what the frozen
    encoder hears in their clips, layer by layer.

    Raises PromptMismatch when a voice is missing or has another dimension.
    """
    require_what_it_follows(config, speaker, clips)
    exact = {name: part.astype(np.float32) for name, part in tensors.items()}
    voice = None
    if speaker is not None:
        voice = ((speaker - exact["speaker_mean"]) * exact["speaker_scale"]).astype(np.float32)
    heard = None if clips is None or config.enrolment is None else _heard(config.enrolment, exact, clips)
    return PromptRows(
        encoder=_stack_rows("encoder", exact, voice, heard),
        decoder=_stack_rows("decoder", exact, voice, None),
        frames=None if config.frames is None else _frame_rows(config.frames, exact, voice),
        placement=config.placement,
    )


def require_what_it_follows(config: PromptConfig, speaker: Any, clips: Any) -> None:
    """Raise PromptMismatch unless voices and clips (arrays or tensors) are given exactly where prompts follow them."""
    if (clips is None) != (config.enrolment is None):
        raise PromptMismatch(
            "this prompt hears the enrolment clip itself; give the clip, not only its embedding"
            if clips is None
            else "this prompt does not hear enrolment clips; leave them out"
        )
    if config.speaker is None:
        if speaker is not None:
            raise PromptMismatch("this prompt follows no voice; leave the speaker out, or use a target-speaker prompt")
        return
    expected = config.speaker.dimension
    if speaker is None:
        raise PromptMismatch(f"this prompt follows a voice; give a speaker embedding of {expected} dimensions")
    if speaker.shape[-1] != expected:
        raise PromptMismatch(
            f"speaker embedding of {speaker.shape[-1]} dimensions, the prompt expects {expected}; "
            "use the embedder it was trained with"
        )


def _stack_rows(
    name: StackName, exact: Tensors, voice: np.ndarray | None, heard: Float[np.ndarray, "L B _ D"] | None
) -> StackRows | None:
    own = any(f"stacks.{name}.{part}" in exact for part in ("vectors", "factors"))
    projected = voice is not None and f"projections.{name}.weight" in exact
    if not own and not projected and heard is None:
        return None
    rows = _vectors(name, exact)[:, None] if own else None
    shallow = None
    if voice is not None and projected:
        shallow = (voice @ exact[f"projections.{name}.weight"].T + exact[f"projections.{name}.bias"])[:, None]
    width = next(part.shape[-1] for part in (rows, shallow, heard) if part is not None)
    shallow = np.zeros((1, 0, width), np.float32) if shallow is None else shallow
    rows = np.zeros((1, 1, 0, width), np.float32) if rows is None else rows
    if heard is None:
        return StackRows(shallow, rows)
    return StackRows(shallow, _in_front(heard, rows), unattended=heard.shape[2])


def _in_front(first: Float[np.ndarray, "L B M D"], rows: Float[np.ndarray, "K P N D"]) -> Float[np.ndarray, "L B _ D"]:
    """Rows of each voice in front of rows for all."""
    spread = np.broadcast_to(rows, (*first.shape[:2], *rows.shape[2:]))
    return np.concatenate([first, spread], axis=2)


def _frame_rows(config: FramePrompt, exact: Tensors, voice: np.ndarray | None) -> FrameRows:
    def part(name: str) -> np.ndarray:
        found: np.ndarray = exact[f"frames.{name}"][:, None]
        return found

    bank = None
    if config.keyed:
        assert voice is not None
        gate = np.float32(1.0) + np.einsum("bs,lsr->lbr", voice, exact["frames.voice"])
        bank = Bank(part("keys"), part("values"), gate, part("bias"), part("by_activity"))
    return FrameRows(part("rest"), part("active"), bank, config.mute_db)


def _heard(
    config: EnrolmentPrompt, exact: Tensors, states: Float[np.ndarray, "L B F D"]
) -> Float[np.ndarray, "L B _ D"]:
    """Clip states to rows: averaged over some frames, or pooled by attention of trained queries."""
    if config.form == "frames":
        size = states.shape[2] // config.stride * config.stride
        layers, batch, _, width = states.shape
        rows = states[:, :, :size].reshape(layers, batch, -1, config.stride, width).mean(axis=3)
    else:
        scores = np.einsum("lnd,lbfd->lbnf", exact["enrolment.queries"], layer_norm(states))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        rows = (weights / weights.sum(axis=-1, keepdims=True)) @ states
    marked: np.ndarray = rows + exact["enrolment.mark"][:, None]
    return marked.astype(np.float32)


def layer_norm(states: Float[np.ndarray, "*n D"]) -> Float[np.ndarray, "*n D"]:
    """Zero mean and unit variance over the last axis, as PyTorch's without weights."""
    centred = states - states.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    found: np.ndarray = centred / np.sqrt(variance + 1e-5)
    return found.astype(np.float32)


def fitted_clips(clips: Sequence[np.ndarray], config: EnrolmentPrompt) -> list[np.ndarray]:
    """`config.clip_s` of each enrolment clip (16 kHz): cut, or repeated. Raises PromptMismatch for an empty one."""
    if any(len(clip) == 0 for clip in clips):
        raise PromptMismatch("an enrolment clip without samples; give a few seconds of the voice")
    return [np.resize(clip, round(config.clip_s * SAMPLE_RATE_HZ)).astype(np.float32) for clip in clips]


def activity_of(scores: Float[np.ndarray, "*n"], config: FramePrompt) -> Float[np.ndarray, "*n"]:
    """How likely the target speaks in each frame, of its cosine to the voice: sigmoid(slope * (score - threshold))."""
    with np.errstate(over="ignore"):
        found: np.ndarray = 1.0 / (1.0 + np.exp(-config.slope * (scores.astype(np.float32) - config.threshold)))
    return found.astype(np.float32)
