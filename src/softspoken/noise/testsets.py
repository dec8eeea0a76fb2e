"""The utterances of a noisy test set on disk: ours by its manifest, the published one by the names of its files.

The names say noise and level; the words of the published set come from LibriSpeech.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from softspoken.data.noise import type_name
from softspoken.data.rows import read_rows
from softspoken.errors import DataError
from softspoken.noise.utterances import TestUtterance

MANIFEST = "manifest.jsonl"
# LibriSpeech's own ids have no underscore, so there the kind of noise may have some; other ids may, and kinds do not.
_NAMES = (
    re.compile(r"(?P<id>\d+-\d+-\d+)_(?P<type>.+)_(?P<snr>-?\d+(?:\.\d+)?)db", re.IGNORECASE),
    re.compile(r"(?P<id>.+)_(?P<type>[^_]+)_(?P<snr>-?\d+(?:\.\d+)?)db", re.IGNORECASE),
)


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
