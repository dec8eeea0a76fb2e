"""Corrupted speech for the noise probe, in parts that share neither a noise recording nor a speech recording."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydantic import Field, field_validator

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.errors import DataError
from softspoken.frozen import Frozen
from softspoken_lab.noise.bank import PAPER_CATEGORIES, NoiseBank, draw_start, type_name
from softspoken_lab.noise.corruption import Corruption, apply_corruption
from softspoken_lab.noise.testsets import TestUtterance


class ProbeOptions(Frozen):
    """What the probe is trained and tested on, and what it is."""

    folds: int = Field(default=3, ge=2)
    """Parts; kinds of noise with fewer recordings are left out."""
    per_cell: int = Field(default=20, ge=1)
    """Utterances of each part, every one of them with each kind of noise."""
    snr_db: tuple[float, ...] = (0.0, 5.0, 10.0, 15.0, 20.0)
    """Taken in turn."""
    longest_s: float = Field(default=6.0, gt=0)
    """Of each utterance, only so much from its beginning."""
    trees: int = Field(default=300, ge=1)
    permutations: int = Field(default=5, ge=0)
    """Trainings with the kinds of noise shuffled, for what chance gives."""
    seed: int = 0

    @field_validator("snr_db")
    @classmethod
    def _some(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("no level of noise; give at least one, in dB")
        return value


@dataclass(frozen=True)
class ProbeExample:
    """One utterance with one noise, in one part."""

    fold: int
    kind: str
    """'Car', 'Babble', ..."""
    noise_id: str
    speech_id: str
    speech: TestUtterance
    corruption: Corruption


@dataclass(frozen=True)
class ProbePlan:
    """All examples, and what had to be left out."""

    examples: tuple[ProbeExample, ...]
    kinds: tuple[str, ...]
    left_out: Mapping[str, str]
    """Kind to the reason why."""


def deal(names: Sequence[str], folds: int, rng: np.random.Generator) -> dict[str, int]:
    """Each name in one part, the parts as equal as can be."""
    order = rng.permutation(len(names))
    return {names[index]: place % folds for place, index in enumerate(order)}


def plan_probe(speech: Sequence[TestUtterance], noise: NoiseBank, options: ProbeOptions) -> ProbePlan:
    """Which utterance gets which noise, from where and how loud.

    Within a part all kinds disturb the same utterances at the same levels, so that neither words nor loudness tell the
    kind. An utterance and those made of the same recording are in one part. Raises DataError with fewer than two kinds
    that have a recording for every part, or less speech than parts.
    """
    rng = np.random.default_rng(options.seed)
    clips, left_out = _clips_by_kind(noise, options.folds)
    if len(clips) < 2:
        raise DataError(
            f"{len(clips)} kinds of noise with {options.folds} recordings or more (left out: "
            f"{', '.join(f'{name}, {why}' for name, why in left_out.items()) or 'none'}); the probe needs two: give "
            "more noise, or ask for fewer folds"
        )
    by_source: dict[str, list[TestUtterance]] = defaultdict(list)
    for utterance in speech:
        by_source[utterance.source_id if utterance.source_id is not None else utterance.id].append(utterance)
    if len(by_source) < options.folds:
        raise DataError(f"{len(by_source)} recordings of speech for {options.folds} folds; give more speech")
    speech_fold = deal(sorted(by_source), options.folds, rng)
    noise_fold = {kind: deal(sorted(ids), options.folds, rng) for kind, ids in sorted(clips.items())}
    examples = []
    for fold in range(options.folds):
        sources = [name for name in sorted(by_source) if speech_fold[name] == fold]
        order = [sources[index] for index in rng.permutation(len(sources))]
        for number in range(options.per_cell):
            source = order[number % len(order)]
            utterance = by_source[source][number // len(order) % len(by_source[source])]
            snr_db = options.snr_db[number % len(options.snr_db)]
            for kind, parts in noise_fold.items():
                own = [identity for identity, part in sorted(parts.items()) if part == fold]
                identity = own[number % len(own)]
                samples = _samples(utterance, options.longest_s)
                start_s = draw_start(rng, noise.audio(noise.clip(identity)), samples)
                corruption = Corruption(identity, start_s, snr_db)
                examples.append(ProbeExample(fold, kind, identity, source, utterance, corruption))
    return ProbePlan(tuple(examples), tuple(noise_fold), left_out)


def corrupted(example: ProbeExample, noise: NoiseBank, longest_s: float) -> Float[np.ndarray, " N"]:
    """The example's waveform; the same whatever hears it."""
    audio = load_audio(example.speech.path)[: _samples(example.speech, longest_s)]
    return apply_corruption(audio, example.corruption, noise)


def paper_kinds(noise: NoiseBank) -> NoiseBank:
    """Only the paper's seven kinds of noise (section 2.3), where there are any of them; else all."""
    there = [category for category in PAPER_CATEGORIES if category in noise.by_category]
    return noise.of(categories=there) if there else noise


def _samples(utterance: TestUtterance, longest_s: float) -> int:
    seconds = longest_s if utterance.duration_s is None else min(longest_s, utterance.duration_s)
    return round(seconds * SAMPLE_RATE_HZ)


def _clips_by_kind(noise: NoiseBank, folds: int) -> tuple[dict[str, list[str]], dict[str, str]]:
    found: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    for category, clips in noise.by_category.items():
        kind = type_name(category)
        if len(clips) < folds:
            left_out[kind] = f"{len(clips)} recording{'' if len(clips) == 1 else 's'}"
        else:
            found[kind] = [clip.id for clip in clips]
    return found, left_out
