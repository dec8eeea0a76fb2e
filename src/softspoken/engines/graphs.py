"""Steps of the decoder on a GPU as one launch each.

A step of a small decoder is some hundred small kernels, and launching them one by one takes longer than running them.
A search hands the same tensors over from token to token until its cache is full, so a step is recorded once for these
tensors (a CUDA graph) and replayed; only what is new is copied in.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Outputs = tuple[Tensor, tuple[Tensor, ...]]
Step = Callable[[Tensor], Outputs]
Record = Callable[[Callable[[], Outputs]], tuple[Callable[[], None], Outputs]]
"""Records a function: what replays it, and the outputs that each replay writes anew."""


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
