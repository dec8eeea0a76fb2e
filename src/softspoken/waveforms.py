"""Recordings of different lengths as one tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from softspoken.errors import AudioError


@dataclass(frozen=True)
class Waveforms(Sequence[np.ndarray]):
    """Mono recordings (16 kHz) as one tensor, wherever the model is; zeros behind each row's end.

    As a sequence they are arrays (samples,), copied from the device.
    """

    samples: Float[Tensor, "B N"]
    sizes: tuple[int, ...]
    """Samples of each row, known without asking a device."""

    @classmethod
    def of(cls, audio: Sequence[np.ndarray]) -> "Waveforms":
        """Recordings of different lengths together. Raises AudioError for none, and for what is no waveform."""
        if isinstance(audio, Waveforms):
            return audio
        if not audio:
            raise AudioError("no audio given; expected at least one waveform")
        for waveform in audio:
            if waveform.ndim != 1 or waveform.size == 0:
                shape = waveform.shape
                raise AudioError(f"audio of shape {shape}; expected a mono waveform (samples,) with at least one")
        sizes = tuple(waveform.size for waveform in audio)
        samples = np.zeros((len(sizes), max(sizes)), np.float32)
        for row, waveform in zip(samples, audio, strict=True):
            row[: waveform.size] = waveform
        return cls(torch.from_numpy(samples), sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return np.asarray(self.samples[index, : self.sizes[index]].cpu())

    def fitted(self, size: int) -> "Waveforms":
        """Every recording cut at `size` samples, or repeated up to there."""
        device = self.samples.device
        own = torch.tensor(self.sizes, device=device)[:, None]
        rows = self.samples.gather(1, torch.arange(size, device=device) % own)
        return Waveforms(rows, (size,) * len(self))
