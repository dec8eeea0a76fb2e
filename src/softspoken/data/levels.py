"""How loud speech is: powers over the frames in which somebody speaks, so that pauses do not count."""

import numpy as np
from jaxtyping import Bool, Float, Int16

from softspoken.audio import SAMPLE_RATE_HZ

FRAME = SAMPLE_RATE_HZ // 50
"""Samples in 20 ms."""
FULL_SCALE = 32767.0
SPEECH_BELOW_PEAK_DB = 30.0
"""A frame further than this below the loudest one is a pause."""


def rounded(audio: Float[np.ndarray, "N"]) -> Int16[np.ndarray, "N"]:
    """As 16-bit numbers, of which `FULL_SCALE` is the largest."""
    return np.asarray(np.rint(audio * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE), np.int16)


def frame_power(waveform: Float[np.ndarray, " N"]) -> Float[np.ndarray, " F"]:
    """Mean square of each 20 ms; a last, incomplete frame is left out."""
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    # A quarter of the time that squares and their mean take.
    return np.asarray(np.einsum("ij,ij->i", frames, frames, dtype=np.float64) / FRAME)


def speech_frames(waveform: Float[np.ndarray, " N"]) -> Bool[np.ndarray, " F"]:
    """Which frames are speech, as far as their level tells; none of silence."""
    return _speech_of(frame_power(waveform))


def _speech_of(power: Float[np.ndarray, " F"]) -> Bool[np.ndarray, " F"]:
    if power.size == 0 or power.max() <= 0:
        return np.zeros(power.size, dtype=bool)
    return np.asarray(power >= power.max() * 10 ** (-SPEECH_BELOW_PEAK_DB / 10))


def speech_power(waveform: Float[np.ndarray, " N"]) -> float:
    """Mean square over the speech frames; 0 for silence."""
    power = frame_power(waveform)
    speech = _speech_of(power)
    return float(power[speech].mean()) if speech.any() else 0.0


def speech_span(waveform: Float[np.ndarray, " N"]) -> tuple[float, float] | None:
    """Seconds at which the first speech frame begins and the last one ends; None for silence."""
    speech = np.flatnonzero(speech_frames(waveform))
    if speech.size == 0:
        return None
    return float(speech[0]) / 50, float(speech[-1] + 1) / 50


def scale_to(waveform: Float[np.ndarray, " N"], power: float) -> Float[np.ndarray, " N"]:
    """The waveform with that speech power; silence stays silence."""
    own = speech_power(waveform)
    if own <= 0:
        return waveform
    return np.asarray(waveform * np.sqrt(power / own), dtype=np.float32)


def mix_at_snr(
    target: Float[np.ndarray, " N"], other: Float[np.ndarray, " N"], snr_db: float
) -> Float[np.ndarray, " N"]:
    """`target + other`, with `other` scaled so that the ratio of their speech powers is `snr_db`."""
    return np.asarray(target + scale_to(other, speech_power(target) * 10 ** (-snr_db / 10)))


def mean_power(waveform: Float[np.ndarray, " N"]) -> float:
    """Mean square over all of it."""
    return float(np.mean(waveform.astype(np.float64) ** 2))
