"""The segmentation network of pyannote in PyTorch, to compare with.

SincNet, four bidirectional LSTM layers, a powerset of talkers.

"Powerset multi-class cross entropy loss for neural speaker diarization" (arXiv 2310.13025) says what is trained,
"End-to-end speaker segmentation for overlap-aware resegmentation" (arXiv 2104.04045, section 2) the layers, and
"Speaker recognition from raw waveform with SincNet" (arXiv 1808.00158) the first one. Names of the parts are those of
the published checkpoint.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from softspoken.audio import SAMPLE_RATE_HZ

TALKERS = 3
"""Local talkers of one window: whoever of them comes first is any of the three."""
POWERSET = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
"""Which talkers speak in each of the seven classes; never more than two at once."""
FRAME_STEP = 270
"""Samples from one frame to the next: 16.875 ms."""
FRAME_SAMPLES = 991
"""Samples that a frame's features are made of: 62 ms."""

_PAIRS, _TAPS, _STRIDE = 40, 251, 10
_LOWEST_HZ, _NARROWEST_HZ = 50.0, 50.0
_CHANNELS, _HIDDEN = 60, 128


class SegmentationNetwork(nn.Module):
    """Waveforms of any one length to log probabilities of the seven classes in each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.sincnet = _SincNet()
        self.lstm = nn.LSTM(_CHANNELS, _HIDDEN, num_layers=4, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(2 * _HIDDEN, _HIDDEN), nn.Linear(_HIDDEN, _HIDDEN)])
        self.classifier = nn.Linear(_HIDDEN, len(POWERSET))

    def forward(self, waveforms: Float[Tensor, "B samples"]) -> Float[Tensor, "B T 7"]:
        """There are `1 + (samples - FRAME_SAMPLES) // FRAME_STEP` frames: 589 of 10 s."""
        x, _ = self.lstm(self.sincnet(waveforms[:, None]).transpose(1, 2))
        for linear in self.linear:
            x = functional.leaky_relu(linear(x))
        return functional.log_softmax(self.classifier(x), dim=-1)


class _SincNet(nn.Module):
    """Three convolutions, each with pooling over three and normalised over the time of its recording."""

    def __init__(self) -> None:
        super().__init__()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        widths = (2 * _PAIRS, _CHANNELS, _CHANNELS)
        convolutions = [nn.Conv1d(width, _CHANNELS, 5) for width in widths[:2]]
        self.conv1d = nn.ModuleList([_BandPass(), *convolutions])
        self.norm1d = nn.ModuleList([nn.InstanceNorm1d(width, affine=True) for width in widths])

    def forward(self, waveforms: Float[Tensor, "B 1 samples"]) -> Float[Tensor, "B C T"]:
        x: Tensor = self.wav_norm1d(waveforms)
        for convolution, norm in zip(self.conv1d, self.norm1d, strict=True):
            x = convolution(x)
            if isinstance(convolution, _BandPass):
                x = x.abs()
            x = functional.leaky_relu(norm(functional.max_pool1d(x, 3)))
        return x


class _BandPass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filterbank = _SincFilters()

    def forward(self, x: Float[Tensor, "B 1 samples"]) -> Float[Tensor, "B C T"]:
        return functional.conv1d(x, self.filterbank(), stride=_STRIDE)


class _SincFilters(nn.Module):
    """Pairs of windowed band-pass filters, even and odd, given by their lower edge and their width.

    The checkpoint keeps the first half of the window and of the taps' angles (2 pi times seconds); both are symmetric.
    """

    window_: Tensor
    n_: Tensor

    def __init__(self) -> None:
        super().__init__()
        edges = torch.linspace(0.0, SAMPLE_RATE_HZ / 2 - _LOWEST_HZ - _NARROWEST_HZ, _PAIRS + 1)
        self.low_hz_ = nn.Parameter(edges[:-1, None].clone())
        self.band_hz_ = nn.Parameter(edges.diff()[:, None].clone())
        half = _TAPS // 2
        self.register_buffer("window_", torch.hamming_window(_TAPS, periodic=False)[:half])
        self.register_buffer("n_", torch.arange(-half, 0)[None] * (2 * math.pi / SAMPLE_RATE_HZ))

    def forward(self) -> Float[Tensor, "C 1 taps"]:
        low = _LOWEST_HZ + self.low_hz_.abs()
        high = (low + _NARROWEST_HZ + self.band_hz_.abs()).clamp(max=SAMPLE_RATE_HZ / 2)
        angle = torch.cat([self.n_, self.n_.new_zeros(1, 1), -self.n_.flip(1)], dim=1)
        window = torch.cat([self.window_, self.window_.new_ones(1), self.window_.flip(0)])
        # The low pass of the band's width, moved to the middle of the band.
        envelope = window * torch.sinc((high - low) * angle / (2 * math.pi))
        middle = angle * (low + high) / 2
        return torch.cat([middle.cos() * envelope, middle.sin() * envelope])[:, None]
