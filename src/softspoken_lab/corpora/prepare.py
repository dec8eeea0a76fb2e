"""Public corpora as they are unpacked, to the manifests that everything else reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from softspoken.data.manifest import write_rows
from softspoken.errors import DataError
from softspoken_lab.corpora import prepare_noise, prepare_speech

CorpusName = Literal["librispeech", "musan", "wham", "esc50", "fsd50k", "demand", "folder"]

_READERS: dict[CorpusName, Callable[[Path, Sequence[str]], list[dict[str, Any]]]] = {
    "librispeech": prepare_speech.librispeech,
    "musan": prepare_noise.musan,
    "wham": prepare_noise.wham,
    "esc50": prepare_noise.esc50,
    "fsd50k": prepare_noise.fsd50k,
    "demand": prepare_noise.demand,
    "folder": prepare_noise.folder,
}


@dataclass(frozen=True)
class Prepared:
    """A manifest that was written, and what is in it."""

    manifest: Path
    recordings: int
    hours: float
    splits: dict[str, int]
    """Recordings of each split."""


def prepare_corpus(
    corpus: CorpusName, source: str | Path, out: str | Path, only: Sequence[str] = (), split: str | None = None
) -> Prepared:
    """Write the manifest of a corpus unpacked at `source` to `out` (JSON lines), atomically.

    `only`: parts of it, none given: all. librispeech: subsets ('train-clean-100'); musan: parts ('noise' if none are
    given); wham: 'tr', 'cv', 'tt'; esc50, demand, folder: categories; fsd50k: labels; for esc50 and fsd50k, 'office' is
    the sounds of an office. `split`: put everything in this one; None: the corpus's own division, where it has one.
    Paths are relative to the manifest where the recordings lie beside or below it, and absolute elsewhere.

    Raises DataError for a folder that is not that corpus, or not all of it, saying what is missing; MissingExtra where
    lhotse is needed and not installed.
    """
    source, out = Path(source), Path(out)
    if not source.is_dir():
        raise DataError(f"'{source}' is not a folder; unpack {corpus} and give the folder it is in")
    rows = _READERS[corpus](source, only)
    if not rows:
        raise DataError(f"no recordings of {corpus} in '{source}'; give the folder it was unpacked to")
    home = out.parent.resolve()
    splits: dict[str, int] = {}
    for row in rows:
        path = Path(row["path"]).resolve()
        row["path"] = str(path.relative_to(home)) if path.is_relative_to(home) else str(path)
        row["split"] = split if split is not None else row["split"]
        splits[row["split"]] = splits.get(row["split"], 0) + 1
    write_rows(out, rows)
    return Prepared(out, len(rows), sum(row["duration_s"] for row in rows) / 3600, splits)
