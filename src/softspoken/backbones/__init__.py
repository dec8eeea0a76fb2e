"""Frozen models. They never know that prompts exist."""

from softspoken.backbones.base import Backbone, Encoded, Features, Stack
from softspoken.backbones.whisper import WhisperBackbone

__all__ = ["Backbone", "Encoded", "Features", "Stack", "WhisperBackbone", "load_backbone"]


def load_backbone(reference: str = "tiny.en", device: str = "cpu", dtype: str = "float32") -> WhisperBackbone:
    """A frozen Whisper by reference: 'tiny.en' (embedded default), 'base', a hub id, a folder, an OpenAI .pt file.

    Raises BackboneError with one line when it cannot be had. See `softspoken.backbones.checkpoints`.
    """
    import torch

    from softspoken.backbones.checkpoints import load_whisper

    loaded = load_whisper(reference)
    backbone = WhisperBackbone(loaded.model, loaded.tokenizer, loaded.name, loaded.fingerprint)
    return backbone.to(device, getattr(torch, dtype))
