"""When who speaks in a made conversation: turns with pauses, interruptions and back-channels, drawn by a generator."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from jaxtyping import Bool, Float32

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.levels import FRAME, speech_frames, speech_span
from softspoken.errors import DataError
from softspoken.runs import runs_of
from softspoken_lab.corpora.references import Said
from softspoken_lab.corpora.stretches import Stretch
from softspoken_lab.testsets.speech import Span

_RATE = SAMPLE_RATE_HZ // FRAME
CLIP_S = (0.8, 25.0)
"""The shortest and the longest utterance that is said."""
_SHORT_S = 2.5
"""What is said into somebody else's turn is no longer."""
_MARGIN_S = 0.05
_MOST_UTTERANCES, _TURN_S = 3, 10.0
"""A turn has at most so many utterances; after so many seconds no further one begins."""
_WITHIN_S = (0.2, 0.6)
"""Pauses within a turn."""
_BETWEEN_S, _LONGEST_S = 0.5, 2.5
"""The mean pause between turns, and the longest one."""
_INTERRUPTS = 0.8
"""How often somebody begins too early while there is less overlap than is wanted."""
_BACK_CHANNELS = 0.15
"""Share of the turns into which somebody else says something short."""
_CLEAR_S = 0.1
"""Nobody begins again sooner after themselves."""


@dataclass(frozen=True)
class Voice:
    """A talker, what enrols them, and what is left for them to say."""

    name: str
    enrolment: tuple[Stretch, ...]
    clips: tuple[Span, ...]

    @property
    def speech_s(self) -> float:
        return sum(clip.duration_s for clip in self.clips)


@dataclass(frozen=True)
class Placed:
    """An utterance in the conversation; frames of 20 ms."""

    talker: int
    clip: Span
    speech: Bool[np.ndarray, " F"]
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.speech)


@dataclass
class Timeline:
    """A conversation as it grows, turn by turn."""

    voices: Sequence[Voice]
    wanted_s: float
    wanted_overlap: float
    """Share of the time with speech in which at least two speak."""
    rng: np.random.Generator
    placed: list[Placed] = field(default_factory=list)
    _used: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        # A turn may be longer than what is left.
        self._speaks = np.zeros((len(self.voices), round((self.wanted_s + 120) * _RATE)), bool)
        self._free = [0] * len(self.voices)
        self._weights = self.rng.uniform(0.5, 1.5, len(self.voices))

    @property
    def duration_s(self) -> float:
        return max(self.wanted_s, max(self._free) / _RATE + 0.3)

    @property
    def overlap(self) -> float:
        count = self._speaks.sum(axis=0)
        return float((count > 1).sum() / max((count > 0).sum(), 1))

    @property
    def repeated(self) -> float:
        """Share of the utterances that were said before."""
        return 1 - len(self._used) / max(sum(self._used.values()), 1)

    def fill(self) -> None:
        """Turns until the time is over."""
        talker, floor, length = -1, round(0.5 * _RATE), 0
        while floor < self.wanted_s * _RATE:
            weights = np.where(np.arange(len(self.voices)) == talker, 0.0, self._weights)
            talker = int(self.rng.choice(len(self.voices), p=weights / weights.sum()))
            begun = start = self._start(talker, floor, length)
            for number in range(int(self.rng.integers(1, _MOST_UTTERANCES + 1))):
                if number and self._free[talker] - begun > _TURN_S * _RATE:
                    break
                if number:
                    start = self._free[talker] + round(self.rng.uniform(*_WITHIN_S) * _RATE)
                self._say(talker, start, CLIP_S[1])
            floor, length = self._free[talker], self._free[talker] - begun
            if self.rng.random() < _BACK_CHANNELS:
                self._interject(talker, begun, floor)

    def _start(self, talker: int, floor: int, length: int) -> int:
        """Where the next turn begins: into the last one, of `length` frames up to `floor`, or after a pause."""
        if self.overlap < self.wanted_overlap and self.rng.random() < _INTERRUPTS:
            return max(
                floor - round(self.rng.uniform(0.1, 0.9) * length), self._free[talker] + round(_CLEAR_S * _RATE), 0
            )
        pause_s = min(0.1 + self.rng.exponential(_BETWEEN_S), _LONGEST_S)
        return floor + round(pause_s * _RATE)

    def _interject(self, talker: int, begun: int, floor: int) -> None:
        others = [one for one in range(len(self.voices)) if one != talker and self._free[one] < begun]
        if others and self.overlap < self.wanted_overlap:
            self._say(
                int(self.rng.choice(others)), int(self.rng.integers(begun, max(floor - _RATE, begun + 1))), _SHORT_S
            )

    def _say(self, talker: int, start: int, longest_s: float) -> None:
        clips = self.voices[talker].clips
        drawn = self.rng.random(len(clips))
        fitting = [one for one in range(len(clips)) if clips[one].duration_s <= longest_s]
        if not fitting:
            return
        chosen = min(fitting, key=lambda one: (self._used[talker, one], drawn[one]))
        self._used[talker, chosen] += 1
        placed = Placed(talker, *_trimmed(clips[chosen]), start)
        self.placed.append(placed)
        self._speaks[talker, start : placed.end] |= placed.speech
        self._free[talker] = max(self._free[talker], placed.end)

    def said(self) -> list[Said]:
        """What is said, by the time."""
        return sorted((_said(self.voices[one.talker].name, one) for one in self.placed), key=lambda one: one.start_s)


def _said(name: str, placed: Placed) -> Said:
    by_s = placed.start / _RATE - placed.clip.start_s
    words = tuple((word, max(a + by_s, 0.0), b + by_s) for word, a, b in placed.clip.words)
    sounds = tuple(((placed.start + a) / _RATE, (placed.start + b) / _RATE) for a, b in runs_of(placed.speech))
    words = tuple((word, round(a, 3), round(b, 3)) for word, a, b in words)
    return Said(name, placed.start / _RATE, placed.end / _RATE, placed.clip.text, words, sounds)


@cache
def _trimmed(clip: Span) -> tuple[Span, Bool[np.ndarray, " F"]]:
    """A clip without the silence around what is said, and the frames of it that sound."""
    audio = read_span(clip)
    span = speech_span(audio)
    if span is None:
        raise DataError(f"utterance '{clip.utterance}' is silent; leave it out of the manifest")
    begin = clip.start_s + max(span[0] - _MARGIN_S, 0.0)
    end = clip.start_s + min(span[1] + _MARGIN_S, len(audio) / SAMPLE_RATE_HZ)
    cut = replace(clip, start_s=begin, end_s=end)
    return cut, speech_frames(read_span(cut))


def read_span(clip: Span) -> Float32[np.ndarray, " N"]:
    audio: Float32[np.ndarray, " N"] = load_audio(clip.path)
    return audio[round(clip.start_s * SAMPLE_RATE_HZ) : round(clip.end_s * SAMPLE_RATE_HZ)]
