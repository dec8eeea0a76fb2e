"""Recordings that a telephone line, or 8 kHz, left without their upper half, and voices as they sound through one.

CAM++ hears the line as well as the voice: through a line the same person is less like their own clip, and everybody is
more like everybody. So a clip is sent through the same band, and cosines are put back to where they are at full width
(docs/results-trust.md has the measurements).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.speakers import Enrolment, SpeakerEmbedder

_FRAME = 1024
_MIDDLE_HZ, _ABOVE_HZ, _BELOW_HZ = (300.0, 3400.0), 4200.0, (50.0, 150.0)
_NOTHING_ABOVE_DB, _NOTHING_BELOW_DB = -45.0, -55.0
"""Against the middle. Development mixtures: above 4.2 kHz at least -27 at full width, at most -78 over a line; below
150 Hz at least -40 and at most -68."""
_QUIET_DBFS = -60.0
_SLOPE_HZ = 100.0
_MEASURED_WITH = "campplus"


@dataclass(frozen=True)
class Band:
    """What a recording holds, and how cosines to CAM++'s voices come out in it."""

    name: str
    low_hz: float
    high_hz: float
    slope: float = 1.0
    offset: float = 0.0

    def limited(self, audio: Float32[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
        """The audio (16 kHz) with nothing outside of the band."""
        spectrum = np.fft.rfft(audio)
        hertz = np.fft.rfftfreq(audio.size, 1.0 / SAMPLE_RATE_HZ)
        rising = np.clip((hertz - self.low_hz) / _SLOPE_HZ + 1.0, 0.0, 1.0)
        falling = np.clip((self.high_hz - hertz) / _SLOPE_HZ + 1.0, 0.0, 1.0)
        return np.fft.irfft(spectrum * rising * falling, audio.size).astype(np.float32)

    def voice(self, voice: Enrolment, embedder: SpeakerEmbedder) -> Enrolment:
        """A voice that has its clip, as it sounds in the band."""
        assert voice.clip is not None
        clip = self.limited(voice.clip)
        return replace(voice, vector=embedder.embed(clip), clip=clip)

    def scores(self, cosines: Float32[np.ndarray, "K frames"]) -> Float32[np.ndarray, "K frames"]:
        """Cosines in the band as they would be at full width, on average."""
        return (self.slope * cosines + self.offset).astype(np.float32)


FULL = Band("full width", 0.0, 8000.0)
# On 20 development mixtures, the mean cosine of voices that are there and of voices that are not.
TELEPHONE = Band("a telephone line", 300.0, 3400.0, slope=1.57, offset=-0.40)
NARROW = Band("8 kHz", 0.0, 4000.0, slope=1.27, offset=-0.16)


def band_of(audio: Float[np.ndarray, " N"]) -> Band | None:
    """What a window (16 kHz) holds; None where there is too little sound to tell."""
    frames = len(audio) // _FRAME
    if frames == 0 or float(np.abs(audio).max()) < 10 ** (_QUIET_DBFS / 20):
        return None
    pieces = audio[: frames * _FRAME].reshape(frames, _FRAME) * np.hanning(_FRAME)
    power = (np.abs(np.fft.rfft(pieces, axis=1)) ** 2).mean(axis=0)
    hertz = np.fft.rfftfreq(_FRAME, 1.0 / SAMPLE_RATE_HZ)

    def level_db(low_hz: float, high_hz: float) -> float:
        return float(10 * np.log10(power[(hertz >= low_hz) & (hertz <= high_hz)].sum() + 1e-20))

    middle = level_db(*_MIDDLE_HZ)
    if level_db(_ABOVE_HZ, SAMPLE_RATE_HZ / 2) - middle > _NOTHING_ABOVE_DB:
        return FULL
    return TELEPHONE if level_db(*_BELOW_HZ) - middle < _NOTHING_BELOW_DB else NARROW


def can_follow(embedder: SpeakerEmbedder, voices: list[Enrolment]) -> bool:
    """Whether voices can be compared through a band: that is measured for CAM++, and needs their clips."""
    return embedder.name == _MEASURED_WITH and all(voice.clip is not None for voice in voices)
