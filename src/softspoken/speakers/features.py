"""The spectrogram that CAM++ and most published speaker encoders are trained on: Kaldi's log mel bands."""

from functools import cache

import numpy as np
from jaxtyping import Float32
from numpy.lib.stride_tricks import sliding_window_view

from softspoken.audio import SAMPLE_RATE_HZ

FRAME_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SAMPLES = 512
PREEMPHASIS = 0.97
FLOOR = 1.1920929e-07
FULL_SCALE = 32768.0
_LOWEST_HZ, _HIGHEST_HZ = 20.0, 8000.0
# An hour is transformed in pieces of some seconds, so that its complex spectrum never stands in memory at once.
_BLOCK_FRAMES = 1000


def kaldi_log_mel(audio: Float32[np.ndarray, " samples"], bands: int) -> Float32[np.ndarray, "T M"]:
    """Log mel bands: 16-bit scale, mean removed and pre-emphasis per frame, Hamming window, no dither.

    No padding: audio shorter than one frame is filled up to one with zeros.
    """
    audio = np.pad(audio, (0, max(FRAME_SAMPLES - len(audio), 0))).astype(np.float32, copy=False)
    frames = sliding_window_view(audio, FRAME_SAMPLES)[::HOP_SAMPLES]
    logs = np.empty((len(frames), bands), np.float32)
    for first in range(0, len(frames), _BLOCK_FRAMES):
        logs[first : first + _BLOCK_FRAMES] = _log_mel(frames[first : first + _BLOCK_FRAMES], bands)
    return logs


def centred(log_mel: Float32[np.ndarray, "*B T M"]) -> Float32[np.ndarray, "*B T M"]:
    """Without the mean over time of each band: what WeSpeaker and 3D-Speaker models expect."""
    found: np.ndarray = log_mel - log_mel.mean(axis=-2, keepdims=True)
    return found


def _log_mel(frames: Float32[np.ndarray, "T samples"], bands: int) -> Float32[np.ndarray, "T M"]:
    frames = frames * np.float32(FULL_SCALE)
    frames -= frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = np.fft.rfft((frames - np.float32(PREEMPHASIS) * before) * _window(), FFT_SAMPLES)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
    logs: np.ndarray = np.log(np.maximum(power @ kaldi_filters(bands), np.float32(FLOOR)))
    return logs


@cache
def _window() -> Float32[np.ndarray, " samples"]:
    return np.hamming(FRAME_SAMPLES).astype(np.float32)


@cache
def kaldi_filters(bands: int) -> Float32[np.ndarray, "bins M"]:
    """Triangles that are straight on the mel axis, from 20 Hz to 8 kHz; the Nyquist bin lies outside of all."""
    hertz = np.arange(FFT_SAMPLES // 2 + 1) * (SAMPLE_RATE_HZ / FFT_SAMPLES)
    lowest, highest = (float(end) for end in _mel(np.array([_LOWEST_HZ, _HIGHEST_HZ])))
    corners = np.linspace(lowest, highest, bands + 2)
    away = _mel(hertz)[:, None] - corners
    widths = np.diff(corners)
    filters: np.ndarray = np.minimum(away[:, :-2] / widths[:-1], -away[:, 2:] / widths[1:]).clip(0).astype(np.float32)
    return filters


def _mel(hertz: np.ndarray) -> np.ndarray:
    mel: np.ndarray = 1127.0 * np.log1p(hertz / 700.0)
    return mel
