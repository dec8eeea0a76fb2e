"""Fast inference: one frozen Whisper, many prompts, on PyTorch or OpenVINO."""

from softspoken.engines.base import Engine, Heard, Precision
from softspoken.engines.load import EngineName, load_engine
from softspoken.engines.rows import EnginePrefill, EngineRows
from softspoken.engines.torch_engine import TorchEngine

__all__ = ["Engine", "EngineName", "EnginePrefill", "EngineRows", "Heard", "Precision", "TorchEngine", "load_engine"]
