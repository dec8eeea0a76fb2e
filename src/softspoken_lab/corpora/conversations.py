"""Long conversations made of single-talker speech: turns with pauses, interruptions and back-channels, drawn by a seed.

Nobody answers anybody: the talkers read. What is like a conversation is when they speak. A turn is one to three
utterances of one talker; the next one begins after a pause, or before the turn is over, as often as it takes to reach
the wanted overlap (the share of the time with speech in which several speak). Into some turns somebody else says
something short. Every talker has a level of their own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.levels import FRAME, scale_to, speech_frames, speech_span
from softspoken.errors import ConfigError, DataError
from softspoken.runs import runs_of
from softspoken_lab.corpora.mixture_corpus import CorpusMixture, MixtureOptions, Part, Target, WrittenPart, write_part
from softspoken_lab.corpora.references import Said
from softspoken_lab.corpora.stretches import ENROLMENT_S, Stretch, seconds_of
from softspoken_lab.testsets.speech import Span, Split, Talker, read_talkers

_RATE = SAMPLE_RATE_HZ // FRAME
_CLIP_S = (0.8, 25.0)
_SHORT_S = 2.5
"""What is said into somebody else's turn is no longer."""
_MARGIN_S = 0.05
_POWER = 10 ** (-26 / 10)
_PEAK = 0.9
_MOST_UTTERANCES, _TURN_S = 3, 10.0
"""A turn; after so many seconds no further utterance begins."""
_WITHIN_S = (0.2, 0.6)
"""Pauses within a turn."""
_BETWEEN_S, _LONGEST_S = 0.5, 2.5
"""The mean pause between turns, and the longest one."""
_INTERRUPTS = 0.8
"""How often somebody begins too early while there is less overlap than is wanted."""
_BACK_CHANNELS = 0.15
"""A turn."""
_CLEAR_S = 0.1
"""Nobody begins again sooner after themselves."""


@dataclass(frozen=True)
class ConversationSpec:
    """What conversations to make."""

    count: int = 4
    talkers: int = 3
    duration_s: float = 600.0
    overlap: float = 0.2
    """Share of the time with speech in which at least two speak."""
    level_db: float = 3.0
    """A talker is up to so much louder or softer than usual."""
    absent: int = 1
    """Voices a conversation that are asked for and not there."""
    seed: int = 0
    split: Split = "test"

    def __post_init__(self) -> None:
        if self.count < 1 or not 2 <= self.talkers <= 6 or self.absent < 0 or self.seed < 0:
            raise ConfigError(
                f"{self.count} conversations of {self.talkers} talkers with {self.absent} absent voices, seed "
                f"{self.seed}; give at least one, of 2 to 6 talkers, and nothing below 0"
            )
        if not 30.0 <= self.duration_s <= 7200.0 or not 0.0 <= self.overlap <= 0.5 or not 0.0 <= self.level_db <= 20.0:
            raise ConfigError(
                f"conversations of {self.duration_s:g} s with overlap {self.overlap:g}, levels within "
                f"{self.level_db:g} dB; give 30 to 7200 s, 0 to 0.5, 0 to 20 dB"
            )


@dataclass(frozen=True)
class _Voice:
    """A talker, what enrols them, and what is left for them to say."""

    name: str
    enrolment: tuple[Stretch, ...]
    clips: tuple[Span, ...]

    @property
    def speech_s(self) -> float:
        return sum(clip.duration_s for clip in self.clips)


@dataclass(frozen=True)
class _Placed:
    """An utterance in the conversation; frames of 20 ms."""

    talker: int
    clip: Span
    speech: Bool[np.ndarray, " F"]
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.speech)


def make_conversations(manifests: Sequence[Path], out: Path, spec: ConversationSpec) -> WrittenPart:
    """Write a folder `out` that `softspoken evaluate` and `softspoken-lab meetings` read.

    Beside manifest.jsonl (an item a talker and an absent voice) it holds what is said as reference.stm,
    reference.seglst.json and reference.rttm. `manifests`: speech as `read_talkers` takes it; a talker may be in
    several. Nobody is enrolled with what they say in a conversation. Where a talker runs out of utterances, they say
    them again (`repeated` in the manifest). The same spec on the same speech gives the same bytes.

    Raises DataError where there are too few talkers with enough to say, or `out` is there already.
    """
    if out.exists():
        raise DataError(f"'{out}' is there already; remove it or choose another place")
    voices = _voices(manifests, spec)
    part = Part(out.name, spec.split, ())
    part.mixtures = _conversations(voices, spec, part)
    options = MixtureOptions(seed=spec.seed, silent_per_mixture=spec.absent)
    return write_part(part, out.parent, asdict(spec), options)


