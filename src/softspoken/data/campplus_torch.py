"""CAM++ where PyTorch is: on a GPU beside a model that learns, and in the processes that mix for it.

The same voices as `softspoken.speakers.campplus`, to rounding, and many recordings together.
"""

import math
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from softspoken.cpu import multiplies_bfloat16
from softspoken.data.campplus_network import WindowNetwork
from softspoken.speakers import DEFAULT_EMBEDDER, SpeakerEmbedder, Windows, load_embedder
from softspoken.speakers.base import Seconds, Vector, Vectors, Waveform, checked
from softspoken.speakers.campplus import (
    BANDS,
    FEWEST_FRAMES,
    LONGEST_FRAMES,
    MEMBER,
    PACKAGE,
    SILENT_BELOW_DB,
    WIDTH,
    CamPlusEmbedder,
    read_weights,
    seconds_of,
    window_frames,
)
from softspoken.speakers.checkpoint import Arrays
from softspoken.speakers.features import (
    FFT_SAMPLES,
    FLOOR,
    FRAME_SAMPLES,
    FULL_SCALE,
    HOP_SAMPLES,
    PREEMPHASIS,
    kaldi_filters,
)

_BATCH = 16
_RECORDINGS = 64
"""Whose spectrograms are made together."""
_ROUND = 100
"""Recordings that have so many frames in common are embedded together."""
# An hour is transformed in pieces of about a minute, so that its complex spectrum never stands in memory at once.
_BLOCK_FRAMES = 6000


def load_learning_embedder(reference: str = DEFAULT_EMBEDDER, device: str = "cpu") -> SpeakerEmbedder:
    """As `load_embedder`, but CAM++ in PyTorch: on a GPU too, and in processes that are forked."""
    return TorchCamPlus.load(device) if reference == CamPlusEmbedder.name else load_embedder(reference, device)


