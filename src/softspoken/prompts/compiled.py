"""Prompts made ready for serving: what an audio does not change is computed once. Numpy alone.

Rows that are overwritten before every layer are the same whatever is heard, so a serving engine needs of them only
what others see: their keys and values. Only the last encoder layer's rows are worked out with the audio, because the
decoder sees what becomes of them. Both are exactly what `inject` makes of the same prompts (to rounding).

Shapes: B batch, P sets of prompts (1 for all rows, else B), L layers, F shallow vectors, N overwritten rows,
D width, R vectors in a bank.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from softspoken.backbones.weights import StackName
from softspoken.errors import ConfigError
from softspoken.prompts.arrays import Tensors, folded, rows_of
from softspoken.prompts.config import PromptConfig
from softspoken.prompts.rows import Bank, FrameRows, PromptRows, StackRows, converted


@runtime_checkable
class PromptedModel(Protocol):
    """What of a frozen Whisper prompts are compiled with: `StoredWhisper` and `WhisperBackbone` have it."""

    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> Mapping[StackName, int]: ...

    def first_positions(self, stack: StackName, count: int) -> Float32[np.ndarray, "_ D"]:
        """The embeddings of a stack's first positions."""
        ...

    def opening(self) -> Float32[np.ndarray, " D"]:
        """Embedding, without position, of the token that stands before a decoder's prompts."""
        ...

    def keys_values(
        self, stack: StackName, layer: int, rows: Float32[np.ndarray, "P N D"]
    ) -> tuple[Float32[np.ndarray, "P N D"], Float32[np.ndarray, "P N D"]]:
        """What a layer's self-attention makes of rows that enter it."""
        ...


@dataclass(frozen=True)
class CompiledStack:
    """One stack's prompts as attention needs them. Where `shallow_valid` or `valid` is false, there is padding."""

    shallow: Float[np.ndarray, "P F D"]
    """Vectors that go through all layers, positions added: voices, input prompts, a decoder's opening token."""
    shallow_valid: Bool[np.ndarray, "P F"]
    keys: Float[np.ndarray, "L P N D"]
    values: Float[np.ndarray, "L P N D"]
    valid: Bool[np.ndarray, "P N"]
    last: Float[np.ndarray, "P N D"]
    """The rows themselves before the last layer; an encoder goes on with them."""
    unattended: Bool[np.ndarray, "P N"]
    """Rows whose output the decoder sees nothing of."""
    positions: Int[np.ndarray, "P"]
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

        def note(part: np.ndarray, axis: int) -> np.ndarray:
            sizes.append(part.shape[axis])
            return part

        _mapped(self, note)
        return max(sizes)

    def repeated(self, rows: Sequence[int]) -> "CompiledRows":
        """Set `rows[b]` for row b of a batch."""
        index = np.array(list(rows), np.int64)
        return _mapped(self, lambda part, axis: part if part.shape[axis] == 1 else part.take(index, axis))

    def spread(self, count: int | None = None) -> "CompiledRows":
        """`count` sets of every part, also of those that are the same for all voices; None: as many as there are."""
        size = self.sets if count is None else count

        def repeat(part: np.ndarray, axis: int) -> np.ndarray:
            return np.broadcast_to(part, (*part.shape[:axis], size, *part.shape[axis + 1 :]))

        return _mapped(self, repeat)

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        found: dict[int, int] = {}

        def note(part: np.ndarray, axis: int) -> np.ndarray:
            whole = part
            while isinstance(whole.base, np.ndarray):
                whole = whole.base
            found[id(whole)] = whole.nbytes
            return part

        _mapped(self, note)
        return sum(found.values())


