"""A frozen Whisper in PyTorch, made of stored weights: what learning works on."""

from dataclasses import fields

import torch
from transformers import WhisperConfig as ModelConfig
from transformers import WhisperForConditionalGeneration

from softspoken.backbones.checkpoints import StoredWhisper, read_whisper
from softspoken.backbones.weights import EMBEDDING, PROJECTION, StoredWeights, WhisperConfig
from softspoken.backbones.whisper import WhisperBackbone
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.errors import BackboneError


def load_backbone(reference: str = DEFAULT_BACKBONE, device: str = "cpu", dtype: str = "float32") -> WhisperBackbone:
    """A frozen Whisper by reference: 'tiny.en' (embedded default), 'base', a hub id, a folder, an OpenAI .pt file.

    Raises BackboneError with one line when it cannot be had. See `softspoken.backbones.checkpoints`.
    """
    check_device(device)
    stored = read_whisper(reference)
    backbone = WhisperBackbone(model_of(stored), stored.tokenizer, stored.name, stored.fingerprint)
    return backbone.to(device, getattr(torch, dtype))


def check_device(device: str) -> None:
    """Raises BackboneError for a device that PyTorch cannot use here, before any weights are fetched."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        problem = str(error).strip().splitlines()[0][:200]
        raise BackboneError(f"device '{device}' cannot be used here ({problem}); use 'cpu'") from error


def model_of(stored: StoredWhisper) -> WhisperForConditionalGeneration:
    """transformers' model of weights that are checked already, with the special ids of its tokenizer."""
    model = filled(stored.config, stored.weights)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config, key, stored.tokenizer.token_to_id("<|endoftext|>"))
    model.config.decoder_start_token_id = stored.tokenizer.token_to_id("<|startoftranscript|>")
    return model


def filled(config: WhisperConfig, weights: StoredWeights) -> WhisperForConditionalGeneration:
    """A frozen float32 model in evaluation mode of weights that are checked already."""
    # The special ids are set from the tokenizer.
    named = {field.name: getattr(config, field.name) for field in fields(config)} | {"pad_token_id": None}
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(ModelConfig(**named, tie_word_embeddings=True))
    loaded = {name: torch.from_numpy(array) for name, array in weights.items()}
    loaded[PROJECTION] = loaded[EMBEDDING]
    model.load_state_dict(loaded, assign=True)
    model.tie_weights()
    return model.eval().requires_grad_(False)
