"""Words written where nobody speaks: silence, noise, music. Any word is wrong, so they are counted by the minute."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.decoding import TargetSpeakerTranscriber, Transcript
from softspoken.errors import DataError
from softspoken.scoring.text import writes_something
from softspoken.scoring.word_errors import CONFIDENCE, RESAMPLES, Interval
from softspoken_lab.noise.bank import NoiseBank, NoiseClip, read_noise

LENGTHS_S = (5.0, 15.0, 30.0, 60.0)
"""Of the made sounds."""
FAINT_DBFS = (-70.0, -60.0, -50.0)
MUSIC_DBFS = -25.0
_NOTES_HZ = tuple(220.0 * 2 ** (step / 12) for step in (0, 2, 3, 5, 7, 8, 10, 12, 14, 15))
"""Two octaves of A minor, nearly."""

Waveform = Float[np.ndarray, " N"]
Listen = Callable[[Waveform], Sequence[Transcript]]
"""What is written for a recording: one transcript a voice, or a single one."""


@dataclass(frozen=True)
class Sound:
    """A recording without words."""

    kind: str
    id: str
    load: Callable[[], Waveform]


@dataclass(frozen=True)
class WordRate:
    """Words written for one kind of sound by one system."""

    kind: str
    system: str
    sounds: int
    minutes: float
    """Of sound, each voice that was listened for counting."""
    words: int
    per_minute: float
    interval: Interval
    """95 % bootstrap over the sounds; of no width where they all gave the same, as with a single one."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "system": self.system,
            "sounds": self.sounds,
            "minutes": round(self.minutes, 3),
            "words": self.words,
            "words_per_minute": self.per_minute,
            "low": self.interval.low,
            "high": self.interval.high,
        }


def made_sounds(seed: int = 0) -> Iterator[Sound]:
    """Digital silence, faint noise of three colours, and synthetic music (chords and melodies); see `LENGTHS_S`."""
    for index, length_s in enumerate(LENGTHS_S):
        size, level_db = round(length_s * SAMPLE_RATE_HZ), FAINT_DBFS[index % len(FAINT_DBFS)]
        yield Sound("digital silence", f"{length_s:g} s", partial(np.zeros, size, np.float32))
        for tilt, name in ((0.0, "white"), (0.5, "pink"), (1.0, "brown")):
            sound = partial(_made, [seed, index], partial(coloured_noise, size, tilt, level_db))
            yield Sound("faint noise", f"{name}, {level_db:g} dBFS, {length_s:g} s", sound)
        for part in range(2):
            sound = partial(_made, [seed, index, part], partial(synthetic_music, size))
            yield Sound("synthetic music", f"piece {part}, {length_s:g} s", sound)


def _made(seed: Sequence[int], make: Callable[[np.random.Generator], Waveform]) -> Waveform:
    """The same every time."""
    return make(np.random.default_rng(seed))


def recorded_sounds(
    source: str | Path, prefix: str, longest_s: float | None = None, split: str | None = None
) -> Iterator[Sound]:
    """Recordings of a manifest or folder (see `read_noise`), as '`prefix` TYPE', babble as a kind of its own.

    Only the first `longest_s` seconds of each. Babble is people who speak: what is written there was partly said.
    """
    bank = read_noise(source, split)
    for clip in bank.clips:
        kind = "babble" if clip.category == "babble" else clip.type
        yield Sound(f"{prefix} {kind}", clip.id, partial(_first, bank, clip, longest_s))


def _first(bank: NoiseBank, clip: NoiseClip, longest_s: float | None) -> Waveform:
    audio: Waveform = bank.audio(clip)
    return audio if longest_s is None else audio[: round(longest_s * SAMPLE_RATE_HZ)]


