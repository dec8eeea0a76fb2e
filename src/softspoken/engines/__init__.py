"""Fast inference: one frozen Whisper, many prompts, on PyTorch or OpenVINO."""

from softspoken.engines.base import EncodedAudio, Engine, Precision
from softspoken.engines.load import EngineName, load_engine
from softspoken.engines.rows import EnginePrefill, EngineRows
from softspoken.engines.torch_engine import TorchEngine

__all__ = [
    "EncodedAudio",
    "Engine",
    "EngineName",
    "EnginePrefill",
    "EngineRows",
    "Precision",
    "TorchEngine",
    "load_engine",
]