class CompiledPrompts:
    """A trained set of prompts on its backbone, ready to serve any voice. Safe to share between threads."""

    def __init__(self, model: PromptedModel, config: PromptConfig, tensors: Tensors) -> None:
        """`tensors`: folded or not, in any precision; they are checked by the caller (`load_prompts`)."""
        self._model = model
        self.config, plain = folded(config, tensors)
        self._held = {name: _smallest(part) for name, part in plain.items()}
        # Prompts that follow no voice are the same in every batch.
        self._only = None if self.config.follows_voice else self._compiled(None, None)

    def rows(
        self, speaker: Float[np.ndarray, "B S"] | None = None, clips: Float[np.ndarray, "L B F D"] | None = None
    ) -> CompiledRows:
        """For these voices; arguments and errors are those of `arrays.rows_of`."""
        if self._only is not None and speaker is None and clips is None:
            return self._only
        return self._compiled(speaker, clips)

    def _compiled(self, speaker: np.ndarray | None, clips: np.ndarray | None) -> CompiledRows:
        return compile_rows(self._model, rows_of(self.config, self._held, speaker, clips))


def _smallest(part: np.ndarray) -> np.ndarray:
    """A copy, in half precision where that is exact, as it is for prompts that were stored so."""
    with np.errstate(over="ignore"):
        half = part.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), part) else part.astype(np.float32)


def compile_rows(model: PromptedModel, rows: PromptRows) -> CompiledRows:
    """What the engines need of `rows` (of numpy, or of PyTorch); the model gives the projections to keys and values,
    and the positions."""
    rows = converted(rows, lambda part, axis: _array(part))
    shift = 0
    if rows.placement == "shifted" and rows.encoder is not None:
        shift = rows.encoder.slots
    encoder = _stack(model, "encoder", rows.encoder, positions=shift > 0)
    decoder = _stack(model, "decoder", rows.decoder, positions=True)
    return CompiledRows(encoder, decoder, rows.frames, shift)


def _array(part: Any) -> np.ndarray:
    if not isinstance(part, np.ndarray):
        # numpy knows no bfloat16.
        part = (part.float() if part.is_floating_point() else part).detach().cpu().numpy()
    found: np.ndarray = part
    return found.astype(np.float32, copy=False) if found.dtype.kind == "f" else found


def unprompted(model: PromptedModel) -> CompiledRows:
    """No prompts: plain Whisper."""
    return CompiledRows(_stack(model, "encoder", None, False), _stack(model, "decoder", None, True))


def _stack(model: PromptedModel, name: StackName, part: StackRows | None, positions: bool) -> CompiledStack:
    layers, width = model.layers[name], model.width
    if part is None:
        none, nothing = np.zeros((1, 0, width), np.float32), np.zeros((1, 0), bool)
        still = np.zeros((layers, 1, 0, width), np.float32)
        return CompiledStack(none, nothing, still, still, nothing, none, nothing, np.zeros(1, np.int64))
    if name == "decoder" and part.counts is not None:
        raise ConfigError("decoder prompts of different lengths in one set; give one set a voice and join them")
    sets = max(part.shallow.shape[0], part.rows.shape[1])
    shallow = np.broadcast_to(part.shallow, (sets, *part.shallow.shape[1:]))
    if name == "decoder":
        opening = np.broadcast_to(model.opening(), (sets, 1, width))
        shallow = np.concatenate([opening, shallow], axis=1)
    first = np.broadcast_to(part.rows[0], (sets, *part.rows.shape[2:]))
    places = np.arange(first.shape[1])[None]
    valid = np.broadcast_to(places < (first.shape[1] if part.counts is None else part.counts[:, None]), first.shape[:2])
    taken = shallow.shape[1] + first.shape[1] if positions else 0
    if positions:
        table = model.first_positions(name, taken)
        shallow, first = shallow + table[: shallow.shape[1]], first + table[shallow.shape[1] :]
    shallow_valid, took = np.ones(shallow.shape[:2], bool), np.full(sets, taken, np.int64)
    if part.rows.shape[0] == 1 and layers > 1:
        # Input prompts are shallow vectors like any other.
        still, nothing = np.zeros((layers, sets, 0, width), np.float32), np.zeros((sets, 0), bool)
        joined = np.concatenate([shallow, first], axis=1), np.concatenate([shallow_valid, valid], axis=1)
        return CompiledStack(*joined, still, still, nothing, np.zeros((sets, 0, width), np.float32), nothing, took)
    # Rows that are the same for all voices give the same keys and values.
    deep = [first[:1] if part.rows.shape[1] == 1 else first, *part.rows[1:]]
    made = [model.keys_values(name, layer, np.ascontiguousarray(row)) for layer, row in enumerate(deep)]
    keys, values = (np.stack([pair[index] for pair in made]) for index in range(2))
    size = (layers, sets, *keys.shape[2:])
    unattended = np.broadcast_to(places < part.unattended, first.shape[:2])
    last = np.broadcast_to(deep[-1], first.shape)
    return CompiledStack(
        np.ascontiguousarray(shallow, np.float32),
        shallow_valid,
        np.broadcast_to(keys, size),
        np.broadcast_to(values, size),
        valid,
        last,
        unattended,
        took,
    )