def coloured_noise(samples: int, tilt: float, level_dbfs: float, rng: np.random.Generator) -> Waveform:
    """Gaussian noise whose amplitude falls with frequency to the power of `tilt` (0 white, 0.5 pink, 1 brown)."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequencies = np.maximum(np.arange(spectrum.size), samples / SAMPLE_RATE_HZ * 20.0)
    return _at_level(np.fft.irfft(spectrum * frequencies**-tilt, samples), level_dbfs)


def synthetic_music(samples: int, rng: np.random.Generator) -> Waveform:
    """Plucked tones with eight harmonics: a chord every two seconds, over it a melody of two notes a second."""
    time = np.arange(samples) / SAMPLE_RATE_HZ
    music = np.zeros(samples)
    for beat in range(int(np.ceil(time[-1] * 2)) + 1):
        notes = [float(rng.choice(_NOTES_HZ)) * 2]
        if beat % 4 == 0:
            root = int(rng.integers(0, 5))
            notes += [_NOTES_HZ[root + step] / 2 for step in (0, 2, 4)]
        for note in notes:
            _pluck(music, time, beat / 2, note)
    return _at_level(music, MUSIC_DBFS)


def _pluck(music: Waveform, time: Waveform, start_s: float, note_hz: float) -> None:
    inside = (time >= start_s) & (time < start_s + 2.0)
    since = time[inside] - start_s
    envelope = np.exp(-2.5 * since) * np.minimum(since / 0.01, 1.0)
    for harmonic in range(1, 9):
        if harmonic * note_hz < SAMPLE_RATE_HZ / 2:
            music[inside] += envelope * np.sin(2 * np.pi * harmonic * note_hz * since) / harmonic


def _at_level(audio: Waveform, level_dbfs: float) -> Waveform:
    scale = 10 ** (level_dbfs / 20) / max(float(np.sqrt(np.mean(audio**2))), 1e-12)
    return np.clip(audio * scale, -1.0, 1.0).astype(np.float32)


def word_rates(sounds: Iterable[Sound], systems: Mapping[str, Listen], seed: int = 0) -> list[WordRate]:
    """Words a minute by kind of sound and system, in the order in which the kinds come."""
    counts: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for sound in sounds:
        audio = sound.load()
        minutes = audio.size / SAMPLE_RATE_HZ / 60
        for name, listen in systems.items():
            transcripts = listen(audio)
            written = sum(words_in(transcript.text) for transcript in transcripts)
            counts.setdefault((sound.kind, name), []).append((written, minutes * len(transcripts)))
    return [_rate(kind, name, found, seed) for (kind, name), found in counts.items()]


def words_in(text: str) -> int:
    """Words with any letter or digit in them."""
    return sum(writes_something(word) for word in text.split())


def _rate(kind: str, system: str, counts: Sequence[tuple[int, float]], seed: int) -> WordRate:
    words, minutes = np.array([count[0] for count in counts]), np.array([count[1] for count in counts])
    times = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile((times @ words) / (times @ minutes), [tail, 100 - tail])
    return WordRate(
        kind,
        system,
        len(counts),
        float(minutes.sum()),
        int(words.sum()),
        float(words.sum() / minutes.sum()),
        Interval(float(low), float(high)),
    )


def hallucinated_words(
    reference: str, voices: Sequence[Path], sounds: Iterable[Sound], backbone: str | None = None
) -> list[WordRate]:
    """Words a minute where nobody speaks, by plain Whisper and by a prompt that listens for each of `voices`.

    Raises DataError without a voice.
    """
    if not voices:
        raise DataError("no voice to listen for; give clips of one or more talkers")
    transcriber = TargetSpeakerTranscriber.from_pretrained(reference, backbone, engine="torch")
    enrolled = [transcriber.voice(path) for path in voices]

    def plain(audio: np.ndarray) -> list[Transcript]:
        return [transcriber.transcribe_plain(audio)]

    def prompted(audio: np.ndarray) -> list[Transcript]:
        return transcriber.transcribe_many(audio, enrolled)

    systems: dict[str, Listen] = {"plain": plain, "prompt": prompted}
    return word_rates(sounds, systems)