def _voices(manifests: Sequence[Path], spec: ConversationSpec) -> list[_Voice]:
    """Who has enough to say, at least half of their share of a conversation, beside the enrolment."""
    talkers: dict[str, list[Talker]] = {}
    for manifest in manifests:
        for talker in read_talkers(manifest, spec.split, _CLIP_S, ENROLMENT_S):
            talkers.setdefault(talker.name, []).append(talker)
    rng = np.random.default_rng([spec.seed, 1])
    voices = [_voice(name, own, rng) for name, own in sorted(talkers.items())]
    wanted_s = spec.duration_s / spec.talkers / 2
    usable = [one for one in voices if one.speech_s >= wanted_s and seconds_of(one.enrolment) >= ENROLMENT_S]
    if len(usable) < spec.talkers + spec.absent:
        raise DataError(
            f"{len(usable)} talkers of split '{spec.split}' have {wanted_s:.0f} s to say beside {ENROLMENT_S:g} s that "
            f"enrol them, {spec.talkers + spec.absent} are needed; give more speech or ask for fewer talkers"
        )
    return usable


def _voice(name: str, talkers: list[Talker], rng: np.random.Generator) -> _Voice:
    utterances = list({one.utterance: one for talker in talkers for one in talker.utterances}.values())
    enrolment: list[Stretch] = []
    for position in rng.permutation(len(utterances)):
        if seconds_of(enrolment) >= ENROLMENT_S:
            break
        one = utterances[position]
        enrolment.append(Stretch(one.utterance, one.path, one.duration_s, text=one.text))
    taken = {one.recording for one in enrolment}
    clips = {(c.utterance, c.start_s): c for t in talkers for c in t.clips if c.utterance not in taken}
    return _Voice(name, tuple(enrolment), tuple(clips.values()))


def _conversations(voices: list[_Voice], spec: ConversationSpec, part: Part) -> Iterator[CorpusMixture]:
    rng = np.random.default_rng(spec.seed)
    spoken: Counter[str] = Counter()
    by_name = {voice.name: voice for voice in voices}
    for number in range(spec.count):
        order = sorted(rng.permutation(len(voices)).tolist(), key=lambda one: spoken[voices[one].name])
        chosen = [voices[one] for one in order[: spec.talkers]]
        spoken.update(voice.name for voice in chosen)
        timeline = _Timeline(chosen, spec, rng)
        timeline.fill()
        name = f"{spec.talkers}-{number:03d}"
        said = timeline.said()
        part.said[name] = said
        levels_db = rng.uniform(-spec.level_db, spec.level_db, spec.talkers)
        yield CorpusMixture(
            id=name,
            audio=partial(_mixed, timeline, levels_db),
            duration_s=timeline.duration_s,
            sources=tuple(
                Stretch(p.clip.utterance, p.clip.path, p.clip.duration_s, p.clip.start_s) for p in timeline.placed
            ),
            targets=tuple(_target(voice.name, said) for voice in chosen),
            talkers=tuple(voice.name for voice in chosen),
            absent=tuple(by_name),
            enrol=lambda talker, item: by_name[talker].enrolment,
            facts={
                "session": name,
                "overlap": round(timeline.overlap, 4),
                "repeated": round(timeline.repeated, 4),
                "levels_db": [round(float(level), 2) for level in levels_db],
            },
        )


def _target(name: str, said: Sequence[Said]) -> Target:
    own = [one for one in said if one.talker == name]
    timed = all(one.words for one in own)
    return Target(
        name, " ".join(one.text for one in own), words=tuple(w for one in own for w in one.words) if timed else ()
    )


