"""Soft prompts on frozen speech models: one voice out of a crowd, speech out of noise."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softspoken.backbones import WhisperBackbone, load_backbone, load_encoder
    from softspoken.decoding import (
        DecodingOptions,
        NoiseRobustRecognizer,
        Segment,
        TargetSpeakerTranscriber,
        Transcript,
    )
    from softspoken.errors import SoftspokenError
    from softspoken.prompts import PromptConfig, SoftPrompts, inject, load_prompts, save_prompts
    from softspoken.speakers import Enrolment, EnrolmentStore, SpeakerEmbedder, load_embedder

__version__ = "0.1.0"

_HOMES = {
    "DecodingOptions": "decoding",
    "Enrolment": "speakers",
    "EnrolmentStore": "speakers",
    "NoiseRobustRecognizer": "decoding",
    "PromptConfig": "prompts",
    "Segment": "decoding",
    "SoftPrompts": "prompts",
    "SoftspokenError": "errors",
    "SpeakerEmbedder": "speakers",
    "TargetSpeakerTranscriber": "decoding",
    "Transcript": "decoding",
    "WhisperBackbone": "backbones",
    "inject": "prompts",
    "load_backbone": "backbones",
    "load_encoder": "backbones",
    "load_embedder": "speakers",
    "load_prompts": "prompts",
    "save_prompts": "prompts",
}

__all__ = [
    "DecodingOptions",
    "Enrolment",
    "EnrolmentStore",
    "NoiseRobustRecognizer",
    "PromptConfig",
    "Segment",
    "SoftPrompts",
    "SoftspokenError",
    "SpeakerEmbedder",
    "TargetSpeakerTranscriber",
    "Transcript",
    "WhisperBackbone",
    "__version__",
    "inject",
    "load_backbone",
    "load_embedder",
    "load_encoder",
    "load_prompts",
    "save_prompts",
]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import softspoken` and `softspoken --help` need no torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'softspoken' has no attribute '{name}'")
    return getattr(import_module(f"softspoken.{_HOMES[name]}"), name)
