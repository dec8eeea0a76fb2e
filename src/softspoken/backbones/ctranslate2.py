"""Whisper weights out of a CTranslate2 `model.bin`, the format of faster-whisper, without CTranslate2.

The file is little-endian: u32 binary version; string specification; u32 revision; u32 count; then each variable as
string name, u8 rank, u32 dimensions, u8 type, u32 bytes, data; u32 count of aliases; then pairs of strings. A string
is a u16 length, final NUL counted, and its bytes. Quantised weights are integers; the float is integer / scale, one
scale a row (int8) or one in all (int16), in the variable `<name>_scale`.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softspoken.backbones.weights import PROJECTION, StoredArray, StoredWeights, WhisperConfig, infer_config
from softspoken.errors import BackboneError

BINARY_VERSION = 6
SPECIFICATION = "WhisperSpec"
REVISION = 3
_GELU = 3
_TYPES: tuple[str, ...] = ("<f4", "i1", "<i2", "<i4", "<f2", "bfloat16")
_ADVICE = "fetch it again, or convert it again with ct2-transformers-converter"


@dataclass(frozen=True)
class Variable:
    """One stored array: its shape, its type (a numpy code, or 'bfloat16') and its bytes, still in the mapped file."""

    shape: tuple[int, ...]
    kind: str
    data: np.ndarray

    def numpy(self) -> np.ndarray:
        """The values as stored; bfloat16, which numpy lacks, as the upper halves of float32 (uint16)."""
        return self.data.view("<u2" if self.kind == "bfloat16" else self.kind).reshape(self.shape)


class _Reader:
    """Reads on and on through the parts of one file, each mapped into memory: only what is used is ever loaded."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self.origin = str(parts[0])
        self._maps = []
        for part in parts:
            try:
                self._maps.append(np.memmap(part, dtype=np.uint8, mode="r"))
            except (OSError, ValueError) as error:
                raise BackboneError(f"cannot read {part} ({error}); {_ADVICE}") from None
        self._part = 0
        self._offset = 0

    def take(self, count: int) -> np.ndarray:
        """The next `count` bytes: a view into the file, or a copy where they cross from one part to the next."""
        pieces: list[np.ndarray] = []
        wanted = count
        while wanted:
            if self._part == len(self._maps):
                raise BackboneError(f"{self.origin} is truncated; {_ADVICE}")
            piece = self._maps[self._part][self._offset : self._offset + wanted]
            pieces.append(piece)
            wanted -= len(piece)
            self._offset += len(piece)
            if self._offset == len(self._maps[self._part]):
                self._part, self._offset = self._part + 1, 0
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty(0, np.uint8)

    def number(self, code: str) -> int:
        """One unsigned number: 'B', 'H' or 'I'."""
        values: tuple[int, ...] = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)).tobytes())
        return values[0]

    def text(self) -> str:
        """One string; a name is short ASCII, so anything else means that this is another kind of file."""
        raw = self.take(self.number("H")).tobytes()
        if not raw.endswith(b"\0") or not raw[:-1].isascii():
            raise BackboneError(f"{self.origin} is not a CTranslate2 model.bin (a name is garbled); {_ADVICE}")
        return raw[:-1].decode("ascii")

    @property
    def at_end(self) -> bool:
        return self._part == len(self._maps)


def read_variables(parts: Sequence[Path]) -> tuple[dict[str, Variable], dict[str, str]]:
    """Variables and aliases of a Whisper `model.bin`, given as the one file or its parts in order.

    Raises BackboneError for another format, version or model, for truncation and for trailing bytes.
    """
    reader = _Reader(parts)
    version = reader.number("I")
    if version != BINARY_VERSION:
        raise BackboneError(
            f"{reader.origin}: binary version {version}, expected a CTranslate2 model.bin of version {BINARY_VERSION}; "
            f"{_ADVICE}"
        )
    name, revision = reader.text(), reader.number("I")
    if (name, revision) != (SPECIFICATION, REVISION):
        raise BackboneError(
            f"{reader.origin} holds '{name}' revision {revision}, expected '{SPECIFICATION}' revision {REVISION}; "
            f"{_ADVICE}"
        )
    variables: dict[str, Variable] = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        if name in variables:
            raise BackboneError(f"{reader.origin} holds '{name}' twice; {_ADVICE}")
        variables[name] = _read_variable(reader, name)
    aliases = {}
    for _ in range(reader.number("I")):
        alias = reader.text()
        aliases[alias] = reader.text()
    if not reader.at_end:
        raise BackboneError(f"{reader.origin} has more bytes than it says; {_ADVICE}")
    return variables, aliases


