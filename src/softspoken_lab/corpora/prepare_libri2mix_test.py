"""A list of Libri2Mix's test mixtures beside the utterances that they are made of, mixed here.

LibriMix's own folders (`prepare_librimix`) take the whole of LibriSpeech and WHAM. A list needs no more than what is in
its mixtures:

- `speech.jsonl`: id, path, speaker, text, corpus of each utterance (16 kHz; paths relative to the list)
- `mixtures.jsonl`: id, source_1, gain_1, source_2, gain_2, enrolment_1, enrolment_2 (ids of utterances), with the gains
  of LibriMix and the enrolments that SpeakerBeam published for its mixtures
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from jaxtyping import Float, Float32

from softspoken.audio import SAMPLE_RATE_HZ, duration_s, load_audio
from softspoken.data.manifest import read_rows
from softspoken.errors import DataError
from softspoken_lab.corpora.layout import chosen, require_file, root_of
from softspoken_lab.corpora.mixture_corpus import SELF_ENROLLED, CorpusMixture, MixtureOptions, Part, Target
from softspoken_lab.corpora.stretches import Stretch

VARIANTS = ("max/mix_clean",)
PART = "libri2mix-test"
HIGHEST_PEAK = 0.99
"""Louder sums are scaled down to it, with all that is in them: files of 16 bits would clip."""
_MIXTURES, _SPEECH = "mixtures.jsonl", "speech.jsonl"
_SLOTS = (1, 2)
_MIXTURE_FIELDS = ("id", *(f"{name}_{slot}" for name in ("source", "gain", "enrolment") for slot in _SLOTS))
_SPEECH_FIELDS = ("id", "path", "speaker", "text", "corpus")


def libri2mix_test(source: Path, only: Sequence[str], options: MixtureOptions) -> Iterator[Part]:
    """The one part 'libri2mix-test': each of a mixture's two talkers is a target, enrolled as the list says.

    A mixture is the sum of both utterances times their gains, the shorter one padded at its end. A silent target is
    somebody of another mixture, with an enrolment of theirs from the list. Texts are in lower case, as in the
    target-speaker paper. Targets that the list enrols with the utterance in the mixture are tagged `SELF_ENROLLED`, and
    those of a mixture 'same-sex' or 'both-sexes', where the list says who is what ("gender").
    Raises DataError for a list, an utterance or a recording that is missing.
    """
    options.choose(VARIANTS, PART)
    root = root_of(
        source,
        ("libri2mix_test",),
        lambda folder: all((folder / name).is_file() for name in (_MIXTURES, _SPEECH)),
        f"'{_MIXTURES}' and '{_SPEECH}'",
    )
    chosen(only, (PART,), "part", root)
    yield Part(PART, "test", _mixtures(root, options.seed))


@dataclass(frozen=True)
class _Utterance:
    """Somebody's words."""

    talker: str
    """'corpus:speaker'."""
    text: str
    stretch: Stretch
    sex: str | None
    """'F' or 'M', where the list says so."""


@dataclass(frozen=True)
class _Sum:
    """Two utterances at their gains."""

    sources: tuple[Path, ...]
    gains: tuple[float, ...]

    @cached_property
    def tracks(self) -> Float[np.ndarray, "K N"]:
        """Each alone, as it stands in the mixture."""
        speech = [load_audio(path).astype(np.float64) for path in self.sources]
        placed = np.zeros((len(speech), max(map(len, speech))))
        for row, audio, gain in zip(placed, speech, self.gains, strict=True):
            row[: len(audio)] = gain * audio
        peak = max(np.abs(placed).max(), np.abs(placed.sum(axis=0)).max())
        return np.asarray(placed * (HIGHEST_PEAK / max(peak, HIGHEST_PEAK)))

    def mixed(self) -> Float32[np.ndarray, " N"]:
        return np.asarray(self.tracks.sum(axis=0), dtype=np.float32)

    def track(self, index: int) -> Float32[np.ndarray, " N"]:
        return np.asarray(self.tracks[index], dtype=np.float32)


