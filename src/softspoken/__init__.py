"""Soft prompts on frozen speech models: one voice out of a crowd, speech out of noise."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softspoken.backbones import WhisperBackbone, load_backbone, load_encoder
    from softspoken.decoding import (
        DecodingOptions,
        PromptedTranscriber,
        Request,
        Segment,
        TargetSpeakerTranscriber,
        Transcript,
        transcribe_together,
    )
    from softspoken.engines import Engine, load_engine
    from softspoken.errors import SoftspokenError
    from softspoken.noise.recognizer import NoiseRobustRecognizer
    from softspoken.prompts import PromptConfig, SoftPrompts, inject, load_prompts, save_prompts
    from softspoken.speakers import Enrolment, EnrolmentStore, SpeakerEmbedder, load_embedder

__version__ = "0.1.0"

_HOMES = {
    "DecodingOptions": "decoding",
    "Engine": "engines",
    "Enrolment": "speakers",
    "EnrolmentStore": "speakers",
    "NoiseRobustRecognizer": "noise.recognizer",
    "PromptConfig": "prompts",
    "PromptedTranscriber": "decoding",
    "Request": "decoding",
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
    "load_engine": "engines",
    "load_prompts": "prompts",
    "save_prompts": "prompts",
    "transcribe_together": "decoding",
}

__all__ = [
    "DecodingOptions",
    "Engine",
    "Enrolment",
    "EnrolmentStore",
    "NoiseRobustRecognizer",
    "PromptConfig",
    "PromptedTranscriber",
    "Request",
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
    "load_engine",
    "load_prompts",
    "save_prompts",
    "transcribe_together",
]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import softspoken` and `softspoken --help` need no torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'softspoken' has no attribute '{name}'")
    return getattr(import_module(f"softspoken.{_HOMES[name]}"), name)
