"""A frozen Whisper as transformers' model in PyTorch, made of stored weights: what learning works on."""

from dataclasses import dataclass, fields

import torch
from tokenizers import Tokenizer
from transformers import WhisperConfig as ModelConfig
from transformers import WhisperForConditionalGeneration

from softspoken.backbones.checkpoints import StoredWhisper, read_whisper
from softspoken.backbones.weights import (
    EMBEDDING,
    PROJECTION,
    Arrays,
    StoredWeights,
    WhisperConfig,
    checked_weights,
)
from softspoken.defaults import DEFAULT_BACKBONE


@dataclass(frozen=True)
class LoadedWhisper:
    """A frozen Whisper in float32 and evaluation mode, and what is known about it; see `StoredWhisper`."""

    model: WhisperForConditionalGeneration
    tokenizer: Tokenizer
    name: str
    fingerprint: str
    source: str


def load_whisper(reference: str = DEFAULT_BACKBONE) -> LoadedWhisper:
    """A frozen Whisper by reference; references and errors are those of `read_whisper`."""
    stored = read_whisper(reference)
    model = model_of(stored)
    return LoadedWhisper(model, stored.tokenizer, stored.name, stored.fingerprint, stored.source)


def model_of(stored: StoredWhisper) -> WhisperForConditionalGeneration:
    """The model of weights that are checked already, with the special ids of its tokenizer."""
    model = _filled(stored.config, stored.weights)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config, key, stored.tokenizer.token_to_id("<|endoftext|>"))
    model.config.decoder_start_token_id = stored.tokenizer.token_to_id("<|startoftranscript|>")
    return model


def build_model(config: WhisperConfig, state: Arrays | StoredWeights, origin: str) -> WhisperForConditionalGeneration:
    """A frozen float32 model in evaluation mode; raises BackboneError as `checked_weights` does."""
    return _filled(config, checked_weights(config, state, origin))


def _filled(config: WhisperConfig, weights: StoredWeights) -> WhisperForConditionalGeneration:
    # The special ids are set from the tokenizer.
    named = {field.name: getattr(config, field.name) for field in fields(config)} | {"pad_token_id": None}
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(ModelConfig(**named, tie_word_embeddings=True))
    loaded = {name: torch.from_numpy(array) for name, array in weights.items()}
    loaded[PROJECTION] = loaded[EMBEDDING]
    model.load_state_dict(loaded, assign=True)
    model.tie_weights()
    return model.eval().requires_grad_(False)
