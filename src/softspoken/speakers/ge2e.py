"""The GE2E voice encoder: "Generalized End-to-End Loss for Speaker Verification" (arXiv 1710.10467, sections 2 and 3).

Weights from the package `Resemblyzer`: 40 mel bands of power, an LSTM of three layers of 256, a linear layer, ReLU and
the unit sphere. Its vectors are therefore never negative: over 300 utterances of speechocean762 (training talkers) two
strangers have a mean cosine of 0.54 (95 % below 0.69), two utterances of one talker 0.82 (95 % above 0.73).
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.packages import PinnedPackage
from softspoken.speakers.base import (
    Seconds,
    Vector,
    Vectors,
    Waveform,
    Windows,
    checked,
    window_starts,
)
from softspoken.speakers.features import HOP_SAMPLES, mel_power
from softspoken.speakers.network import NetworkEmbedder
from softspoken.speakers.weights import read_tensors

PACKAGE = PinnedPackage("Resemblyzer", "0.1.4", "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f")
MEMBER = "resemblyzer/pretrained.pt"
TENSORS_SHA256 = "8a18c89b46ea3d83f3f3cd3617fbd65781b7226c90a4e3d2222b78552b2d1f54"

_BANDS, _WIDTH, _LAYERS = 40, 256, 3
_LEVEL_DBFS = -30.0
_PARTIAL_FRAMES, _PARTIAL_HOP_FRAMES = 160, 80
_FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
_BATCH = 128


class Ge2eNetwork(nn.Module):
    """Mel frames to unit vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_BANDS, _WIDTH, _LAYERS, batch_first=True)
        self.linear = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, mel: Float[Tensor, "B T M"]) -> Float[Tensor, "B S"]:
        _, (hidden, _) = self.lstm(mel.to(next(self.lstm.parameters()).dtype))
        return functional.normalize(self.linear(hidden[-1].to(mel.dtype)).relu(), dim=-1)


class Ge2eEmbedder(NetworkEmbedder[Ge2eNetwork]):
    """GE2E's speaker encoder, 256 dimensions.

    Windows with the LSTM in bfloat16 are 1.6 to 1.8 times as fast; cosines move by 0.001 (at most 0.011).
    """

    name = "ge2e"
    dimension = _WIDTH
    # Chosen and measured on the same training clips: of those with one talker 3 of 194 fall below; of those with two
    # talkers, half and half, 113 of 119 (LibriSpeech) and 61 of 79 (speechocean762).
    two_voices_below = 0.78

    @classmethod
    def load(cls, device: str = "cpu") -> "Ge2eEmbedder":
        """With the pinned weights. BackboneError when they cannot be had or are not the ones this code knows."""
        return cls(load_network(PACKAGE.file(MEMBER)), device)

    def _windows_network(self, dtype: torch.dtype) -> Ge2eNetwork:
        if dtype == torch.float32:
            return self.network
        network = copy.deepcopy(self.network)
        network.lstm.to(dtype)
        return network

    @torch.inference_mode()
    def embed(self, audio: Waveform) -> Vector:
        """Mean of the unit vectors of partials of 1.6 s with half overlap, scaled to length one."""
        mel = self._mel(audio)
        starts = window_starts(len(mel), _PARTIAL_FRAMES, _PARTIAL_HOP_FRAMES)
        vectors = _partials(self.network, mel, _PARTIAL_FRAMES, starts)
        return functional.normalize(vectors.mean(dim=0), dim=0).cpu().numpy()

    @torch.inference_mode()
    def embed_windows(
        self, audio: Waveform, window_s: float = Windows.window_s, hop_s: float = Windows.hop_s
    ) -> tuple[Vectors, Seconds]:
        """As in the base class, but the spectrogram (and the level) is made once for all windows."""
        mel = self._mel(audio)
        window, hop = round(window_s * _FRAME_RATE_HZ), round(hop_s * _FRAME_RATE_HZ)
        starts = window_starts(len(mel), window, hop)
        vectors = _partials(self._for_windows, mel, window, starts)
        return vectors.cpu().numpy(), (starts / _FRAME_RATE_HZ).astype(np.float32)

    def _mel(self, audio: np.ndarray) -> Tensor:
        # The encoder hears power, not its logarithm, so level matters: quiet audio is raised, loud audio left alone.
        samples = torch.from_numpy(checked(audio)).to(self.device)
        level_db = 10 * torch.log10(samples.square().mean() + 1e-12)
        return mel_power(samples * 10 ** ((_LEVEL_DBFS - level_db).clamp_min(0) / 20), _BANDS)


def _partials(
    network: Callable[[Tensor], Tensor], mel: Float[Tensor, "T M"], frames: int, starts: Int[np.ndarray, " W"]
) -> Float[Tensor, "W S"]:
    batches = [starts[i : i + _BATCH] for i in range(0, len(starts), _BATCH)]
    return torch.cat([network(torch.stack([mel[s : s + frames] for s in batch])) for batch in batches])


def load_network(path: Path) -> Ge2eNetwork:
    """The encoder out of `pretrained.pt`, its tensors checked against a digest. BackboneError otherwise."""
    network = Ge2eNetwork()
    network.load_state_dict(read_tensors(path, PACKAGE, TENSORS_SHA256, "GE2E", _of_the_encoder))
    return network


def _of_the_encoder(stored: dict[str, Any]) -> dict[str, Tensor]:
    # The checkpoint also holds the two numbers of the GE2E loss, which only training needs.
    return {name: tensor for name, tensor in stored["model_state"].items() if name.startswith(("lstm.", "linear."))}
