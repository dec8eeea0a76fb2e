"""Plain PyTorch: the reference for every other engine on the CPU, and the engine for GPUs.

A step of a small decoder on a GPU is some hundred small kernels, and launching them one by one takes longer than
running them. A search hands the same tensors over from token to token until its cache is full, so a step is recorded
once for these tensors (a CUDA graph) and replayed; only what is new is copied in.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional

from softspoken.backbones.whisper import WhisperBackbone
from softspoken.engines.attention import alignment_heads
from softspoken.engines.base import AudioFeatures, Engine, Precision
from softspoken.engines.network import DecoderNetwork, EncoderNetwork
from softspoken.errors import ConfigError
from softspoken.prompts.rows import FrameRows

DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
THREADS_VARIABLE = "OMP_NUM_THREADS"

Outputs = tuple[Tensor, tuple[Tensor, ...]]
Step = Callable[[Tensor], Outputs]
Record = Callable[[Callable[[], Outputs]], tuple[Callable[[], None], Outputs]]
"""Records a function: what replays it, and the outputs that each replay writes anew."""


class TorchEngine(Engine):
    """Runs the backbone's own modules, in the precision that the backbone has or is moved to, with whatever weights are
    attached to them. On a GPU the decoder's steps are CUDA graphs."""

    name = "torch"
    backbone: WhisperBackbone

    def __init__(self, backbone: WhisperBackbone, precision: Precision | None = None, graphs: bool = True) -> None:
        """Another precision than the backbone's (None) casts it in place. ConfigError for 'int8'.

        `graphs`: record the decoder's steps on a GPU; not where weights or autocasting change between them.
        """
        if precision in DTYPES:
            backbone.to(backbone.device, DTYPES[precision])
        elif precision is not None:
            raise ConfigError(
                f"engine 'torch' has no precision '{precision}'; use {', '.join(DTYPES)}, or another engine (openvino)"
            )
        # Rounded weights compute under autocasting, which takes float32 in.
        dtype = torch.float32 if backbone.rounded else backbone.dtype
        self.precision = next(name for name, known in DTYPES.items() if known == dtype)
        self.unseen = -6e4 if self.precision == "float16" else -1e9
        self._dtype, self._device = dtype, backbone.device
        super().__init__(backbone)
        self._encoder = EncoderNetwork(backbone)
        self._decoder = DecoderNetwork(backbone)
        self._graphs = StepGraphs() if graphs and self._device.type == "cuda" else None

    @torch.no_grad()
    def features(
        self, audio: Sequence[np.ndarray], window_s: float | Sequence[float | None] | None = None
    ) -> AudioFeatures:
        found = self.backbone.features(audio, window_s)
        return AudioFeatures(found.values, found.lengths.cpu().numpy())

    @torch.no_grad()
    def layer_states(self, audio: Sequence[np.ndarray], window_s: float) -> Float32[np.ndarray, "L B T D"]:
        return self.backbone.layer_inputs(audio, window_s)

    def array(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.require(values, np.float32, ["C", "W"])).to(self._device, self._dtype)

    def numpy(self, values: Tensor) -> Float32[np.ndarray, "..."]:
        return values.detach().float().cpu().numpy()

    def padded(self, values: Tensor, front: int, behind: int, axis: int) -> Tensor:
        return functional.pad(values, [*[0, 0] * (values.dim() - 1 - axis), front, behind])

    def joined(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        return torch.cat([part.to(self._dtype) for part in parts], dim=axis)

    @torch.no_grad()
    def embed(self, tokens: np.ndarray, first: np.ndarray) -> Tensor:
        table = self.backbone.positions["decoder"]
        places = torch.from_numpy(first.copy())[:, None] + torch.arange(tokens.shape[1])
        places = places.clamp(max=table.shape[0] - 1).to(self._device)
        embedded = self.backbone.token_embedding[torch.from_numpy(tokens).to(self._device)]
        return (embedded.float() + table[places].float()).to(self._dtype)

    @torch.no_grad()
    def _frontend(self, mel: Tensor, valid: Tensor) -> Tensor:
        hidden = self.backbone.frontend.frames(mel, valid)
        return hidden + self.backbone.positions["encoder"][: hidden.shape[1]].to(hidden.dtype)

    @torch.no_grad()
    def _encode(
        self, audio: Tensor, rows: tuple[Tensor, ...], activity: Tensor | None, frames: FrameRows | None
    ) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self._encoder(audio, *rows, activity, frames)
        return found

    @torch.no_grad()
    def decode(
        self, hidden: Tensor, mask: Tensor, cross_mask: Tensor, past: Sequence[Tensor], cross: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        def step(hidden: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            logits, written = self._decoder(hidden, mask, cross_mask, past, cross)
            return logits.float(), written

        if self._graphs is None or hidden.shape[1] > 1:
            return step(hidden)
        return self._graphs.run(step, hidden, [mask, cross_mask, *past, *cross])

    @torch.no_grad()
    def decode_text(
        self,
        hidden: Tensor,
        mask: Tensor,
        cross_mask: Tensor,
        past: Sequence[Tensor],
        cross: Sequence[Tensor],
        following: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        looked: list[Tensor] = []
        logits, _ = self._decoder(hidden, mask, cross_mask, past, cross, looked)
        ids = torch.from_numpy(following).to(self._device)[..., None]
        logprobs = logits.float().log_softmax(-1).gather(2, ids)[..., 0]
        heads = [looked[layer][:, head] for layer, head in alignment_heads(self.backbone.config)]
        return self.numpy(logprobs), self.numpy(torch.stack(heads, dim=1))


def share_threads(asked: int | None) -> int | None:
    """Give PyTorch the threads that were asked for; how many another runtime is to use, None: all.

    None: those of OMP_NUM_THREADS, which PyTorch follows by itself, and without it all.
    """
    if asked is not None:
        torch.set_num_threads(asked)
        return asked
    given = os.environ.get(THREADS_VARIABLE, "")
    return int(given) if given.isdecimal() and int(given) > 0 else None


def record_cuda(step: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
    """A CUDA graph of `step`, whose tensors must stay where they are."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = step()
    return graph.replay, outputs


@dataclass
class _Recorded:
    key: tuple[Any, ...]
    kept: Sequence[Tensor]
    """The tensors that the recording reads; alive, nobody else gets their places."""
    hidden: Tensor
    replay: Callable[[], None] | None = None
    outputs: Outputs | None = None


class StepGraphs:
    """Records steps of one decoder; each thread has a recording of its own."""

    def __init__(self, record: Record = record_cuda) -> None:
        self._record = record
        self._last = threading.local()

    def run(self, step: Step, hidden: Tensor, others: Sequence[Tensor]) -> Outputs:
        """`step(hidden)`, which reads `others` too. The first call with these tensors runs it as it is, the second
        records it. The outputs are the caller's."""
        key = (hidden.shape, hidden.dtype, *((part.data_ptr(), part.shape, part.stride()) for part in others))
        last: _Recorded | None = getattr(self._last, "one", None)
        if last is None or last.key != key:
            self._last.one = _Recorded(key, list(others), hidden.clone())
            return step(hidden)
        last.hidden.copy_(hidden)
        if last.replay is None:
            last.replay, last.outputs = self._record(lambda: step(last.hidden))
        assert last.outputs is not None
        last.replay()
        logits, written = last.outputs
        return logits.clone(), tuple(part.clone() for part in written)
