"""Only this person's words: soft prompts on frozen speech models.

The names below are the public face; what a researcher needs besides is in the packages that they come from.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softspoken.backbones import load_backbone
    from softspoken.decoding import (
        DecodingOptions,
        PlainTranscriber,
        PromptedTranscriber,
        Segment,
        TargetSpeakerTranscriber,
        Transcript,
    )
    from softspoken.errors import (
        AudioError,
        EnrolmentError,
        PromptDamaged,
        PromptMismatch,
        SoftspokenError,
        SpeakerNotFound,
    )
    from softspoken.prompts import inject, load_prompts
    from softspoken.speakers import EnrolmentStore, load_embedder

__version__ = "0.1.0"

_HOMES = {
    "AudioError": "errors",
    "DecodingOptions": "decoding",
    "EnrolmentError": "errors",
    "EnrolmentStore": "speakers",
    "PlainTranscriber": "decoding",
    "PromptDamaged": "errors",
    "PromptMismatch": "errors",
    "PromptedTranscriber": "decoding",
    "Segment": "decoding",
    "SoftspokenError": "errors",
    "SpeakerNotFound": "errors",
    "TargetSpeakerTranscriber": "decoding",
    "Transcript": "decoding",
    "inject": "prompts",
    "load_backbone": "backbones",
    "load_embedder": "speakers",
    "load_prompts": "prompts",
}

__all__ = [
    "AudioError",
    "DecodingOptions",
    "EnrolmentError",
    "EnrolmentStore",
    "PlainTranscriber",
    "PromptDamaged",
    "PromptMismatch",
    "PromptedTranscriber",
    "Segment",
    "SoftspokenError",
    "SpeakerNotFound",
    "TargetSpeakerTranscriber",
    "Transcript",
    "__version__",
    "inject",
    "load_backbone",
    "load_embedder",
    "load_prompts",
]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `import softspoken` and `softspoken --help` need no torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'softspoken' has no attribute '{name}'")
    return getattr(import_module(f"softspoken.{_HOMES[name]}"), name)
