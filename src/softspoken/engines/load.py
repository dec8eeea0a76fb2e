"""An engine by name."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from softspoken.backbones.checkpoints import StoredWhisper, read_whisper
from softspoken.engines.base import Engine, Precision
from softspoken.engines.openvino_engine import OpenVinoEngine
from softspoken.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from softspoken.backbones import WhisperBackbone

EngineName = Literal["auto", "torch", "openvino"]


def load_engine(
    backbone: "str | StoredWhisper | WhisperBackbone",
    name: EngineName = "auto",
    precision: Precision | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Engine:
    """A frozen Whisper (a reference for `read_whisper`, or one that is read or loaded) on an engine.

    Args:
        name: 'auto' is OpenVINO on a processor where it is installed, else PyTorch.
        precision: None: float32, or what a loaded backbone has. 'torch' has float32, bfloat16 and float16; 'openvino'
            float32, bfloat16 and int8 (weights).
        device: where a backbone that is given by reference is loaded.
        threads: of the processor, for 'openvino'; None: all.

    Raises:
        ConfigError: the engine has no such precision or cannot run there. MissingExtra: PyTorch is not installed.
        BackboneError: the weights cannot be had.
    """
    loaded = None if isinstance(backbone, str | StoredWhisper) else backbone
    exact = loaded is None or str(loaded.dtype) == "torch.float32"
    place = device if loaded is None else str(loaded.device)
    if name == "auto":
        fits = place == "cpu" and exact and precision != "float16"
        name = "openvino" if fits and find_spec("openvino") is not None else "torch"
    if name == "torch":
        return _torch_engine(backbone, precision, device)
    if place != "cpu" or not exact:
        kind = "float32" if loaded is None else loaded.dtype
        raise ConfigError(
            f"engine 'openvino' runs on the CPU from float32 weights, got {place} and {kind}; "
            "use the engine 'torch' there"
        )
    if isinstance(backbone, str):
        stored = stored_whisper(backbone)
    else:
        stored = backbone if isinstance(backbone, StoredWhisper) else backbone.stored()
    return OpenVinoEngine(stored, "float32" if precision is None else precision, threads)


def stored_whisper(reference: str) -> StoredWhisper:
    """`read_whisper`; where tests put a small one in its place."""
    return read_whisper(reference)


def _torch_engine(backbone: Any, precision: Precision | None, device: str) -> Engine:
    if find_spec("torch") is None:
        raise MissingExtra("torch", "cuda", "the engine 'torch'")
    from softspoken.backbones import load_backbone
    from softspoken.backbones.whisper import WhisperBackbone
    from softspoken.engines.torch_engine import TorchEngine

    if isinstance(backbone, StoredWhisper):
        raise ConfigError(f"weights of '{backbone.name}' that are only read run on 'openvino'; give their reference")
    loaded = load_backbone(backbone, device) if isinstance(backbone, str) else backbone
    assert isinstance(loaded, WhisperBackbone)
    return TorchEngine(loaded, precision)
