"""OpenAI's own Whisper checkpoints (`.pt`: `dims` and `model_state_dict`) in transformers' names."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softspoken.backbones.weights import WhisperConfig, infer_config
from softspoken.errors import BackboneError

_ADVICE = "give an OpenAI Whisper file with 'dims' and 'model_state_dict'"
DIMENSIONS = {
    "n_mels": "num_mel_bins",
    "n_vocab": "vocab_size",
    "n_audio_ctx": "max_source_positions",
    "n_audio_state": "d_model",
    "n_audio_layer": "encoder_layers",
    "n_text_ctx": "max_target_positions",
    "n_text_state": "d_model",
    "n_text_layer": "decoder_layers",
}
# From the longest to the shortest, so that no name is cut by a part of another.
RENAMES = (
    (".cross_attn_ln.", ".encoder_attn_layer_norm."),
    (".attn_ln.", ".self_attn_layer_norm."),
    (".mlp_ln.", ".final_layer_norm."),
    (".cross_attn.", ".encoder_attn."),
    (".attn.", ".self_attn."),
    (".query.", ".q_proj."),
    (".key.", ".k_proj."),
    (".value.", ".v_proj."),
    (".out.", ".out_proj."),
    (".mlp.0.", ".fc1."),
    (".mlp.2.", ".fc2."),
    (".blocks.", ".layers."),
    ("encoder.ln_post.", "encoder.layer_norm."),
    ("decoder.ln.", "decoder.layer_norm."),
    ("decoder.token_embedding.", "decoder.embed_tokens."),
)


def rename_openai(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under transformers' names; names that are not OpenAI's are kept, for the caller to refuse."""
    renamed = {}
    for name, tensor in state.items():
        if name in ("alignment_heads", "decoder.mask"):
            continue  # buffers that some writers keep; not weights
        new = re.sub(r"\.positional_embedding$", ".embed_positions.weight", name)
        for old, replacement in RENAMES:
            new = new.replace(old, replacement)
        renamed[f"model.{new}"] = tensor
    return renamed


def convert_openai(
    state: Mapping[str, Tensor], audio_heads: int, text_heads: int, origin: str
) -> tuple[WhisperConfig, dict[str, Tensor]]:
    """Configuration and weights in transformers' names from a state dict in OpenAI's names."""
    renamed = rename_openai(state)
    return infer_config(renamed, audio_heads, text_heads, origin), renamed


def load_openai(path: Path) -> tuple[WhisperConfig, dict[str, Tensor]]:
    """Configuration and weights of an OpenAI `.pt` file; nothing but tensors and plain values is unpickled.

    Raises BackboneError when the file is damaged or holds something else.
    """
    try:
        with warnings.catch_warnings():  # torch talks about strange pickles; the error below says all
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged pickle can raise anything
        reason = re.sub(r"\s+", " ", str(error)).split(". ")[0][:120]
        raise BackboneError(f"cannot read {path} as tensors ({reason}); {_ADVICE}") from None
    dims, state = _checked(content, path)
    config, renamed = convert_openai(state, dims["n_audio_head"], dims["n_text_head"], str(path))
    for theirs, ours in DIMENSIONS.items():
        if dims[theirs] != getattr(config, ours):
            raise BackboneError(
                f"{path}: dims says {theirs} = {dims[theirs]}, its tensors say {getattr(config, ours)}; fetch it again"
            )
    return config, renamed


def _checked(content: Any, path: Path) -> tuple[dict[str, int], dict[str, Tensor]]:
    if not isinstance(content, dict) or not {"dims", "model_state_dict"} <= content.keys():
        raise BackboneError(f"{path} is not an OpenAI Whisper checkpoint; {_ADVICE}")
    dims, state = content["dims"], content["model_state_dict"]
    needed = [*DIMENSIONS, "n_audio_head", "n_text_head"]
    if not isinstance(dims, dict) or not all(isinstance(dims.get(name), int) for name in needed):
        raise BackboneError(f"{path}: its 'dims' lack one of {', '.join(needed)}; {_ADVICE}")
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise BackboneError(f"{path}: its 'model_state_dict' is not a dict of tensors; {_ADVICE}")
    return {name: dims[name] for name in needed}, state
