"""Noise added to speech at an exact level, drawn from a seeded generator and described so that it can be done again.

The signal-to-noise ratio is the mean power of the speech over the frames in which somebody speaks (`levels`) to the
mean power of the noise over all of the stretch that is added: pauses do not make the speech quieter, and the noise is
what is heard all the way through. It is a ratio of powers, 10 log10: the published mixer of the paper's test set takes
one square root too many, so that its labels are not the ratios of its files.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydantic import Field, field_validator

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.levels import mean_power, speech_power
from softspoken.errors import AudioError
from softspoken.frozen import Frozen
from softspoken_lab.noise.bank import NoiseBank, draw_start, stretch

PEAK = 0.99
"""Highest sample of noisy speech: above it, the whole is made quieter, which leaves the ratio what it is."""


class CorruptionConfig(Frozen):
    """How noise is drawn (soft-prompt paper, section 2.3)."""

    probability: float = Field(default=0.8, ge=0, le=1)
    """Share of the utterances that get noise."""
    snr_db: tuple[float, float] = (0.0, 20.0)
    """Drawn evenly."""
    types: tuple[str, ...] = ()
    """Only noise of these types ('A', 'B'); none given: whatever there is."""
    categories: tuple[str, ...] = ()
    """Only noise of these categories; none given: whatever there is."""

    @field_validator("snr_db")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not -math.inf < value[0] <= value[1] < math.inf:
            raise ValueError(f"from {value[0]:g} to {value[1]:g} dB; the first may not be above the second")
        return value


@dataclass(frozen=True)
class Corruption:
    """Which noise is added, from where in its recording, and at what level: enough to do it again, bit by bit."""

    noise_id: str
    start_s: float
    snr_db: float


def draw_corruption(
    rng: np.random.Generator, bank: NoiseBank, duration_s: float, config: CorruptionConfig
) -> Corruption | None:
    """Noise for an utterance of that length, or None for one that stays as it is.

    A category is drawn first and then one of its recordings, so that a category with many is not heard more often.
    Raises DataError where the bank has nothing of the configured types and categories.
    """
    if rng.random() >= config.probability:
        return None
    groups = tuple(bank.of(config.types, config.categories).by_category.values())
    clips = groups[rng.integers(len(groups))]
    clip = clips[rng.integers(len(clips))]
    start_s = draw_start(rng, bank.audio(clip), round(duration_s * SAMPLE_RATE_HZ))
    return Corruption(clip.id, start_s, float(rng.uniform(*config.snr_db)))


def corrupt(speech: Float[np.ndarray, " N"], noise: Float[np.ndarray, " N"], snr_db: float) -> Float[np.ndarray, " N"]:
    """Speech and noise of the same length, summed at `snr_db`; see `corrupt_with_gain`."""
    return corrupt_with_gain(speech, noise, snr_db)[0]


def corrupt_with_gain(
    speech: Float[np.ndarray, " N"], noise: Float[np.ndarray, " N"], snr_db: float
) -> tuple[Float[np.ndarray, " N"], float]:
    """`gain * (speech + noise scaled to snr_db)`, and the gain: 1, or less where the sum would clip.

    Raises AudioError for silent speech or a silent stretch of noise, which have no ratio.
    """
    spoken, noisy = speech_power(speech), mean_power(noise)
    if spoken <= 0:
        raise AudioError("the speech is silent, so that no noise has a level against it; leave this utterance out")
    if noisy <= 0:
        raise AudioError("the noise is silent here, so that it has no level; take another stretch or recording")
    # In double precision: the level of the noise is exact however far apart the two were.
    mixed = speech.astype(np.float64) + noise.astype(np.float64) * math.sqrt(spoken / noisy * 10 ** (-snr_db / 10))
    gain = min(1.0, PEAK / float(np.abs(mixed).max()))
    return (mixed * gain).astype(np.float32), gain


def apply_corruption(
    speech: Float[np.ndarray, " N"], corruption: Corruption, bank: NoiseBank
) -> Float[np.ndarray, " N"]:
    """The noisy utterance: the same arguments give the same samples. See `corrupt_with_gain` for errors."""
    return corrupt(speech, noise_for(speech.size, corruption, bank), corruption.snr_db)


def noise_for(samples: int, corruption: Corruption, bank: NoiseBank) -> Float[np.ndarray, " samples"]:
    """The stretch of noise that a corruption adds, at its recorded level."""
    return stretch(bank.audio(bank.clip(corruption.noise_id)), corruption.start_s, samples)
