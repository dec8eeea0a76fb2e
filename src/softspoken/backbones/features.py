"""Waveforms to Whisper's log-mel features, and the windows that they are made for. Numpy alone.

Shapes: B batch, N samples, M mels, T frames of 10 ms, F frequencies.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float32, Int

from softspoken.errors import AudioError

SAMPLE_RATE_HZ = 16_000
HOP = 160
"""Samples between two mel frames (10 ms)."""
WINDOW = 400
BUCKET_S = 0.5
"""Windows that follow the audio are rounded up to a multiple of this, so that batches and caches are reused."""
TRAILING_SILENCE_S = 0.2
"""Silence kept after the audio, so that the last word is not cut by the window's edge."""
MAX_WINDOW_S = 30.0
FRAME_RATE_HZ = 50
"""Encoder frames a second."""
INPUTS_PER_FRAME = 2
"""Mel frames that make one encoder position."""
_LINEAR_HZ = 200.0 / 3
"""Below 1 kHz Slaney's mels are so wide; above, 27 of them make a factor of 6.4."""
_LOGARITHMIC_FROM_HZ = 1000.0
_STEP = math.log(6.4) / 27.0


def window_samples(samples: int, window_s: float | None, limit_s: float) -> int:
    """Samples of the window in which a recording of so many is heard. Raises AudioError for one that is too long.

    `window_s`: seconds; None: as long as the audio, rounded up to a bucket, up to `limit_s`.
    """
    seconds = samples / SAMPLE_RATE_HZ
    if window_s is None:
        window_s = math.ceil((seconds + TRAILING_SILENCE_S) / BUCKET_S) * BUCKET_S
    window_s = min(window_s, limit_s)
    if seconds > window_s + 1e-6:
        raise AudioError(f"{seconds:.2f} s of audio for a window of {window_s:.2f} s; cut it into windows first")
    size = round(window_s * SAMPLE_RATE_HZ)
    # An even number of mel frames, at least enough for the transform's reflected edges.
    return max(math.ceil(size / (2 * HOP)) * 2 * HOP, 4 * HOP)


@cache
def mel_filters(mels: int) -> Float32[np.ndarray, "M F"]:
    """Slaney's triangular filters up to 8 kHz, each of unit area."""
    edges_hz = _hz(np.linspace(0.0, _mel(SAMPLE_RATE_HZ / 2), mels + 2))
    bins_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, 1 + WINDOW // 2)
    rising = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    found: np.ndarray = triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    return found.astype(np.float32)


def _mel(hz: float) -> float:
    return _LOGARITHMIC_FROM_HZ / _LINEAR_HZ + math.log(hz / _LOGARITHMIC_FROM_HZ) / _STEP


def _hz(mels: np.ndarray) -> np.ndarray:
    first = _LOGARITHMIC_FROM_HZ / _LINEAR_HZ
    above = _LOGARITHMIC_FROM_HZ * np.exp(_STEP * (mels - first))
    found: np.ndarray = np.where(mels < first, _LINEAR_HZ * mels, above)
    return found


def log_mel(
    audio: Sequence[np.ndarray], windows: Sequence[int], mels: int
) -> tuple[Float32[np.ndarray, "B M T"], Int[np.ndarray, "B"]]:
    """Whisper's log-mel spectrogram (its section 2.2: 25 ms windows, 10 ms apart, scaled to about -1..1).

    `windows`: samples of each row's window, as `window_samples` gives them; a row ends in silence up to there, and in
    zeros behind its own window.

    Returns:
        The features, and how many of each row's T frames lie in its window.
    """
    lengths = np.array([window // HOP for window in windows], np.int64)
    rows = np.zeros((len(windows), mels, int(lengths.max())), np.float32)
    for row, waveform, window, length in zip(rows, audio, windows, lengths.tolist(), strict=True):
        row[:, :length] = _log_mel(waveform, window, mel_filters(mels))
    return rows, lengths


def _log_mel(
    waveform: Float32[np.ndarray, " _"], window: int, filters: Float32[np.ndarray, "M F"]
) -> Float32[np.ndarray, "M T"]:
    padded = np.pad(np.pad(waveform, (0, window - waveform.size)), WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: window // HOP]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    spectrum = np.fft.rfft(frames * hann)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    scale = np.log10(np.maximum(filters @ power.T, 1e-10))
    scale = np.maximum(scale, scale.max() - np.float32(8.0))
    found: np.ndarray = (scale + np.float32(4.0)) / np.float32(4.0)
    return found
