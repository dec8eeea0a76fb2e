"""LibriMix as its own scripts generate it (Libri2Mix, Libri3Mix), to mixtures with targets, texts and enrolments.

Written here, because lhotse's recipe mixes anew from LibriSpeech and WHAM (16 kHz, max alone) and has neither the
generated files nor enrolments.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import ConfigError, DataError
from softspoken_lab.corpora.layout import chosen, csv_lines, require_file
from softspoken_lab.corpora.mixture_corpus import CorpusMixture, MixtureOptions, Part, Split, Target
from softspoken_lab.corpora.prepare_speech import librispeech
from softspoken_lab.corpora.stretches import EnrolmentLists, Stretch, require_rate

VARIANTS = ("max/mix_clean", "max/mix_both", "min/mix_clean", "min/mix_both")
"""`max` is as long as the longest talker, `min` as the shortest; `mix_both` has WHAM's noise in it."""
SUBSETS: Mapping[str, tuple[str, Split]] = {
    "train-100": ("train-clean-100", "train"),
    "train-360": ("train-clean-360", "train"),
    "dev": ("dev-clean", "development"),
    "test": ("test-clean", "test"),
}
"""LibriMix's parts: the subset of LibriSpeech that they are made of, and the split."""
CUT_OFF = "cut off by 'min', so that their words are not all there"
_Utterances = Mapping[str, Mapping[str, Any]]


def librimix(source: Path, only: Sequence[str], options: MixtureOptions) -> Iterator[Part]:
    """The parts of Libri2Mix or Libri3Mix, read from `metadata/mixture_<part>_<kind>.csv`.

    A talker's text is their utterance's in LibriSpeech, in lower case as in the target-speaker paper. With `min`, who
    is cut off has no text, and only who is heard to the end is a target. Raises DataError for 8 kHz, missing tables,
    recordings or transcripts.
    """
    mode, _, kind = options.choose(VARIANTS, "librimix").partition("/")
    folder = _mode_folder(source, mode)
    tables = {name: folder / "metadata" / f"mixture_{name}_{kind}.csv" for name in SUBSETS}
    for name in only:
        if name in tables and (folder / name).is_dir() and not tables[name].is_file():
            raise DataError(
                f"'{folder}' has recordings of '{name}', but no '{tables[name].relative_to(folder)}', which LibriMix "
                f"writes when a part is complete; generate {kind} of '{name}' again"
            )
    there = [name for name, table in tables.items() if table.is_file()]
    if not there:
        raise DataError(f"'{folder / 'metadata'}' has no mixture_*_{kind}.csv; generate {kind} with LibriMix's scripts")
    for name in chosen(only, there, "part", folder):
        subset, split = SUBSETS[name]
        spoken = {row["id"]: row for row in librispeech(_librispeech(folder, options), [subset])}
        part = Part(name, split, ())
        part.mixtures = _mixtures(part, folder / name, kind, tables[name], spoken, options)
        yield part


def _mode_folder(source: Path, mode: str) -> Path:
    """The folder wav16k/<mode>, wherever above or below it `source` points."""
    roots = [source, *sorted(path for path in source.glob("Libri?Mix") if path.is_dir())]
    found = [root / "wav16k" / mode for root in roots]
    found += [source / mode] if source.name == "wav16k" else []
    found += [source] if source.name == mode and source.parent.name == "wav16k" else []
    found = [folder for folder in found if folder.is_dir()]
    if len(found) > 1:
        raise DataError(f"'{source}' has {' and '.join(str(folder) for folder in found)}; give one of them")
    if found:
        return found[0]
    if "wav8k" in (source.name, source.parent.name) or any((root / "wav8k").is_dir() for root in roots):
        raise DataError(
            f"'{source}' has LibriMix at 8 kHz alone; {SAMPLE_RATE_HZ} Hz are needed, for the models hear up to 8 kHz "
            "and what a recording at 8 kHz lost above 4 kHz cannot be had back; generate it with '--freqs 16k'"
        )
    raise DataError(f"'{source}' has no 'wav16k/{mode}'; give the folder of Libri2Mix or Libri3Mix")


