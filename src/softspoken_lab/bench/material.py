"""Speech to transcribe: the recordings that the package carries, or the test split of a prepared manifest."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from softspoken.audio import load_audio, write_wav
from softspoken.backbones.features import SAMPLE_RATE_HZ
from softspoken.data.levels import mix_at_snr, speech_span
from softspoken.demo import load_recordings
from softspoken.demo.recordings import DemoRecordings, Mixture, read_clip
from softspoken.errors import ConfigError, DataError
from softspoken_lab.testsets.speech import Talker, read_talkers

CLIP_S = (5.0, 10.0)
"""Length of a clip of a manifest, from and to."""
ENROLMENT_S = 5.0
LONGEST_ENROLMENT_S = 15.0
WINDOW_S = 30.0
WINDOW_FROM_S = 25.0
"""Less speech does not fill a window."""
PAUSE_S = 0.1
"""Between joined clips."""
_POOL = 10
"""Clips that a window is put together from: of so many, all combinations can be tried."""

Samples = Float[np.ndarray, " N"]


@dataclass(frozen=True)
class Clip:
    """Mono 16 kHz, and what is said in it."""

    audio: Samples
    text: str

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE_HZ

    def write(self, path: Path) -> Path:
        """As a wave file."""
        if not path.exists():
            write_wav(path, self.audio)
        return path


@dataclass(frozen=True)
class EnrolledVoice:
    """A clip to enrol with, and what the voice says in the scene."""

    enrolment: Samples
    text: str


@dataclass(frozen=True)
class Scene:
    """People who speak two at a time, one pair after the other; their voices in this order."""

    audio: Samples
    voices: tuple[EnrolledVoice, ...]


class Material(ABC):
    """Where clips and scenes come from."""

    source: str

    @abstractmethod
    def clips(self, count: int | None) -> list[Clip]:
        """At most so many; None: all there are."""

    @abstractmethod
    def scenes(self, count: int, voices: int) -> list[Scene]:
        """At most so many, with so many enrolled voices each (an even number), all of whom speak.

        Raises DataError where that is not possible.
        """


class PackagedMaterial(Material):
    """The demo's synthetic voices: their enrolment clips (about 10 s) and its mixtures."""

    source = "recordings of the package"

    @cached_property
    def _recordings(self) -> DemoRecordings:
        return load_recordings()

    def clips(self, count: int | None) -> list[Clip]:
        return [Clip(read_clip(voice.enrolment), voice.text) for voice in self._recordings.voices][:count]

    def scenes(self, count: int, voices: int) -> list[Scene]:
        groups = itertools.combinations(self._recordings.mixtures, voices // 2)
        apart = (group for group in groups if len({one.voice for each in group for one in each.talkers}) == voices)
        return [_one_scene([self._pair(mixture) for mixture in group]) for group in itertools.islice(apart, count)]

    def _pair(self, mixture: Mixture) -> Scene:
        known = self._recordings.by_name
        voices = [EnrolledVoice(read_clip(known[one.voice].enrolment), one.text) for one in mixture.talkers]
        return Scene(read_clip(mixture.file), tuple(voices))


class ManifestMaterial(Material):
    """Clips of 5 to 10 s of the talkers in the test split, drawn once by `seed`."""

    def __init__(self, manifest: Path, seed: int) -> None:
        """Raises DataError for a manifest that cannot be used or has no such clips."""
        self.source = f"test split of {manifest.name}"
        self._manifest = manifest
        self._seed = seed
        talkers = read_talkers(manifest, "test", CLIP_S, 0.0)
        spans = [span for talker in talkers for span in talker.clips]
        self._clips = [spans[index] for index in np.random.default_rng(seed).permutation(len(spans))]

    def clips(self, count: int | None) -> list[Clip]:
        return [Clip(load_audio(s.path, start_s=s.start_s, end_s=s.end_s), s.text) for s in self._clips[:count]]

    def scenes(self, count: int, voices: int) -> list[Scene]:
        talkers = read_talkers(self._manifest, "test", CLIP_S, ENROLMENT_S)
        if len(talkers) < voices:
            raise DataError(
                f"{self._manifest}: {len(talkers)} talkers of split 'test' can be enrolled, the suite 'targets' needs "
                f"{voices}; leave --speech out or choose another suite"
            )
        rng = np.random.default_rng([self._seed, 1])
        return [self._scene([talkers[i] for i in rng.permutation(len(talkers))[:voices]], rng) for _ in range(count)]

    def _scene(self, talkers: Sequence[Talker], rng: np.random.Generator) -> Scene:
        return _one_scene([self._pair(talkers[first : first + 2], rng) for first in range(0, len(talkers), 2)])

    def _pair(self, talkers: Sequence[Talker], rng: np.random.Generator) -> Scene:
        said = [talker.clips[int(rng.integers(len(talker.clips)))] for talker in talkers]
        audio = [load_audio(span.path, start_s=span.start_s, end_s=span.end_s) for span in said]
        # The second talker begins a second after the first.
        size = max(len(audio[0]), len(audio[1]) + SAMPLE_RATE_HZ)
        one, other = (
            np.pad(part, (start, size - start - len(part)))
            for part, start in zip(audio, (0, SAMPLE_RATE_HZ), strict=True)
        )
        mixed = mix_at_snr(one, other, 0.0)
        voices = []
        for talker, span in zip(talkers, said, strict=True):
            parts = [load_audio(s.path, start_s=s.start_s, end_s=s.end_s) for s in talker.enrolment_candidates(span)]
            enrolment = np.concatenate(parts)[: round(LONGEST_ENROLMENT_S * SAMPLE_RATE_HZ)]
            voices.append(EnrolledVoice(enrolment, span.text))
        return Scene((0.9 * mixed / max(float(np.abs(mixed).max()), 1.0)).astype(np.float32), tuple(voices))


def _one_scene(pairs: Sequence[Scene]) -> Scene:
    """One pair after the other."""
    audio = join([Clip(pair.audio, "") for pair in pairs]).audio
    return Scene(audio, tuple(voice for pair in pairs for voice in pair.voices))


def stretches(clips: Sequence[Clip], count: int) -> list[Clip]:
    """At most so many stretches of nearly 30 s, each of clips that no other one has; the first may be shorter."""
    left = [trimmed(clip) for clip in clips]
    found: list[Clip] = []
    while left and len(found) < count:
        pool = range(min(len(left), _POOL))
        tried = (chosen for size in pool for chosen in itertools.combinations(pool, size + 1))
        fitting = [chosen for chosen in tried if joined_s([left[i] for i in chosen]) <= WINDOW_S]
        if not fitting:
            break
        best = max(fitting, key=lambda chosen: joined_s([left[i] for i in chosen]))
        if found and joined_s([left[i] for i in best]) < WINDOW_FROM_S:
            break
        found.append(join([left[i] for i in best]))
        left = [clip for index, clip in enumerate(left) if index not in best]
    if not found:
        raise ConfigError(f"no clip is shorter than {WINDOW_S:g} s; give speech in shorter utterances")
    return found


def long_recording(clips: Sequence[Clip], seconds: float) -> Clip:
    """Clips one after the other, again and again, as many as go into so many seconds (one at least)."""
    parts: list[Clip] = []
    total_s = 0.0
    for clip in itertools.cycle([trimmed(clip) for clip in clips]):
        total_s += clip.seconds
        if parts and total_s > seconds:
            break
        parts.append(clip)
        total_s += PAUSE_S
    return join(parts)


def exactly(clips: Sequence[Clip], seconds: float) -> Clip:
    """So many seconds of speech, cut off wherever that is; without a text."""
    audio = long_recording(clips, seconds).audio
    return Clip(np.resize(audio, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32), "")


def trimmed(clip: Clip) -> Clip:
    """Without the silence around the speech, but for a breath."""
    span = speech_span(clip.audio)
    if span is None:
        return clip
    start, end = (
        round(seconds * SAMPLE_RATE_HZ) for seconds in (max(span[0] - PAUSE_S / 2, 0.0), span[1] + PAUSE_S / 2)
    )
    return Clip(clip.audio[start:end], clip.text)


def joined_s(clips: Sequence[Clip]) -> float:
    """Length of `join(clips)`."""
    return sum(clip.seconds for clip in clips) + PAUSE_S * (len(clips) - 1)


def join(clips: Sequence[Clip]) -> Clip:
    """One clip of several, with pauses between them."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    pieces = [piece for clip in clips for piece in (clip.audio.astype(np.float32), pause)]
    return Clip(np.concatenate(pieces[:-1]), " ".join(clip.text for clip in clips))
