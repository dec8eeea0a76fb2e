"""LibriSpeechMix as its own script generates it, to mixtures with targets, texts and its own speaker profiles.

Written here, because lhotse's recipe mixes anew from LibriSpeech and passes over the profiles, which are what makes
results with enrolment comparable.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ, duration_s
from softspoken.data.manifest import read_rows
from softspoken.errors import DataError
from softspoken_lab.corpora.layout import chosen, require_file, root_of
from softspoken_lab.corpora.mixture_corpus import CorpusMixture, MixtureOptions, Part, Split, Target
from softspoken_lab.corpora.stretches import Stretch, read_stretch

VARIANTS = ("own",)
_FIELDS = ("id", "mixed_wav", "texts", "speaker_profile", "speaker_profile_index", "wavs", "delays", "speakers")


def librispeechmix(source: Path, only: Sequence[str], options: MixtureOptions) -> Iterator[Part]:
    """The lists of LibriSpeechMix (`list/*.jsonl`, by name those of `list/optional` too), such as 'test-clean-2mix'.

    A target is enrolled with its profile, a silent one with a profile of the list whose talker is not in the mixture.
    Texts are in lower case. Raises DataError for a missing list, recording or profile.
    """
    options.choose(VARIANTS, "librispeechmix")
    root = root_of(
        source,
        ("LibriSpeechMix",),
        lambda folder: any((folder / "list").glob("*.jsonl")),
        "folder 'list' with *.jsonl (of LibriSpeechMix)",
    )
    data = root / "data"
    if not data.is_dir():
        raise DataError(f"'{root}' has no folder 'data'; make the mixtures with its own run.sh")
    usual = {path.stem: path for path in sorted((root / "list").glob("*.jsonl"))}
    every = usual | {path.stem: path for path in sorted((root / "list" / "optional").glob("*.jsonl"))}
    for name in chosen(only if only else tuple(usual), tuple(every), "list", root / "list"):
        split: Split = "development" if name.startswith("dev") else "test"
        yield Part(name, split, _mixtures(every[name], data))


def _mixtures(table: Path, data: Path) -> Iterator[CorpusMixture]:
    known: dict[str, Stretch] = {}

    def utterance(name: str) -> Stretch:
        if name not in known:
            path = _file(data, name)
            known[name] = Stretch(path.stem, path, duration_s(path))
        return known[name]

    for where, row in read_rows(table, "mixture"):
        _require_fields(row, where)
        profiles = {_talker(names[0]): tuple(map(utterance, names)) for names in row["speaker_profile"]}
        audio = _file(data, row["mixed_wav"])
        length_s = duration_s(audio)
        sources = tuple(map(utterance, row["wavs"]))
        talkers = tuple(map(_talker, row["wavs"]))
        for talker, number in zip(talkers, row["speaker_profile_index"], strict=True):
            if _talker(row["speaker_profile"][number][0]) != talker:
                raise DataError(f"{where}: profile {number} is not that of {talker}; get the list again")
        yield CorpusMixture(
            id=str(row["id"]).rpartition("/")[2],
            audio=audio,
            duration_s=length_s,
            sources=sources,
            targets=tuple(
                Target(talker, text.lower(), _Placed(source, delay_s, length_s))
                for talker, text, source, delay_s in zip(talkers, row["texts"], sources, row["delays"], strict=True)
            ),
            talkers=talkers,
            absent=tuple(profiles),
            enrol=_Profiles(profiles),
            tags=(f"{len(talkers)}mix",),
        )


def _require_fields(row: Mapping[str, Any], where: str) -> None:
    missing = [field for field in _FIELDS if field not in row]
    if missing:
        raise DataError(
            f"{where}: no '{missing[0]}'; use LibriSpeechMix's lists with speaker profiles, as they are published"
        )
    talkers = len(row["wavs"])
    uneven = [field for field in (*_FIELDS[4:], "texts") if len(row[field]) != talkers]
    profiles = range(len(row["speaker_profile"]))
    if uneven or not all(row["speaker_profile"]) or not set(row["speaker_profile_index"]) <= set(profiles):
        raise DataError(f"{where}: '{uneven[0] if uneven else 'speaker_profile'}' does not fit 'wavs'; get it again")


class _Profiles:
    """Enrols talkers with the list's own profiles."""

    def __init__(self, profiles: Mapping[str, tuple[Stretch, ...]]) -> None:
        self._profiles = profiles

    def __call__(self, talker: str, item: str) -> tuple[Stretch, ...]:
        return self._profiles[talker]


class _Placed:
    """An utterance alone at its place in a mixture, as LibriSpeechMix's script places it: whole samples of delay."""

    def __init__(self, source: Stretch, delay_s: float, length_s: float) -> None:
        self._source, self._delay_s, self._length_s = source, delay_s, length_s

    def __call__(self) -> Float32[np.ndarray, " N"]:
        placed = np.zeros(round(self._length_s * SAMPLE_RATE_HZ), dtype=np.float32)
        start = int(self._delay_s * SAMPLE_RATE_HZ)
        speech = read_stretch(self._source)[: max(len(placed) - start, 0)]
        placed[start : start + len(speech)] = speech
        return placed


def _talker(name: str) -> str:
    """'test-clean/1089/134691/1089-134691-0025.wav' is said by talker 1089 of test-clean."""
    subset, _, rest = name.partition("/")
    return f"librispeech_{subset}:{rest.partition('/')[0]}"


def _file(data: Path, name: str) -> Path:
    """A recording of a list; its script turns LibriSpeech's flac into wav, and either will do."""
    path = data / name
    if not path.is_file() and path.with_suffix(".flac").is_file():
        return path.with_suffix(".flac")
    require_file(path, "LibriSpeechMix")
    return path
