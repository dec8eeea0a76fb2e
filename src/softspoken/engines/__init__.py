"""Fast inference: one frozen Whisper, many prompts, on OpenVINO or PyTorch (imported when it is asked for)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softspoken.engines.base import AudioFeatures, EncodedAudio, Engine, Precision
    from softspoken.engines.cache import LiveRows, Prefill
    from softspoken.engines.load import EngineName, load_engine
    from softspoken.engines.torch_engine import TorchEngine

_HOMES = {
    "AudioFeatures": "base",
    "EncodedAudio": "base",
    "Engine": "base",
    "EngineName": "load",
    "LiveRows": "cache",
    "Precision": "base",
    "Prefill": "cache",
    "TorchEngine": "torch_engine",
    "load_engine": "load",
}

__all__ = [
    "AudioFeatures",
    "EncodedAudio",
    "Engine",
    "EngineName",
    "LiveRows",
    "Precision",
    "Prefill",
    "TorchEngine",
    "load_engine",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'softspoken.engines' has no attribute '{name}'")
    return getattr(import_module(f"softspoken.engines.{_HOMES[name]}"), name)
