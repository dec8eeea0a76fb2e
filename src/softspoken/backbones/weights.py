"""Whisper's weights in transformers' names: the model built from them, and the fingerprint that names them."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import sinusoids

from softspoken.errors import BackboneError

PROJECTION = "proj_out.weight"
EMBEDDING = "model.decoder.embed_tokens.weight"
ENCODER_POSITIONS = "model.encoder.embed_positions.weight"
_DECODER_POSITIONS = "model.decoder.embed_positions.weight"
_SINUSOID_TOLERANCE = 2e-3
"""Above what float16 and bfloat16 files lose on values up to 1 (bfloat16: 2**-9), far below any trained table."""


def exact_positions(stored: Float[Tensor, "T D"]) -> Float[Tensor, "T D"] | None:
    """The encoder's fixed sinusoids in full precision where `stored` is a rounded copy of them, else None."""
    if stored.shape[1] < 4 or stored.shape[1] % 2:
        return None
    exact: Tensor = sinusoids(stored.shape[0], stored.shape[1])
    return exact if bool((stored.float().cpu() - exact).abs().max() <= _SINUSOID_TOLERANCE) else None


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (hexadecimal) of the weights, the same whatever file and precision they came in.

    Taken over the sorted transformers names, shapes and values as float16. The tied output projection and the
    encoder's sinusoids say nothing of their own and are left out (positions that are not the sinusoids are not).
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach()
        if name == PROJECTION or (name == ENCODER_POSITIONS and exact_positions(tensor) is not None):
            continue
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.to("cpu", torch.float16).contiguous().numpy().astype("<f2", copy=False).data)
    return digest.hexdigest()


def infer_config(state: Mapping[str, Tensor], encoder_heads: int, decoder_heads: int, origin: str) -> WhisperConfig:
    """The configuration that the tensors' shapes imply; only the numbers of heads have to be told."""

    def shape(name: str) -> torch.Size:
        if name not in state:
            raise BackboneError(f"{origin}: the tensor {name} is missing; fetch or convert the file again")
        return state[name].shape

    width = shape("model.encoder.conv1.weight")[0]
    return make_config(
        origin,
        d_model=width,
        num_mel_bins=shape("model.encoder.conv1.weight")[1],
        vocab_size=shape(EMBEDDING)[0],
        max_source_positions=shape(ENCODER_POSITIONS)[0],
        max_target_positions=shape(_DECODER_POSITIONS)[0],
        encoder_layers=_layer_count(state, "encoder"),
        decoder_layers=_layer_count(state, "decoder"),
        encoder_attention_heads=encoder_heads,
        decoder_attention_heads=decoder_heads,
        encoder_ffn_dim=shape("model.encoder.layers.0.fc1.weight")[0],
        decoder_ffn_dim=shape("model.decoder.layers.0.fc1.weight")[0],
        # The special ids are set from the tokenizer (see `checkpoints`).
        pad_token_id=None,
    )


def make_config(origin: str, **values: Any) -> WhisperConfig:
    """transformers' configuration; BackboneError, naming `origin`, when the values make no model."""
    try:
        config = WhisperConfig(**values)
        for heads in (config.encoder_attention_heads, config.decoder_attention_heads):
            if heads < 1 or config.d_model % heads:
                raise ValueError(f"width {config.d_model} is not a multiple of {heads} heads")
    except Exception as error:  # transformers' validators raise classes of their own
        message = re.sub(r"\s+", " ", str(error))[:200]
        raise BackboneError(f"{origin}: not a usable Whisper configuration ({message}); fetch it again") from None
    return config


def _layer_count(state: Mapping[str, Tensor], stack: str) -> int:
    pattern = re.compile(rf"model\.{stack}\.layers\.(\d+)\.")
    return 1 + max((int(match[1]) for name in state if (match := pattern.match(name))), default=0)


def build_model(config: WhisperConfig, state: dict[str, Tensor], origin: str) -> WhisperForConditionalGeneration:
    """A frozen float32 model in evaluation mode that takes over `state`'s tensors without copying float32 ones.

    Raises BackboneError, naming `origin`, for tensors that are missing, unknown, of another shape or not finite, and
    for an output projection that is not the token embedding.
    """
    config.tie_word_embeddings = True
    try:
        with torch.device("meta"):
            model = WhisperForConditionalGeneration(config)
    except (ValueError, TypeError, AssertionError, RuntimeError, KeyError) as error:
        message = re.sub(r"\s+", " ", str(error))[:200]
        raise BackboneError(f"{origin}: not a usable Whisper configuration ({message}); fetch it again") from None
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items() if name != PROJECTION}
    projection = state.pop(PROJECTION, None)
    check_tensors(state, shapes, origin, "Whisper")
    if projection is not None and not torch.equal(projection.float(), state[EMBEDDING].float()):
        raise BackboneError(f"{origin}: the output projection is not the token embedding; Whisper ties them")
    loaded = finite_float32(state, origin)
    positions = exact_positions(loaded[ENCODER_POSITIONS])
    if positions is not None:
        loaded[ENCODER_POSITIONS] = positions
    loaded[PROJECTION] = loaded[EMBEDDING]
    model.load_state_dict(loaded, assign=True)
    model.tie_weights()
    return model.eval().requires_grad_(False)


def check_tensors(state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], origin: str, kind: str) -> None:
    """BackboneError, naming `origin`, unless `state` has exactly the tensors that a model of this `kind` has."""
    missing = sorted(shapes.keys() - state.keys())
    unknown = sorted(state.keys() - shapes.keys())
    for names, what in ((missing, "missing"), (unknown, f"not part of {kind}")):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise BackboneError(f"{origin}: {names[0]}{more} is {what}; fetch or convert the model again")
    for name, tensor in state.items():
        if tensor.shape != shapes[name]:
            got, expected = list(tensor.shape), list(shapes[name])
            raise BackboneError(f"{origin}: {name} has shape {got}, its configuration says {expected}; fetch it again")


def finite_float32(state: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """The weights in float32 (counters as they are); BackboneError, naming `origin`, for one that is not finite."""
    loaded = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    for name, tensor in loaded.items():
        if not bool(torch.isfinite(tensor).all()):
            raise BackboneError(f"{origin}: {name} holds values that are not finite; fetch or convert it again")
    return loaded
