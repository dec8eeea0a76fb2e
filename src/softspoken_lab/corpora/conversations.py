"""Long conversations made of single-talker speech: turns with pauses, interruptions and back-channels, drawn by a seed.

Nobody answers anybody: the talkers read. What is like a conversation is when they speak. A turn is one to three
utterances of one talker; the next one begins after a pause, or before the turn is over, as often as it takes to reach
the wanted overlap (the share of the time with speech in which several speak). Into some turns somebody else says
something short. Every talker has a level of their own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.levels import FRAME, scale_to
from softspoken.errors import ConfigError, DataError
from softspoken_lab.corpora.mixture_corpus import CorpusMixture, MixtureOptions, Part, Target, WrittenPart, write_part
from softspoken_lab.corpora.references import Said
from softspoken_lab.corpora.stretches import ENROLMENT_S, Stretch, seconds_of
from softspoken_lab.corpora.timeline import CLIP_S, Timeline, Voice, read_span
from softspoken_lab.testsets.speech import Split, Talker, read_talkers

_POWER = 10 ** (-26 / 10)
_PEAK = 0.9


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


def _voices(manifests: Sequence[Path], spec: ConversationSpec) -> list[Voice]:
    """Who has enough to say, at least half of their share of a conversation, beside the enrolment."""
    talkers: dict[str, list[Talker]] = {}
    for manifest in manifests:
        for talker in read_talkers(manifest, spec.split, CLIP_S, ENROLMENT_S):
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


def _voice(name: str, talkers: list[Talker], rng: np.random.Generator) -> Voice:
    utterances = list({one.utterance: one for talker in talkers for one in talker.utterances}.values())
    enrolment: list[Stretch] = []
    for position in rng.permutation(len(utterances)):
        if seconds_of(enrolment) >= ENROLMENT_S:
            break
        one = utterances[position]
        enrolment.append(Stretch(one.utterance, one.path, one.duration_s, text=one.text))
    taken = {one.recording for one in enrolment}
    clips = {(c.utterance, c.start_s): c for t in talkers for c in t.clips if c.utterance not in taken}
    return Voice(name, tuple(enrolment), tuple(clips.values()))


def _conversations(voices: list[Voice], spec: ConversationSpec, part: Part) -> Iterator[CorpusMixture]:
    rng = np.random.default_rng(spec.seed)
    spoken: Counter[str] = Counter()
    by_name = {voice.name: voice for voice in voices}
    for number in range(spec.count):
        order = sorted(rng.permutation(len(voices)).tolist(), key=lambda one: spoken[voices[one].name])
        chosen = [voices[one] for one in order[: spec.talkers]]
        spoken.update(voice.name for voice in chosen)
        timeline = Timeline(chosen, spec.duration_s, spec.overlap, rng)
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


def _mixed(timeline: Timeline, levels_db: Any) -> Float32[np.ndarray, " N"]:
    mix = np.zeros(round(timeline.duration_s * SAMPLE_RATE_HZ), np.float32)
    for one in timeline.placed:
        start = one.start * FRAME
        loud = scale_to(read_span(one.clip), _POWER * 10 ** (float(levels_db[one.talker]) / 10))
        mix[start : start + len(loud)] += loud[: len(mix) - start]
    peak = float(np.abs(mix).max())
    return mix if peak <= _PEAK else mix * np.float32(_PEAK / peak)
