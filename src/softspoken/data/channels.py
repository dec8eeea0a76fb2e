"""Other rooms and microphones for the same speech, drawn cheaply: a statistical room and a coloured spectrum.

A room here is its direct sound and a tail of decaying noise (Polack's model of late reverberation): no geometry, a
thousandth of the cost of one, enough to teach that a voice is not its recording. Test sets have real geometry
(`softspoken_lab.testsets.rooms`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydantic import Field

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.frozen import Frozen

TAIL_BEGINS_S = 0.003
"""The first reflection, after about a metre more of way."""
BANDS_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)


class ChannelConfig(Frozen):
    """How often, and how much, a talker's recording is changed."""

    probability: float = Field(default=0.0, ge=0, le=1)
    """How likely a talker in a mixture stands in another room, at another microphone."""
    rt60_s: tuple[float, float] = (0.1, 0.6)
    """Time in which the reverberation falls by 60 dB."""
    direct_db: tuple[float, float] = (0.0, 15.0)
    """Energy of the direct sound to that of the reverberation."""
    colour_db: float = Field(default=6.0, ge=0)
    """Most that an octave band is raised or lowered."""


@dataclass(frozen=True)
class Channel:
    """One room and microphone; the same numbers give the same samples."""

    rt60_s: float
    direct_db: float
    bands_db: tuple[float, ...]
    seed: int

    def apply(self, waveform: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """The waveform (16 kHz) as it would be heard there, cut to its own length; the direct sound stays in place."""
        response = self.response()
        # As long as both together, so that nothing comes round; powers of two are fast.
        size = 1 << (waveform.size + response.size - 2).bit_length()
        heard = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(response, size), size)[: waveform.size]
        return coloured(heard, self.bands_db).astype(np.float32)

    def response(self) -> Float[np.ndarray, " M"]:
        """Impulse response: 1, a short gap, and a tail of decaying noise."""
        rng = np.random.default_rng(self.seed)
        size = max(round(self.rt60_s * SAMPLE_RATE_HZ), 2)
        seconds = np.arange(size) / SAMPLE_RATE_HZ
        # 60 dB are a factor of 1000 in amplitude.
        tail = rng.standard_normal(size) * 10.0 ** (-3.0 * seconds / self.rt60_s)
        tail[: round(TAIL_BEGINS_S * SAMPLE_RATE_HZ)] = 0.0
        energy = float((tail**2).sum())
        if energy > 0:
            tail *= np.sqrt(10.0 ** (-self.direct_db / 10.0) / energy)
        tail[0] = 1.0
        return np.asarray(tail)


def draw_channel(config: ChannelConfig, rng: np.random.Generator) -> Channel | None:
    """A channel, or None: the recording as it is."""
    if config.probability == 0 or rng.random() >= config.probability:
        return None
    bands = rng.uniform(-config.colour_db, config.colour_db, len(BANDS_HZ))
    return Channel(
        float(rng.uniform(*config.rt60_s)),
        float(rng.uniform(*config.direct_db)),
        tuple(bands.tolist()),
        int(rng.integers(2**31)),
    )


TELEPHONE_LOW_HZ = (0.0, 300.0)
TELEPHONE_HIGH_HZ = (3300.0, 3950.0)
LINE_SLOPE_HZ = 100.0
"""Width of the straight slopes at a line's edges: steeper ones ring longer."""
LINE_RINGS = SAMPLE_RATE_HZ // 10
"""Samples for which it rings at most; else the end would ring on in the beginning."""


@dataclass(frozen=True)
class Telephone:
    """A line that carries the speech between two frequencies and nothing else."""

    low_hz: float
    high_hz: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Telephone":
        """From 8 kHz sampling without any other loss to a line of 300 to 3,300 Hz."""
        return cls(float(rng.uniform(*TELEPHONE_LOW_HZ)), float(rng.uniform(*TELEPHONE_HIGH_HZ)))

    def apply(self, waveform: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """The waveform (16 kHz) as it comes out of the line, in place and of the same length."""
        size = waveform.size + LINE_RINGS
        spectrum = np.fft.rfft(waveform, size)
        hertz = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE_HZ)
        rising = np.clip((hertz - self.low_hz) / LINE_SLOPE_HZ + 1.0, 0.0, 1.0)
        falling = np.clip((self.high_hz - hertz) / LINE_SLOPE_HZ + 1.0, 0.0, 1.0)
        return np.fft.irfft(spectrum * rising * falling, size)[: waveform.size].astype(np.float32)


def coloured(waveform: Float[np.ndarray, " N"], bands_db: tuple[float, ...]) -> Float[np.ndarray, " N"]:
    """Each octave of `BANDS_HZ` raised by its dB, straight lines between them over the logarithm of frequency."""
    spectrum = np.fft.rfft(waveform)
    hertz = np.fft.rfftfreq(waveform.size, 1.0 / SAMPLE_RATE_HZ)
    gain_db = np.interp(np.log(np.maximum(hertz, 1.0)), np.log(BANDS_HZ), bands_db)
    return np.asarray(np.fft.irfft(spectrum * 10.0 ** (gain_db / 20.0), waveform.size))