def _read_variable(reader: _Reader, name: str) -> Variable:
    shape = tuple(reader.number("I") for _ in range(reader.number("B")))
    kind, size = reader.number("B"), reader.number("I")
    if kind >= len(_TYPES):
        raise BackboneError(f"{reader.origin}: '{name}' has the unknown type {kind}; {_ADVICE}")
    item = 2 if _TYPES[kind] == "bfloat16" else np.dtype(_TYPES[kind]).itemsize
    if math.prod(shape) * item != size:
        raise BackboneError(f"{reader.origin}: '{name}' of shape {list(shape)} has {size} bytes; {_ADVICE}")
    return Variable(shape, _TYPES[kind], reader.take(size))


class _Weights:
    """The variables by name; remembers which were asked for."""

    def __init__(self, variables: dict[str, Variable], aliases: dict[str, str], origin: str) -> None:
        self._variables = variables
        self._aliases = aliases
        self.origin = origin
        self._used: set[str] = set()

    def _resolve(self, name: str) -> str:
        seen = {name}
        while name in self._aliases:
            name = self._aliases[name]
            if name in seen:
                raise BackboneError(f"{self.origin}: the alias '{name}' points at itself; {_ADVICE}")
            seen.add(name)
        return name

    def has(self, name: str) -> bool:
        return self._resolve(name) in self._variables

    def array(self, name: str) -> StoredArray:
        """A variable, with its scale (one a row, or one in all) where it is quantised."""
        target = self._resolve(name)
        if target not in self._variables:
            raise BackboneError(f"{self.origin}: the variable '{name}' is missing; {_ADVICE}")
        self._used.add(target)
        variable = self._variables[target]
        return StoredArray(variable.shape, variable.numpy, self._scale(target, name, variable))

    def _scale(self, target: str, name: str, variable: Variable) -> np.ndarray | None:
        if variable.kind not in ("i1", "<i2", "<i4"):
            return None
        scale_name = self._resolve(f"{target}_scale")
        if scale_name not in self._variables:
            raise BackboneError(f"{self.origin}: '{name}' is quantised but has no scale; {_ADVICE}")
        self._used.add(scale_name)
        stored = self._variables[scale_name]
        scale = StoredArray(stored.shape, stored.numpy).float32().reshape(-1)
        if scale.size not in (1, variable.shape[0]) or not (scale > 0).all():
            raise BackboneError(f"{self.origin}: the scale of '{name}' does not fit it; {_ADVICE}")
        return scale

    def scalar(self, name: str, default: int | None = None) -> int:
        if not self.has(name):
            if default is None:
                raise BackboneError(f"{self.origin}: the variable '{name}' is missing; {_ADVICE}")
            return default
        value = self._variables[self._resolve(name)].numpy()
        if value.size != 1:
            raise BackboneError(f"{self.origin}: '{name}' is not a single number; {_ADVICE}")
        return int(value.reshape(-1)[0])

    def refuse_rest(self) -> None:
        """An array nobody asked for means a model we do not understand (adapters, zero points, rotary tables)."""
        scales = {name for name in self._variables if name.endswith("_scale")}
        arrays = {name for name, variable in self._variables.items() if variable.shape}
        rest = sorted(arrays - scales - self._used)
        if rest:
            raise BackboneError(f"{self.origin}: the variable '{rest[0]}' is not part of Whisper; {_ADVICE}")


