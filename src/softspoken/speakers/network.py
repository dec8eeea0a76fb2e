"""A speaker embedder that is a torch network: voices in float32, windows of a recording in less where that is asked."""

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from softspoken.cpu import multiplies_bfloat16
from softspoken.speakers.base import SpeakerEmbedder

N = TypeVar("N", bound=nn.Module)


class NetworkEmbedder(SpeakerEmbedder, Generic[N]):
    """`network` embeds voices; windows are embedded by what `_windows_network` makes of it."""

    def __init__(self, network: N, device: str = "cpu", windows: torch.dtype = torch.float32) -> None:
        """`windows`: what `embed_windows` computes in."""
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._for_windows = self._windows_network(windows)

    @abstractmethod
    def _windows_network(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """From windows of log mel or mel frames [B, T, M] to vectors [B, S] in float32, computed in `dtype`."""

    def rounding(self) -> SpeakerEmbedder:
        """With windows in bfloat16 on GPUs, and on processors that are faster in it."""
        return self._rounding

    @cached_property
    def _rounding(self) -> SpeakerEmbedder:
        fast = self.device.type == "cuda" or multiplies_bfloat16()
        return type(self)(self.network, str(self.device), torch.bfloat16) if fast else self
