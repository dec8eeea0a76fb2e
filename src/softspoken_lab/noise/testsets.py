"""The utterances of a noisy test set on disk: ours by its manifest, the published one by the names of its files.

The names say noise and level; the words of the published set come from LibriSpeech.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from softspoken.data.corpus import is_development_talker
from softspoken.data.manifest import read_rows
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken_lab.noise.bank import type_name

MANIFEST = "manifest.jsonl"
# LibriSpeech's own ids have no underscore, so there the kind of noise may have some; other ids may, and kinds do not.
_NAMES = (
    re.compile(r"(?P<id>\d+-\d+-\d+)_(?P<type>.+)_(?P<snr>-?\d+(?:\.\d+)?)db", re.IGNORECASE),
    re.compile(r"(?P<id>.+)_(?P<type>[^_]+)_(?P<snr>-?\d+(?:\.\d+)?)db", re.IGNORECASE),
)
Split = Literal["train", "development", "test"]
"""`development`: the manifest's own, and the training talkers who are put aside (`is_development_talker`); `train`:
the other training talkers."""


@dataclass(frozen=True)
class TestUtterance:
    """One recording to be recognised."""

    # Not a test, whatever its name says to pytest.
    __test__ = False

    id: str
    path: Path
    text: str
    speaker: str
    noise_type: str | None = None
    """'Car', 'Babble', ...; None: no noise was added."""
    noise_id: str | None = None
    """The recording of noise, where it is known."""
    snr_db: float | None = None
    source_id: str | None = None
    """The clean utterance that it was made from; several noisy ones have the same."""
    duration_s: float | None = None


Item = TestUtterance | EvaluationItem


def read_test_manifest(manifest: str | Path, split: Split = "test", corpora: Sequence[str] = ()) -> list[TestUtterance]:
    """The clean utterances of a split of a speech manifest (`softspoken.data.manifest.read_manifest`'s format).

    `corpora`: only these ('librispeech_test-clean'), none given: all. Utterances without words, or whose words the
    corpus knows to be wrong, are left out. A speaker is 'corpus:speaker'. Raises DataError for a manifest or a line
    that cannot be used, and when nothing is left.
    """
    manifest = Path(manifest)
    found, have = [], set()
    for where, row in read_rows(manifest, "utterance"):
        try:
            corpus = str(row.get("corpus", manifest.parent.name))
            have.add(f"{row.get('split', 'train')} of {corpus}")
            if not _in_split(row, corpus, split) or (corpora and corpus not in corpora):
                continue
            utterance = TestUtterance(
                str(row["id"]),
                manifest.parent / row["path"],
                str(row["text"] or "").strip(),
                f"{corpus}:{row['speaker']}",
                duration_s=float(row["duration_s"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{where}: not an utterance ({error!r}); expected id, path, split, corpus, speaker, text, duration_s"
            ) from error
        if not utterance.text or row.get("transcript_verified", True) is False:
            continue
        if not utterance.path.is_file():
            raise DataError(f"{where}: no audio at '{utterance.path}'; fetch it or remove the line")
        found.append(utterance)
    if not found:
        wanted = f"split '{split}'" + (f" of {' or '.join(corpora)}" if corpora else "")
        raise DataError(f"'{manifest}' has no utterance of {wanted}; it has: {', '.join(sorted(have)) or 'nothing'}")
    return found


def _in_split(row: dict[str, Any], corpus: str, split: Split) -> bool:
    given = row.get("split", "train")
    if given != "train" or split == "test":
        return bool(given == split)
    return is_development_talker(corpus, str(row["speaker"])) == (split == "development")


def read_noisy_testset(folder: str | Path, transcripts: str | Path | None = None) -> list[TestUtterance]:
    """The utterances of a noisy test set: one of ours by its manifest, or the published one by the names of its files.

    The published one has no transcripts: give the LibriSpeech folder (test-clean) whose *.trans.txt have them.
    Raises DataError for a folder with neither, a line that cannot be used, and a file without its transcript.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        return read_published_testset(folder, transcripts)
    return [_read_line(where, row, folder) for where, row in read_rows(folder / MANIFEST, "noisy utterance")]


def _read_line(where: str, row: dict[str, Any], folder: Path) -> TestUtterance:
    try:
        utterance = TestUtterance(
            str(row["id"]),
            folder / row["path"],
            str(row["text"]),
            str(row["speaker"]),
            str(row["noise_type"]),
            str(row["noise_id"]),
            float(row["snr_db"]),
            str(row["source_id"]),
            float(row["duration_s"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not a noisy utterance ({error!r}); write the set again") from error
    if not utterance.path.is_file():
        raise DataError(f"{where}: no audio at '{utterance.path}'; write the set again")
    return utterance


class NoisyName(NamedTuple):
    """What the name of a file says."""

    utterance: str
    noise_type: str
    snr_db: float


def parse_noisy_name(name: str) -> NoisyName | None:
    """'61-70968-0000_Babble_5db.wav' taken apart; None for a name of another form."""
    stem = name.removesuffix(".wav")
    for pattern in _NAMES:
        match = pattern.fullmatch(stem)
        if match is not None:
            return NoisyName(match["id"], type_name(match["type"]), float(match["snr"]))
    return None


def read_published_testset(folder: str | Path, transcripts: str | Path | None) -> list[TestUtterance]:
    """The utterances of a folder of `[id]_[Type]_[SNR]db.wav`; their words from *.trans.txt below `transcripts`.

    Which recording of noise a file has is not known, and its level is what the name claims. Raises DataError for a
    folder without such files, no transcripts, and a file whose id has none.
    """
    folder = Path(folder)
    named = [(path, parse_noisy_name(path.name)) for path in sorted(folder.rglob("*.wav"))]
    files = [(path, name) for path, name in named if name is not None]
    if not files:
        raise DataError(
            f"'{folder}' has neither a manifest.jsonl nor files named [id]_[Type]_[SNR]db.wav; "
            "write a test set with 'softspoken-lab noisy', or unpack the published one there"
        )
    if transcripts is None:
        raise DataError(f"'{folder}' has no transcripts; give the LibriSpeech folder (test-clean) it was made from")
    texts = read_transcripts(transcripts)
    missing = sorted({name.utterance for _, name in files} - texts.keys())
    if missing:
        raise DataError(
            f"no transcript of '{missing[0]}' ({len(missing)} missing in all) below '{transcripts}'; "
            "give the LibriSpeech part that the files were made from"
        )
    return [
        TestUtterance(
            path.stem,
            path,
            texts[name.utterance],
            name.utterance.partition("-")[0],
            name.noise_type,
            None,
            name.snr_db,
            name.utterance,
        )
        for path, name in files
    ]


def read_transcripts(folder: str | Path) -> dict[str, str]:
    """Utterance id to words, from the *.trans.txt of a LibriSpeech folder. Raises DataError if there are none."""
    folder = Path(folder)
    texts: dict[str, str] = {}
    for file in sorted(folder.rglob("*.trans.txt")):
        for line in file.read_text(encoding="utf-8").splitlines():
            identity, _, text = line.strip().partition(" ")
            if text:
                texts[identity] = text.strip()
    if not texts:
        raise DataError(f"no *.trans.txt in '{folder}'; give an unpacked LibriSpeech folder, such as test-clean")
    return texts


def read_items(
    name: str,
    path: str | Path,
    *,
    split: Split = "test",
    corpora: Sequence[str] = (),
    transcripts: str | Path | None = None,
    limit: int | None = None,
) -> tuple[Item, ...]:
    """The items of a set by what is found at `path`.

    * a speech manifest (JSON lines, or the folder of its `manifest.jsonl`): its utterances of `split` and `corpora`;
    * a noisy test set (the folder, or its manifest), or the published one (`transcripts`: its LibriSpeech folder);
    * an evaluation manifest (lines with "enrolment"), for target-speaker prompts.

    `limit`: at most so many, evenly over the whole set. `name`: the set's, for messages. Raises DataError when there is
    nothing.
    """
    items = _read(name, Path(path), split, corpora, transcripts)
    if not items:
        raise DataError(f"the set '{name}' has no utterances; give at least one")
    if limit is None or limit >= len(items):
        return tuple(items)
    # Evenly, so that every kind of noise and every talker stays.
    return tuple(items[index * len(items) // limit] for index in range(limit))


def _read(
    name: str, path: Path, split: Split, corpora: Sequence[str], transcripts: str | Path | None
) -> Sequence[Item]:
    manifest = path / MANIFEST if path.is_dir() else path
    if path.is_dir() and not manifest.is_file():
        return read_noisy_testset(path, transcripts)
    first = next(read_rows(manifest, "utterance"), None)
    if first is None:
        raise DataError(f"set '{name}': '{manifest}' has no utterances; give one with at least one line")
    row = first[1]
    if "enrolment" in row:
        return read_evaluation_manifest(manifest)
    if "noise_type" in row:
        return read_noisy_testset(manifest.parent)
    return read_test_manifest(manifest, split, corpora)


def parse_data(entries: Sequence[str]) -> list[tuple[str, Path, tuple[str, ...]]]:
    """'NAME=PATH' or 'NAME=PATH#CORPUS,CORPUS' as (name, path, corpora). Raises ConfigError for anything else."""
    found = []
    for entry in entries:
        name, equals, rest = entry.partition("=")
        path, _, corpora = rest.partition("#")
        if not (name and equals and path):
            raise ConfigError(f"'{entry}' is not NAME=PATH; give for example clean=data/speech/manifest.jsonl")
        found.append((name, Path(path), tuple(part for part in corpora.split(",") if part)))
    return found