def _mixtures(root: Path, seed: int) -> Iterator[CorpusMixture]:
    spoken = _spoken(root)
    rows = []
    clips: dict[str, list[Stretch]] = {}
    for where, row in read_rows(root / _MIXTURES, "mixture"):
        _require(row, _MIXTURE_FIELDS, where)
        for slot in _SLOTS:
            source, clip = (_named(spoken, str(row[f"{name}_{slot}"]), where) for name in ("source", "enrolment"))
            if source.talker != clip.talker:
                raise DataError(
                    f"{where}: '{clip.stretch.recording}' is not the voice of '{source.stretch.recording}'; enrol the "
                    "same talker"
                )
            clips.setdefault(clip.talker, []).append(clip.stretch)
        rows.append((where, row))
    for where, row in rows:
        yield _mixture(where, row, spoken, clips, seed)


def _mixture(
    where: str,
    row: Mapping[str, Any],
    spoken: Mapping[str, _Utterance],
    clips: Mapping[str, Sequence[Stretch]],
    seed: int,
) -> CorpusMixture:
    sources = [spoken[str(row[f"source_{slot}"])] for slot in _SLOTS]
    talkers = tuple(source.talker for source in sources)
    if len(set(talkers)) < len(talkers):
        raise DataError(f"{where}: '{talkers[0]}' is in the mixture twice; mix two talkers")
    own = {talker: spoken[str(row[f"enrolment_{slot}"])].stretch for talker, slot in zip(talkers, _SLOTS, strict=True)}

    def enrol(talker: str, item: str) -> tuple[Stretch, ...]:
        theirs = clips[talker]
        return (own[talker] if talker in own else theirs[crc32(f"{seed}:{item}".encode()) % len(theirs)],)

    sexes = [source.sex for source in sources]
    pair = () if None in sexes else (("same-sex" if len(set(sexes)) == 1 else "both-sexes"),)
    gains = tuple(row[f"gain_{slot}"] for slot in _SLOTS)
    if not all(isinstance(gain, int | float) and math.isfinite(gain) for gain in gains):
        raise DataError(f"{where}: gains {gains}; give a number a talker")
    mixed = _Sum(tuple(source.stretch.path for source in sources), gains)
    return CorpusMixture(
        id=str(row["id"]),
        audio=mixed.mixed,
        duration_s=max(source.stretch.duration_s for source in sources),
        sources=tuple(source.stretch for source in sources),
        targets=tuple(
            Target(
                source.talker,
                source.text,
                partial(mixed.track, index),
                tags=(SELF_ENROLLED,) if own[source.talker] == source.stretch else (),
            )
            for index, source in enumerate(sources)
        ),
        talkers=talkers,
        tags=pair,
        absent=sorted(clips),
        enrol=enrol,
    )


def _spoken(root: Path) -> dict[str, _Utterance]:
    spoken = {}
    for where, row in read_rows(root / _SPEECH, "utterance"):
        _require(row, _SPEECH_FIELDS, where)
        path = root / row["path"]
        require_file(path, PART)
        stretch = Stretch(str(row["id"]), path, round(duration_s(path) * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
        spoken[stretch.recording] = _Utterance(
            f"{row['corpus']}:{row['speaker']}", row["text"].lower(), stretch, row.get("gender")
        )
    return spoken


def _named(spoken: Mapping[str, _Utterance], name: str, where: str) -> _Utterance:
    if name not in spoken:
        raise DataError(f"{where}: '{_SPEECH}' has no utterance '{name}'; get the list again, whole")
    return spoken[name]


def _require(row: Mapping[str, Any], fields: Sequence[str], where: str) -> None:
    missing = [field for field in fields if field not in row]
    if missing:
        raise DataError(f"{where}: no '{missing[0]}'; a line has {', '.join(fields)}")
