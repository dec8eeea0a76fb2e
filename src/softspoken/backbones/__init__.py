"""Frozen models. They never know that prompts exist.

Weights, tokens and features (`checkpoints`, `tokens`, `features`) are arrays of numpy; the models themselves are
PyTorch's, which is imported when one of the names below is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softspoken.backbones.base import Backbone, Encoded, Features, Stack
    from softspoken.backbones.model import load_backbone
    from softspoken.backbones.whisper import WhisperBackbone

_HOMES = {
    "Backbone": "base",
    "Encoded": "base",
    "Features": "base",
    "Stack": "base",
    "WhisperBackbone": "whisper",
    "load_backbone": "model",
}

__all__ = [
    "Backbone",
    "Encoded",
    "Features",
    "Stack",
    "WhisperBackbone",
    "load_backbone",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'softspoken.backbones' has no attribute '{name}'")
    return getattr(import_module(f"softspoken.backbones.{_HOMES[name]}"), name)