def load_ctranslate2(*parts: Path) -> tuple[WhisperConfig, StoredWeights]:
    """Configuration and weights (transformers' names) of a CTranslate2 Whisper: one `model.bin`, or its parts.

    float32, float16, bfloat16, int16 and int8 files, and mixtures of them. The file is mapped, and read where a weight
    is asked for. Raises BackboneError for a file that is damaged, of another version, or not a Whisper.
    """
    weights = _Weights(*read_variables(parts), origin=str(parts[0]))
    wanted = {"pre_norm": 1, "scale_embeddings": 0, "activation": _GELU, "alibi": 0}
    for name, expected in wanted.items():
        if weights.scalar(f"decoder/{name}", default=expected) != expected:
            raise BackboneError(f"{weights.origin}: decoder/{name} is not {expected} as in Whisper; {_ADVICE}")
    state: dict[str, StoredArray] = {}
    for stack in ("encoder", "decoder"):
        _read_stack(weights, stack, state)
    for convolution in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            state[f"model.encoder.{convolution}.{kind}"] = weights.array(f"encoder/{convolution}/{kind}")
    state["model.decoder.embed_tokens.weight"] = weights.array("decoder/embeddings/weight")
    if weights.has("decoder/projection/weight"):
        state[PROJECTION] = weights.array("decoder/projection/weight")
    weights.refuse_rest()
    encoder_heads, decoder_heads = (weights.scalar(f"{stack}/num_heads") for stack in ("encoder", "decoder"))
    found = StoredWeights(state)
    return infer_config(found, encoder_heads, decoder_heads, weights.origin), found


def _read_stack(weights: _Weights, stack: str, state: dict[str, StoredArray]) -> None:
    state[f"model.{stack}.embed_positions.weight"] = weights.array(f"{stack}/position_encodings/encodings")
    _read_norm(weights, f"{stack}/layer_norm", f"model.{stack}.layer_norm", state)
    layer = 0
    while weights.has(f"{stack}/layer_{layer}/self_attention/linear_0/weight"):
        source, target = f"{stack}/layer_{layer}", f"model.{stack}.layers.{layer}"
        own, own_target = f"{source}/self_attention", f"{target}.self_attn"
        _read_norm(weights, f"{own}/layer_norm", f"{target}.self_attn_layer_norm", state)
        _read_linear(weights, f"{own}/linear_0", [f"{own_target}.{x}_proj" for x in "qkv"], state)
        _read_linear(weights, f"{own}/linear_1", [f"{own_target}.out_proj"], state)
        if stack == "decoder":
            cross, cross_target = f"{source}/attention", f"{target}.encoder_attn"
            _read_norm(weights, f"{cross}/layer_norm", f"{target}.encoder_attn_layer_norm", state)
            _read_linear(weights, f"{cross}/linear_0", [f"{cross_target}.q_proj"], state)
            _read_linear(weights, f"{cross}/linear_1", [f"{cross_target}.{x}_proj" for x in "kv"], state)
            _read_linear(weights, f"{cross}/linear_2", [f"{cross_target}.out_proj"], state)
        _read_norm(weights, f"{source}/ffn/layer_norm", f"{target}.final_layer_norm", state)
        _read_linear(weights, f"{source}/ffn/linear_0", [f"{target}.fc1"], state)
        _read_linear(weights, f"{source}/ffn/linear_1", [f"{target}.fc2"], state)
        layer += 1


def _read_norm(weights: _Weights, source: str, target: str, state: dict[str, StoredArray]) -> None:
    state[f"{target}.weight"] = weights.array(f"{source}/gamma")
    state[f"{target}.bias"] = weights.array(f"{source}/beta")


def _read_linear(weights: _Weights, source: str, targets: list[str], state: dict[str, StoredArray]) -> None:
    """One stored projection into the one, two or three that are stacked in it; Whisper's key has no bias."""
    for kind in ("weight", "bias"):
        stacked = weights.array(f"{source}/{kind}")
        size, left = divmod(stacked.shape[0], len(targets))
        if left:
            raise BackboneError(f"{weights.origin}: '{source}/{kind}' has {stacked.shape[0]} rows; {_ADVICE}")
        for number, target in enumerate(targets):
            part = _rows(stacked, number * size, size) if len(targets) > 1 else stacked
            if kind == "bias" and target.endswith("k_proj"):
                if part.float32().any():
                    raise BackboneError(f"{weights.origin}: '{source}' has a key bias, Whisper has none; {_ADVICE}")
            else:
                state[f"{target}.{kind}"] = part


def _rows(stacked: StoredArray, first: int, size: int) -> StoredArray:
    scale = stacked.scale
    own = scale[first : first + size] if scale is not None and scale.size > 1 else scale
    return StoredArray((size, *stacked.shape[1:]), lambda: stacked.read()[first : first + size], own)
