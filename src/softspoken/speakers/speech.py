"""Where somebody speaks in a clip: what a voice is learned from, and nothing else of it.

Energy alone takes noise, tones and music for speech, so silero (`softspoken.speakers.silero`) decides where there is a
voice at all; energy says which frames of it are loud enough to count.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.runs import runs_of
from softspoken.speakers.base import Waveform

FRAME_SAMPLES, HOP_SAMPLES = 480, 160
_THRESHOLD = 0.5
_BRIDGED_S = 0.3
"""A pause up to this long belongs to speech."""
_MARGIN_S = 0.1
"""Words begin and end softly."""
_SHORTEST_S = 0.25
_LEVELS_DBFS = (-35.0, -15.0)
"""A clip whose speech is softer or louder than this is brought to it; others are left alone."""
_DETECTOR_DBFS = -25.0
_TELEPHONE_HZ = 4_000.0
_TELEPHONE_SHARE_DB = -50.0
"""Power above 4 kHz, of that below: in 60 training utterances -38 to -4 dB, in the same at 8 kHz and 16 bit below
-62 dB."""


@dataclass(frozen=True)
class Speech:
    """The speech of a clip."""

    audio: Waveform
    """Stretches of speech one after the other, without their constant, at a usual level."""
    seconds: float
    """Of frames that are loud enough; pauses between words do not count."""
    telephone: bool
    """Whether it holds nothing above 4 kHz."""


def find_speech(audio: Waveform, below_loud_db: float, floor_dbfs: float) -> Speech:
    """The speech in a clip (16 kHz), wherever it stands; `below_loud_db`, `floor_dbfs`: see `loud_frames`."""
    audio = (audio - np.float32(np.median(audio) if len(audio) else 0.0)).astype(np.float32)
    stretches = _stretches(voiced_chunks(audio), len(audio))
    if not stretches:
        return Speech(np.zeros(0, np.float32), 0.0, telephone=False)
    spoken = np.concatenate([audio[begin:end] for begin, end in stretches])
    loud = loud_frames(spoken, below_loud_db, floor_dbfs)
    return Speech(_at_usual_level(spoken, loud), float(loud.sum()) * HOP_SAMPLES / SAMPLE_RATE_HZ, is_telephone(spoken))


def voiced_chunks(audio: Waveform) -> Bool[np.ndarray, " C"]:
    """True for the chunks of 32 ms in which silero hears a voice, whatever its level."""
    from softspoken.speakers.silero import CHUNK, SileroDetector

    size = -(-len(audio) // CHUNK) * CHUNK
    padded = np.pad(audio, (0, size - len(audio)))
    level = float(np.sqrt(np.mean(np.square(_loudest_second(padded), dtype=np.float64)))) if size else 0.0
    if level <= 0.0:
        return np.zeros(size // CHUNK, bool)
    gain = np.float32(10 ** (_DETECTOR_DBFS / 20) / level)
    heard: np.ndarray = SileroDetector()((padded * gain).clip(-1, 1)) > _THRESHOLD
    return heard


def _loudest_second(audio: Waveform) -> Float32[np.ndarray, " second"]:
    size = min(SAMPLE_RATE_HZ, len(audio))
    whole = audio[: len(audio) // size * size].reshape(-1, size)
    loudest: np.ndarray = whole[int(np.square(whole, dtype=np.float64).sum(axis=1).argmax())]
    return loudest


def _stretches(voiced: Bool[np.ndarray, " C"], samples: int) -> list[tuple[int, int]]:
    """Runs of speech in samples: pauses bridged, margins added, what is too short left out."""
    from softspoken.speakers.silero import CHUNK

    joined: list[tuple[int, int]] = []
    for begin, end in ((first * CHUNK, last * CHUNK) for first, last in runs_of(voiced)):
        if joined and begin - joined[-1][1] <= _BRIDGED_S * SAMPLE_RATE_HZ:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    margin = round(_MARGIN_S * SAMPLE_RATE_HZ)
    kept = [(begin, end) for begin, end in joined if end - begin >= _SHORTEST_S * SAMPLE_RATE_HZ]
    widened = [(max(begin - margin, 0), min(end + margin, samples)) for begin, end in kept]
    # Margins of neighbours may meet, but not overlap.
    ends = [min(end, after) for (_, end), (after, _) in pairwise([*widened, (samples, samples)])]
    return [(begin, end) for (begin, _), end in zip(widened, ends, strict=True) if end > begin]


def loud_frames(audio: Waveform, below_loud_db: float, floor_dbfs: float) -> Bool[np.ndarray, " frames"]:
    """True for the frames (30 ms, one every 10 ms) that are loud enough to be speech.

    The loud level is that of the 95th percentile of all frames; what lies within `below_loud_db` of it and above
    `floor_dbfs` counts. It knows energy only.
    """
    audio = np.pad(audio, (0, max(FRAME_SAMPLES - len(audio), 0)))
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    first = np.arange(0, len(audio) - FRAME_SAMPLES + 1, HOP_SAMPLES)
    level_db = 10 * np.log10((energy[first + FRAME_SAMPLES] - energy[first]).clip(0) / FRAME_SAMPLES + 1e-12)
    loud_db = np.percentile(level_db, 95)
    spoken: np.ndarray = level_db > max(loud_db - below_loud_db, floor_dbfs)
    return spoken


def _at_usual_level(audio: Waveform, loud: Bool[np.ndarray, " frames"]) -> Waveform:
    frames = np.flatnonzero(loud) * HOP_SAMPLES
    if not len(frames):
        return audio
    power = np.mean([np.square(audio[start : start + HOP_SAMPLES], dtype=np.float64).mean() for start in frames])
    level_db = 10 * np.log10(max(float(power), 1e-12))
    wanted_db = min(max(level_db, _LEVELS_DBFS[0]), _LEVELS_DBFS[1])
    scaled: np.ndarray = (audio * np.float32(10 ** ((wanted_db - level_db) / 20))).astype(np.float32)
    return audio if wanted_db == level_db else scaled


def is_telephone(audio: Float32[np.ndarray, " N"]) -> bool:
    """Whether speech holds next to nothing above 4 kHz, as over a telephone."""
    if len(audio) < SAMPLE_RATE_HZ // 2:
        return False
    size = 1024
    framed = audio[: len(audio) // size * size].reshape(-1, size).astype(np.float64)
    power = np.square(np.abs(np.fft.rfft(framed * np.hanning(size), axis=1))).sum(axis=0)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    above, speech = power[hertz > _TELEPHONE_HZ + 100].sum(), power[(hertz > 100) & (hertz <= _TELEPHONE_HZ)].sum()
    return bool(speech > 0 and 10 * np.log10(max(above / speech, 1e-12)) < _TELEPHONE_SHARE_DB)