def _librispeech(folder: Path, options: MixtureOptions) -> Path:
    if options.librispeech is not None:
        return options.librispeech
    # LibriMix's own script puts both into one folder.
    beside = folder.parent.parent.parent / "LibriSpeech"
    if not beside.is_dir():
        raise ConfigError(f"no LibriSpeech at '{beside}', whose texts and other speech are needed; give --librispeech")
    return beside


def _mixtures(
    part: Part, folder: Path, kind: str, table: Path, spoken: _Utterances, options: MixtureOptions
) -> Iterator[CorpusMixture]:
    speech = {name: _utterance(row) for name, row in spoken.items()}
    by_talker: dict[str, list[Stretch]] = {}
    for name, row in spoken.items():
        by_talker.setdefault(_talker(row), []).append(speech[name])
    lists = EnrolmentLists(by_talker, options.seed)
    fields = ("mixture_ID", "mixture_path", "source_1_path", "source_2_path", "length")
    for line in csv_lines(table, fields):
        name = line["mixture_ID"]
        sources = sum(column.startswith("source_") and column.endswith("_path") for column in line)
        utterances = line.get("original_mixture_ID", name).split("_")
        unknown = [utterance for utterance in utterances if utterance not in spoken]
        if unknown or len(utterances) != sources:
            raise DataError(
                f"'{table}': mixture '{name}' of {sources} talkers: LibriSpeech's transcripts have no "
                f"'{unknown[0] if unknown else name}'; give the LibriSpeech that it was made of, unpacked whole"
            )
        audio = _file(folder / kind / f"{name}.wav", line["mixture_path"])
        length = _require_length(audio, line["length"], table)
        targets = []
        for number, utterance in enumerate(utterances, start=1):
            row = spoken[utterance]
            # A sample more or less: durations are rounded.
            if round(row["duration_s"] * SAMPLE_RATE_HZ) > length + 1:
                part.left_out[CUT_OFF] += 1
                continue
            clean = _file(folder / f"s{number}" / f"{name}.wav", line[f"source_{number}_path"])
            targets.append(Target(_talker(row), row["text"].lower(), clean))

        def enrol(talker: str, item: str, inside: frozenset[str] = frozenset(utterances)) -> tuple[Stretch, ...]:
            return lists.pick(talker, item, lambda stretch: stretch.recording not in inside)

        yield CorpusMixture(
            id=name,
            audio=audio,
            duration_s=length / SAMPLE_RATE_HZ,
            sources=tuple(speech[utterance] for utterance in utterances),
            targets=tuple(targets),
            talkers=tuple(_talker(spoken[utterance]) for utterance in utterances),
            absent=lists.talkers,
            enrol=enrol,
        )


def _talker(row: Mapping[str, Any]) -> str:
    return f"{row['corpus']}:{row['speaker']}"


def _utterance(row: Mapping[str, Any]) -> Stretch:
    return Stretch(row["id"], Path(row["path"]), row["duration_s"], text=row["text"])


def _file(path: Path, listed: str) -> Path:
    """Where the file lies beside its table; the table's own path is that of the machine it was generated on."""
    if not path.is_file() and Path(listed).is_file():
        return Path(listed)
    require_file(path, "LibriMix")
    return path


def _require_length(audio: Path, listed: str, table: Path) -> int:
    """Samples of a mixture, after the checks that its header allows."""
    try:
        found = soundfile.info(audio)
        length = int(float(listed))
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise DataError(f"'{audio}' cannot be read ({error}); generate it again") from error
    require_rate(audio, found.samplerate)
    if found.frames != length:
        raise DataError(f"'{audio}' has {found.frames} samples, '{table.name}' says {length}; generate it again")
    return length