class TorchCamPlus(SpeakerEmbedder):
    """`CamPlusEmbedder` in PyTorch."""

    name = CamPlusEmbedder.name
    dimension = WIDTH
    two_voices_below = CamPlusEmbedder.two_voices_below

    def __init__(self, weights: Arrays, device: str = "cpu", windows: torch.dtype = torch.float32) -> None:
        """`weights`: by the names of the published checkpoints; `windows`: what windows are computed in."""
        self.device, self.weights = torch.device(device), weights
        placed = {name: torch.from_numpy(np.array(array)).to(self.device) for name, array in weights.items()}
        self._recordings = WindowNetwork(placed)
        self.for_windows = self._recordings if windows == torch.float32 else WindowNetwork(placed, windows)

    @classmethod
    def load(cls, device: str = "cpu") -> "TorchCamPlus":
        """With the pinned weights. BackboneError when they cannot be had or are not the ones this code knows."""
        return cls(read_weights(PACKAGE.file(MEMBER)), device)

    def rounding(self) -> SpeakerEmbedder:
        """With windows in bfloat16 on GPUs, and on processors that are faster in it."""
        return self._rounding

    @cached_property
    def _rounding(self) -> SpeakerEmbedder:
        fast = self.device.type == "cuda" or multiplies_bfloat16()
        return TorchCamPlus(self.weights, str(self.device), torch.bfloat16) if fast else self

    @torch.inference_mode()
    def embed(self, audio: Waveform) -> Vector:
        """See `CamPlusEmbedder`."""
        return self.embed_all([audio])[0]

    @torch.inference_mode()
    def embed_all(self, audio: list[np.ndarray]) -> list[Vector]:
        """`embed` of many recordings together, in order of their length."""
        found: list[Vector] = [np.zeros(0, np.float32)] * len(audio)
        order = sorted(range(len(audio)), key=lambda number: len(checked(audio[number])))
        for first in range(0, len(order), _RECORDINGS):
            numbers = order[first : first + _RECORDINGS]
            mels = self._sounding([audio[number] for number in numbers])
            parts = [part for mel in mels for part in torch.tensor_split(mel, -(-len(mel) // LONGEST_FRAMES))]
            vectors = iter(functional.normalize(self._parts(parts), dim=1))
            for number, mel in zip(numbers, mels, strict=True):
                own = torch.stack([next(vectors) for _ in range(-(-len(mel) // LONGEST_FRAMES))])
                found[number] = functional.normalize(own.mean(dim=0), dim=0).cpu().numpy()
        return found

    @torch.inference_mode()
    def embed_windows(
        self, audio: Waveform, window_s: float = Windows.window_s, hop_s: float = Windows.hop_s
    ) -> tuple[Vectors, Seconds]:
        """See `CamPlusEmbedder`."""
        mel = kaldi_log_mel(torch.from_numpy(checked(audio)).to(self.device)[None], BANDS)[0]
        window, starts = window_frames(len(audio), window_s, hop_s)
        rows = [mel[s : s + window] for s in starts]
        batches = [torch.stack(rows[i : i + _BATCH]) for i in range(0, len(rows), _BATCH)]
        vectors = torch.cat([self.for_windows(centred(batch)) for batch in batches])
        return functional.normalize(vectors, dim=1).cpu().numpy(), seconds_of(starts)

    def _sounding(self, audio: list[np.ndarray]) -> list[Float[Tensor, "_ M"]]:
        """Log mel of each recording, of what is not far below its loud frames (the 95th percentile)."""
        sizes = [max(len(each), FRAME_SAMPLES) for each in audio]
        filled = np.zeros((len(audio), max(sizes)), np.float32)
        for row, each in zip(filled, audio, strict=True):
            row[: len(each)] = each
        mel = kaldi_log_mel(torch.from_numpy(filled).to(self.device), BANDS)
        level_db = torch.logsumexp(mel, dim=2) * (10 / math.log(10))
        found = []
        for row, level, size in zip(mel, level_db, sizes, strict=True):
            frames = 1 + (size - FRAME_SAMPLES) // HOP_SAMPLES
            row, level = row[:frames], level[:frames]
            kept = row[level > level.quantile(0.95) - SILENT_BELOW_DB]
            found.append(kept if len(kept) >= FEWEST_FRAMES else row)
        return found

    def _parts(self, mels: list[Float[Tensor, "_ M"]]) -> Float[Tensor, "B S"]:
        """Vectors of log mel of any lengths; those of about one length together, filled up."""
        vectors = mels[0].new_empty(len(mels), WIDTH)
        order = sorted(range(len(mels)), key=lambda number: len(mels[number]))
        for first in range(0, len(order), _BATCH):
            numbers = order[first : first + _BATCH]
            chosen = [centred(mels[number][None])[0] for number in numbers]
            frames = -(-len(chosen[-1]) // _ROUND) * _ROUND
            filled = torch.stack([functional.pad(mel, (0, 0, 0, frames - len(mel))) for mel in chosen])
            vectors[numbers] = self._recordings(filled, torch.tensor([len(mel) for mel in chosen], device=self.device))
        return vectors


@torch.inference_mode()
def kaldi_log_mel(audio: Float[Tensor, "B samples"], bands: int) -> Float[Tensor, "B T M"]:
    """As `softspoken.speakers.features.kaldi_log_mel`, of recordings of one length."""
    audio = functional.pad(audio * FULL_SCALE, (0, max(FRAME_SAMPLES - audio.shape[1], 0)))
    frames = audio.unfold(1, FRAME_SAMPLES, HOP_SAMPLES)
    return torch.cat([_log_mel(block, bands) for block in torch.split(frames, _BLOCK_FRAMES, dim=1)], dim=1)


def centred(log_mel: Float[Tensor, "B T M"]) -> Float[Tensor, "B T M"]:
    """Without the mean over time of each band."""
    return log_mel - log_mel.mean(dim=1, keepdim=True)


def _log_mel(frames: Float[Tensor, "B T samples"], bands: int) -> Float[Tensor, "B T M"]:
    frames = frames - frames.mean(dim=-1, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    window = torch.hamming_window(FRAME_SAMPLES, periodic=False, device=frames.device)
    power = torch.fft.rfft((frames - PREEMPHASIS * before) * window, FFT_SAMPLES).abs().square()
    logs: Tensor = (power @ torch.from_numpy(kaldi_filters(bands)).to(frames.device)).clamp_min(FLOOR).log()
    return logs
