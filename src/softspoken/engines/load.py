"""An engine by name."""

from importlib.util import find_spec
from typing import Literal

import torch

from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.engines.base import Engine, Precision
from softspoken.engines.openvino_engine import OpenVinoEngine
from softspoken.engines.torch_engine import TorchEngine

EngineName = Literal["auto", "torch", "openvino"]


def load_engine(
    backbone: str | WhisperBackbone,
    name: EngineName = "torch",
    precision: Precision | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Engine:
    """A backbone (a reference for `load_backbone`, or one that is loaded) on an engine.

    Args:
        name: 'auto' is OpenVINO on a processor where it is installed, else PyTorch.
        precision: None: the backbone's own. 'torch' has float32, bfloat16 and float16; 'openvino' float32, bfloat16
            and int8 (weights).
        device: where a backbone that is given by reference is loaded.
        threads: of the processor, for 'openvino'; None: all.

    Raises:
        ConfigError: the engine has no such precision or cannot run there. MissingExtra: it is not installed.
        BackboneError: the weights cannot be had.
    """
    if not isinstance(backbone, WhisperBackbone):
        backbone = load_backbone(backbone, device)
    if name == "auto":
        fits = backbone.device.type == "cpu" and backbone.dtype == torch.float32 and precision != "float16"
        name = "openvino" if fits and find_spec("openvino") is not None else "torch"
    if name == "openvino":
        return OpenVinoEngine(backbone, "float32" if precision is None else precision, threads)
    return TorchEngine(backbone, precision)
