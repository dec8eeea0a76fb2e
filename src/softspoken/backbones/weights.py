"""Whisper's weights as arrays in transformers' names: what may be among them, and the fingerprint that names them.

Weights are float32 where they are used; they are read from their file, in whatever precision it has, when asked for.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from softspoken.errors import BackboneError

PROJECTION = "proj_out.weight"
EMBEDDING = "model.decoder.embed_tokens.weight"
ENCODER_POSITIONS = "model.encoder.embed_positions.weight"
DECODER_POSITIONS = "model.decoder.embed_positions.weight"
_SINUSOID_TOLERANCE = 2e-3
"""Above what float16 and bfloat16 files lose on values up to 1 (bfloat16: 2**-9), far below any trained table."""

StackName = Literal["encoder", "decoder"]

Arrays = Mapping[str, Any]
"""Name to array: of numpy, or of PyTorch on the processor."""


@dataclass(frozen=True)
class WhisperConfig:
    """The sizes of a Whisper, by the names that a hub's config.json gives them."""

    d_model: int
    num_mel_bins: int
    vocab_size: int
    max_source_positions: int
    max_target_positions: int
    encoder_layers: int
    decoder_layers: int
    encoder_attention_heads: int
    decoder_attention_heads: int
    encoder_ffn_dim: int
    decoder_ffn_dim: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every weight but the output projection, which is the token embedding."""
        width = self.d_model
        encoder, decoder = "model.encoder", "model.decoder"
        found: dict[str, tuple[int, ...]] = {
            f"{encoder}.conv1.weight": (width, self.num_mel_bins, 3),
            f"{encoder}.conv1.bias": (width,),
            f"{encoder}.conv2.weight": (width, width, 3),
            f"{encoder}.conv2.bias": (width,),
            ENCODER_POSITIONS: (self.max_source_positions, width),
            EMBEDDING: (self.vocab_size, width),
            DECODER_POSITIONS: (self.max_target_positions, width),
        }
        for stack, count, inner in (
            (encoder, self.encoder_layers, self.encoder_ffn_dim),
            (decoder, self.decoder_layers, self.decoder_ffn_dim),
        ):
            norms = [f"{stack}.layer_norm"]
            for layer in (f"{stack}.layers.{index}" for index in range(count)):
                attentions = ["self_attn"] if stack == encoder else ["self_attn", "encoder_attn"]
                for attention in attentions:
                    norms.append(f"{layer}.{attention}_layer_norm")
                    for part in "qkv":
                        found[f"{layer}.{attention}.{part}_proj.weight"] = (width, width)
                        if part != "k":
                            found[f"{layer}.{attention}.{part}_proj.bias"] = (width,)
                    found[f"{layer}.{attention}.out_proj.weight"] = (width, width)
                    found[f"{layer}.{attention}.out_proj.bias"] = (width,)
                norms.append(f"{layer}.final_layer_norm")
                found[f"{layer}.fc1.weight"], found[f"{layer}.fc1.bias"] = (inner, width), (inner,)
                found[f"{layer}.fc2.weight"], found[f"{layer}.fc2.bias"] = (width, inner), (width,)
            for norm in norms:
                found[f"{norm}.weight"] = found[f"{norm}.bias"] = (width,)
        return found

    @property
    def parameters(self) -> int:
        """Number of weights, the output projection and the token embedding counted once."""
        return sum(int(np.prod(shape)) for shape in self.shapes().values())


@dataclass(frozen=True)
class StoredArray:
    """One array as its file has it."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    """Its values: integers, floats, or the upper halves of float32 (bfloat16) as uint16."""
    scale: np.ndarray | None = None
    """Integers are divided by this: one number for all, or one for each row."""

    def float32(self, rows: np.ndarray | None = None) -> Float32[np.ndarray, "..."]:
        """The values, or those of some rows (indices of any shape)."""
        values = self.read() if rows is None else self.read()[rows]
        if values.dtype == np.uint16:
            return (values.astype(np.uint32) << 16).view(np.float32)
        # Always a copy: nobody may write into a file, or into somebody else's weights.
        found: np.ndarray = values.astype(np.float32)
        if self.scale is not None:
            scale = self.scale if rows is None or self.scale.size == 1 else self.scale[rows]
            found /= scale.reshape(*scale.shape, *(1,) * (found.ndim - scale.ndim))
        return found


class StoredWeights(Mapping[str, np.ndarray]):
    """Weights by transformers' names, made float32 whenever one is asked for; nothing is kept."""

    def __init__(self, arrays: Mapping[str, StoredArray]) -> None:
        self._arrays = dict(arrays)

    @classmethod
    def of(cls, arrays: Arrays) -> "StoredWeights":
        """Weights that are arrays in memory."""

        def reader(array: Any) -> Callable[[], np.ndarray]:
            return lambda: np.asarray(array)

        return cls({name: StoredArray(tuple(array.shape), reader(array)) for name, array in arrays.items()})

    def stored(self, name: str) -> StoredArray:
        """One of them as its file has it."""
        return self._arrays[name]

    def __getitem__(self, name: str) -> np.ndarray:
        found = self._arrays[name].float32()
        exact = exact_positions(found) if name == ENCODER_POSITIONS else None
        return found if exact is None else exact

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def sinusoids(length: int, width: int) -> Float32[np.ndarray, "T D"]:
    """Whisper's encoder positions: sines, then cosines, of frequencies from 1 down to 1/10000."""
    step = np.log(10000.0) / (width // 2 - 1)
    frequencies = np.exp(-step * np.arange(width // 2)).astype(np.float32)
    angles = np.arange(length, dtype=np.float32)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def exact_positions(stored: Float32[np.ndarray, "T D"]) -> Float32[np.ndarray, "T D"] | None:
    """The encoder's fixed sinusoids in full precision where `stored` is a rounded copy of them, else None."""
    if stored.shape[1] < 4 or stored.shape[1] % 2:
        return None
    exact = sinusoids(stored.shape[0], stored.shape[1])
    return exact if bool(np.abs(stored - exact).max() <= _SINUSOID_TOLERANCE) else None


def fingerprint(state: Arrays) -> str:
    """SHA-256 (hexadecimal) of the weights, the same whatever file and precision they came in.

    Taken over the sorted transformers names, shapes and values as float16. The tied output projection and the
    encoder's sinusoids say nothing of their own and are left out (positions that are not the sinusoids are not).
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        if name == PROJECTION:
            continue
        values = np.asarray(state[name])
        if name == ENCODER_POSITIONS and exact_positions(values.astype(np.float32)) is not None:
            continue
        digest.update(f"{name} {list(values.shape)}\n".encode())
        with np.errstate(over="ignore"):
            digest.update(np.ascontiguousarray(values.astype("<f2", copy=False)).data)
    return digest.hexdigest()


def infer_config(state: Arrays | StoredWeights, encoder_heads: int, decoder_heads: int, origin: str) -> WhisperConfig:
    """The configuration that the arrays' shapes imply; only the numbers of heads have to be told."""

    def shape(name: str) -> tuple[int, ...]:
        if name not in state:
            raise BackboneError(f"{origin}: the tensor {name} is missing; fetch or convert the file again")
        return _shape_in(state, name)

    width, mels, _ = shape("model.encoder.conv1.weight")
    return make_config(
        origin,
        d_model=width,
        num_mel_bins=mels,
        vocab_size=shape(EMBEDDING)[0],
        max_source_positions=shape(ENCODER_POSITIONS)[0],
        max_target_positions=shape(DECODER_POSITIONS)[0],
        encoder_layers=_layer_count(state, "encoder"),
        decoder_layers=_layer_count(state, "decoder"),
        encoder_attention_heads=encoder_heads,
        decoder_attention_heads=decoder_heads,
        encoder_ffn_dim=shape("model.encoder.layers.0.fc1.weight")[0],
        decoder_ffn_dim=shape("model.decoder.layers.0.fc1.weight")[0],
    )


def make_config(origin: str, **values: Any) -> WhisperConfig:
    """A configuration; BackboneError, naming `origin`, when the values make no model."""
    problem = None
    for field in fields(WhisperConfig):
        value = values.get(field.name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            problem = f"{field.name} is {value!r}" if field.name in values else f"{field.name} is missing"
            break
    if problem is None:
        for heads in (values["encoder_attention_heads"], values["decoder_attention_heads"]):
            if values["d_model"] % heads:
                problem = f"width {values['d_model']} is not a multiple of {heads} heads"
    if problem is not None:
        raise BackboneError(f"{origin}: not a usable Whisper configuration ({problem}); fetch it again")
    return WhisperConfig(**values)


def _shape_in(state: Arrays | StoredWeights, name: str) -> tuple[int, ...]:
    return state.stored(name).shape if isinstance(state, StoredWeights) else tuple(state[name].shape)


def _layer_count(state: Arrays, stack: str) -> int:
    pattern = re.compile(rf"model\.{stack}\.layers\.(\d+)\.")
    return 1 + max((int(match[1]) for name in state if (match := pattern.match(name))), default=0)


def checked_weights(config: WhisperConfig, state: Arrays | StoredWeights, origin: str) -> StoredWeights:
    """The weights without the output projection.

    Raises BackboneError, naming `origin`, for arrays that are missing, unknown, of another shape or not finite, and for
    an output projection that is not the token embedding.
    """
    weights = state if isinstance(state, StoredWeights) else StoredWeights.of(state)
    own = StoredWeights({name: weights.stored(name) for name in weights if name != PROJECTION})
    check_shapes({name: own.stored(name).shape for name in own}, config.shapes(), origin, "Whisper")
    if PROJECTION in weights and not np.array_equal(weights[PROJECTION], weights[EMBEDDING]):
        raise BackboneError(f"{origin}: the output projection is not the token embedding; Whisper ties them")
    for name in own:
        if not np.isfinite(own[name]).all():
            raise BackboneError(f"{origin}: {name} holds values that are not finite; fetch or convert it again")
    return own


def check_shapes(
    got: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], origin: str, kind: str
) -> None:
    """BackboneError, naming `origin`, unless these are exactly the shapes that a model of this `kind` has."""
    missing = sorted(expected.keys() - got.keys())
    unknown = sorted(got.keys() - expected.keys())
    for names, what in ((missing, "missing"), (unknown, f"not part of {kind}")):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise BackboneError(f"{origin}: {names[0]}{more} is {what}; fetch or convert the model again")
    for name, shape in got.items():
        if shape != expected[name]:
            raise BackboneError(
                f"{origin}: {name} has shape {list(shape)}, its configuration says {list(expected[name])}; "
                "fetch it again"
            )
