"""Frozen models in PyTorch, by reference."""

import torch

from softspoken.backbones.base import Backbone
from softspoken.backbones.model import load_whisper
from softspoken.backbones.whisper import WhisperBackbone
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.errors import BackboneError


def load_backbone(reference: str = DEFAULT_BACKBONE, device: str = "cpu", dtype: str = "float32") -> WhisperBackbone:
    """A frozen Whisper by reference: 'tiny.en' (embedded default), 'base', a hub id, a folder, an OpenAI .pt file.

    Raises BackboneError with one line when it cannot be had. See `softspoken.backbones.checkpoints`.
    """
    _check_device(device)
    loaded = load_whisper(reference)
    backbone = WhisperBackbone(loaded.model, loaded.tokenizer, loaded.name, loaded.fingerprint)
    return backbone.to(device, getattr(torch, dtype))


def load_encoder(reference: str = DEFAULT_BACKBONE, device: str = "cpu", dtype: str = "float32") -> Backbone:
    """A frozen model whose encoder is wanted: HuBERT, WavLM or wav2vec 2.0, or any Whisper as `load_backbone` has it.

    `reference`: 'hubert-base', 'wavlm-base-plus', ..., a hub id or a local folder (its config.json says what it is), or
    what `load_backbone` takes. Raises BackboneError with one line when it cannot be had, or is another model. See
    `softspoken.backbones.ssl_checkpoints`.
    """
    from softspoken.backbones.ssl import SSLBackbone
    from softspoken.backbones.ssl_checkpoints import load_ssl

    _check_device(device)
    loaded = load_ssl(reference)
    if loaded is None:
        return load_backbone(reference, device, dtype)
    backbone = SSLBackbone(loaded.model, loaded.name, loaded.fingerprint, loaded.normalised)
    return backbone.to(device, getattr(torch, dtype))


def _check_device(device: str) -> None:
    """Raises BackboneError for a device that PyTorch cannot use here, before any weights are fetched."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        problem = str(error).strip().splitlines()[0][:200]
        raise BackboneError(f"device '{device}' cannot be used here ({problem}); use 'cpu'") from error
