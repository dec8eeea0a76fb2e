"""Made-up voices and a tiny embedder, so that tests of enrolment need no weights."""

from itertools import pairwise

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.speakers.base import SpeakerEmbedder, checked, unit


class PitchEmbedder(SpeakerEmbedder):
    """A voice is how its energy spreads over eight bands of frequency: enough to tell the voices made here apart."""

    name = "pitch"
    dimension = 8
    two_voices_below = 0.5

    def embed(self, audio: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(checked(audio))) ** 2
        edges = np.linspace(0, len(power) * 0.25, self.dimension + 1).astype(int)
        bands = [power[a:b].sum() for a, b in pairwise(edges)]
        vector: np.ndarray = unit(np.sqrt(np.array(bands)))
        return vector


def voice(seconds: float, pitch_hz: float = 300.0, seed: int = 0) -> np.ndarray:
    """Syllables of a harmonic tone, about four a second, at -26 dBFS or so."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone = np.sin(2 * np.pi * pitch_hz * at) + 0.3 * np.sin(4 * np.pi * pitch_hz * at)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * at + rng.uniform(0, 6))
    return (0.08 * tone * syllables + 1e-4 * rng.standard_normal(len(at))).astype(np.float32)