@dataclass
class _Timeline:
    """A conversation as it grows, turn by turn."""

    voices: Sequence[_Voice]
    spec: ConversationSpec
    rng: np.random.Generator
    placed: list[_Placed] = field(default_factory=list)
    _used: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        # A turn may be longer than what is left.
        self._speaks = np.zeros((len(self.voices), round((self.spec.duration_s + 120) * _RATE)), bool)
        self._free = [0] * len(self.voices)
        self._weights = self.rng.uniform(0.5, 1.5, len(self.voices))

    @property
    def duration_s(self) -> float:
        return max(self.spec.duration_s, max(self._free) / _RATE + 0.3)

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
        while floor < self.spec.duration_s * _RATE:
            weights = np.where(np.arange(len(self.voices)) == talker, 0.0, self._weights)
            talker = int(self.rng.choice(len(self.voices), p=weights / weights.sum()))
            begun = start = self._start(talker, floor, length)
            for number in range(int(self.rng.integers(1, _MOST_UTTERANCES + 1))):
                if number and self._free[talker] - begun > _TURN_S * _RATE:
                    break
                if number:
                    start = self._free[talker] + round(self.rng.uniform(*_WITHIN_S) * _RATE)
                self._say(talker, start, _CLIP_S[1])
            floor, length = self._free[talker], self._free[talker] - begun
            if self.rng.random() < _BACK_CHANNELS:
                self._interject(talker, begun, floor)

    def _start(self, talker: int, floor: int, length: int) -> int:
        """Where the next turn begins: into the last one, of `length` frames up to `floor`, or after a pause."""
        if self.overlap < self.spec.overlap and self.rng.random() < _INTERRUPTS:
            return max(
                floor - round(self.rng.uniform(0.1, 0.9) * length), self._free[talker] + round(_CLEAR_S * _RATE), 0
            )
        pause_s = min(0.1 + self.rng.exponential(_BETWEEN_S), _LONGEST_S)
        return floor + round(pause_s * _RATE)

    def _interject(self, talker: int, begun: int, floor: int) -> None:
        others = [one for one in range(len(self.voices)) if one != talker and self._free[one] < begun]
        if others and self.overlap < self.spec.overlap:
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
        placed = _Placed(talker, *_trimmed(clips[chosen]), start)
        self.placed.append(placed)
        self._speaks[talker, start : placed.end] |= placed.speech
        self._free[talker] = max(self._free[talker], placed.end)

    def said(self) -> list[Said]:
        """What is said, by the time."""
        return sorted((_said(self.voices[one.talker].name, one) for one in self.placed), key=lambda one: one.start_s)


def _said(name: str, placed: _Placed) -> Said:
    by_s = placed.start / _RATE - placed.clip.start_s
    words = tuple((word, max(a + by_s, 0.0), b + by_s) for word, a, b in placed.clip.words)
    sounds = tuple(((placed.start + a) / _RATE, (placed.start + b) / _RATE) for a, b in runs_of(placed.speech))
    words = tuple((word, round(a, 3), round(b, 3)) for word, a, b in words)
    return Said(name, placed.start / _RATE, placed.end / _RATE, placed.clip.text, words, sounds)


@cache
def _trimmed(clip: Span) -> tuple[Span, Bool[np.ndarray, " F"]]:
    """A clip without the silence around what is said, and the frames of it that sound."""
    audio = _read(clip)
    span = speech_span(audio)
    if span is None:
        raise DataError(f"utterance '{clip.utterance}' is silent; leave it out of the manifest")
    begin = clip.start_s + max(span[0] - _MARGIN_S, 0.0)
    end = clip.start_s + min(span[1] + _MARGIN_S, len(audio) / SAMPLE_RATE_HZ)
    cut = replace(clip, start_s=begin, end_s=end)
    return cut, speech_frames(_read(cut))


def _read(clip: Span) -> Float32[np.ndarray, " N"]:
    audio: Float32[np.ndarray, " N"] = load_audio(clip.path)
    return audio[round(clip.start_s * SAMPLE_RATE_HZ) : round(clip.end_s * SAMPLE_RATE_HZ)]


def _mixed(timeline: _Timeline, levels_db: Any) -> Float32[np.ndarray, " N"]:
    mix = np.zeros(round(timeline.duration_s * SAMPLE_RATE_HZ), np.float32)
    for one in timeline.placed:
        start = one.start * FRAME
        loud = scale_to(_read(one.clip), _POWER * 10 ** (float(levels_db[one.talker]) / 10))
        mix[start : start + len(loud)] += loud[: len(mix) - start]
    peak = float(np.abs(mix).max())
    return mix if peak <= _PEAK else mix * np.float32(_PEAK / peak)
