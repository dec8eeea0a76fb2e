"""The utterances of a noisy test set on disk: ours by its manifest, the published one by the names of its files."""

from pathlib import Path
from typing import Any

from softspoken.data.published_testset import read_published_testset
from softspoken.data.rows import read_rows
from softspoken.data.utterances import TestUtterance
from softspoken.errors import DataError

MANIFEST = "manifest.jsonl"


def read_noisy_testset(folder: str | Path, transcripts: str | Path | None = None) -> list[TestUtterance]:
    """The utterances of a noisy test set: one of ours by its manifest, or the published one by the names of its files.

    The published one has no transcripts: give the LibriSpeech folder (test-clean) whose *.trans.txt have them.
    Raises DataError for a folder with neither, a line that cannot be used, and a file without its transcript.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        return read_published_testset(folder, transcripts)
    return [_read(where, row, folder) for where, row in read_rows(folder / MANIFEST, "noisy utterance")]


def _read(where: str, row: dict[str, Any], folder: Path) -> TestUtterance:
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
