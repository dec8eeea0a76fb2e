"""Plain PyTorch: the reference for every other engine on the CPU, and the engine for GPUs."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from softspoken.backbones import WhisperBackbone
from softspoken.engines.base import Engine, Precision
from softspoken.engines.graphs import StepGraphs
from softspoken.engines.network import DecoderNetwork, EncoderNetwork
from softspoken.errors import ConfigError
from softspoken.prompts.frames import FrameRows

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class TorchEngine(Engine):
    """Runs the backbone's own modules, in the precision that the backbone has or is moved to. On a GPU the decoder's
    steps are CUDA graphs."""

    name = "torch"

    def __init__(self, backbone: WhisperBackbone, precision: Precision | None = None) -> None:
        """Another precision than the backbone's (None) casts it in place. ConfigError for 'int8'."""
        if precision is None:
            precision = next(name for name, dtype in DTYPES.items() if dtype == backbone.dtype)
        if precision not in DTYPES:
            raise ConfigError(
                f"engine 'torch' has no precision '{precision}'; use {', '.join(DTYPES)}, or another engine (openvino)"
            )
        self.precision = precision
        backbone.to(backbone.device, DTYPES[precision])
        super().__init__(backbone)
        self._encoder = EncoderNetwork(backbone)
        self._decoder = DecoderNetwork(backbone)
        self._graphs = StepGraphs() if backbone.device.type == "cuda" else None

    def _frontend(self, mel: Float[Tensor, "B M _"], valid: Float[Tensor, "B 1 _"]) -> Float[Tensor, "B T D"]:
        return self.backbone.frontend.frames(mel, valid)

    def _encode(
        self,
        audio: Float[Tensor, "B T D"],
        rows: tuple[Tensor, ...],
        activity: Float[Tensor, "B T"] | None,
        frames: FrameRows | None,
    ) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self._encoder(audio, *rows, activity, frames)
        return found

    def decode(
        self,
        hidden: Float[Tensor, "R U D"],
        mask: Float[Tensor, "R 1 U _"],
        cross_mask: Float[Tensor, "R 1 1 S"],
        past: Sequence[Tensor],
        cross: Sequence[Tensor],
    ) -> tuple[Float[Tensor, "R U V"], tuple[Tensor, ...]]:
        def step(hidden: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            logits, written = self._decoder(hidden, mask, cross_mask, past, cross)
            return logits.float(), written

        if self._graphs is None or hidden.shape[1] > 1:
            return step(hidden)
        return self._graphs.run(step, hidden, [mask, cross_mask, *past, *cross])