def _mapped(rows: CompiledRows, change: Callable[[np.ndarray, int], np.ndarray]) -> CompiledRows:
    """`change(array, axis of its sets)` of all arrays."""

    def stack(part: CompiledStack) -> CompiledStack:
        axes = {"keys": 1, "values": 1}
        return CompiledStack(**{name: change(value, axes.get(name, 0)) for name, value in vars(part).items()})

    frames = None if rows.frames is None else converted(rows.frames, change)
    return CompiledRows(stack(rows.encoder), stack(rows.decoder), frames, rows.shift)


def join(sets: Sequence[CompiledRows]) -> CompiledRows:
    """Sets of any lengths and kinds, of one backbone, one behind the other as rows of one batch.

    Raises ConfigError where the audio would stand at different positions, or be muted differently.
    """
    if len(sets) == 1:
        return sets[0]
    if len({one.shift for one in sets}) > 1:
        raise ConfigError("prompts of different 'shifted' lengths in one batch; run them one after the other")
    sets = [one.spread() for one in sets]
    encoder, decoder = (_join_stacks([getattr(one, name) for one in sets]) for name in ("encoder", "decoder"))
    return CompiledRows(encoder, decoder, _join_frames(sets), sets[0].shift)


def _join_stacks(parts: Sequence[CompiledStack]) -> CompiledStack:
    def joined(name: str) -> np.ndarray:
        axis = 1 if name in ("keys", "values") else 0
        found = [getattr(part, name) for part in parts]
        # Behind the sets lie the vectors; positions have none.
        return np.concatenate(found if name == "positions" else _alike(found, axis + 1), axis=axis)

    return CompiledStack(**{name: joined(name) for name in vars(parts[0])})


def _alike(parts: Sequence[np.ndarray], axis: int) -> list[np.ndarray]:
    """Padded with zeros (false) to the largest size along `axis`."""
    size = max(part.shape[axis] for part in parts)

    def behind(part: np.ndarray) -> list[tuple[int, int]]:
        return [(0, size - part.shape[axis] if at == axis else 0) for at in range(part.ndim)]

    return [np.pad(part, behind(part)) for part in parts]


def _join_frames(sets: Sequence[CompiledRows]) -> FrameRows | None:
    parts = [one.frames for one in sets]
    first = next((part for part in parts if part is not None), None)
    if first is None:
        return None
    if any((part.mute_db if part is not None else 0.0) != first.mute_db for part in parts):
        raise ConfigError("prompts that mute differently in one batch; run them one after the other")
    layers, _, width = first.rest.shape
    filled: list[FrameRows] = []
    for one, part in zip(sets, parts, strict=True):
        # Vectors of zero add nothing, whatever chooses them.
        none = np.zeros((layers, one.sets, width), np.float32)
        narrow = np.zeros((layers, one.sets, 0), np.float32)
        bank = Bank(none[..., None][..., :0], none[:, :, None][:, :, :0], narrow, narrow, narrow)
        made = FrameRows(none, none, bank, first.mute_db) if part is None else part
        filled.append(made if made.bank is not None else replace(made, bank=bank))
    axes = {"keys": 3, "values": 2, "gate": 2, "bias": 2, "by_activity": 2}
    banks = [part.bank for part in filled if part.bank is not None]
    wide = {
        name: np.concatenate(_alike([getattr(bank, name) for bank in banks], axis), axis=1)
        for name, axis in axes.items()
    }
    keyed = wide["keys"].shape[-1] > 0
    return FrameRows(
        np.concatenate([part.rest for part in filled], axis=1),
        np.concatenate([part.active for part in filled], axis=1),
        Bank(**wide) if keyed else None,
        first.mute_db,
    )
