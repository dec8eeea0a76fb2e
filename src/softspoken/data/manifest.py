"""Manifests of speech and noise, and texts: JSON lines, one object a line, errors with the line's number."""

import json
import os
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_audio
from softspoken.errors import DataError
from softspoken.files import replace_text, replacing


def read_rows(path: str | Path, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """('file:line', object) of each line. `what` names a line's content in the errors, such as 'utterance'.

    Raises DataError for a missing file, one that is not UTF-8, or a line that is no JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no manifest at '{path}'; give a JSON-lines file with one {what} a line")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not UTF-8 text; give a JSON-lines file with one {what} a line") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({getattr(error, 'msg', error)}); give one {what} a line") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: got {type(row).__name__}, expected an object; give one {what} a line")
        yield where, row


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one object a line, atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@dataclass(frozen=True)
class Utterance:
    """A recording of one talker, and what is said in it."""

    id: str
    path: str
    speaker: str
    """'corpus:speaker', so that equal names in two corpora stay two talkers."""
    duration_s: float
    text: str
    segments: tuple[dict[str, Any], ...]
    """Places to cut at: start_s, end_s, text. Empty where none are known."""
    verified: bool
    """False where the corpus itself says that `text` is not what is said."""


def read_manifest(path: str | Path, split: str = "train") -> list[Utterance]:
    """The utterances of a split of a speech manifest.

    A line has `id`, `path` (relative to the manifest), `speaker`, `text`, `duration_s`, `split`, `corpus`, and where
    known `segments` ([{start_s, end_s, text}]) and `transcript_verified`. Raises DataError for a line that cannot be
    used.
    """
    path = Path(path)
    found = []
    for where, row in read_rows(path, "utterance"):
        if row.get("split", split) != split:
            continue
        try:
            source = path.parent / row["path"]
            one = Utterance(
                str(row["id"]),
                str(source),
                f"{row.get('corpus', path.parent.name)}:{row['speaker']}",
                round(float(row["duration_s"]) * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ,
                row.get("text") or "",
                tuple(row.get("segments") or ()),
                row.get("transcript_verified", True) is not False,
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{where}: not an utterance ({error}); see the manifest's field list") from error
        if not _is_file(source):
            raise DataError(f"{where}: no audio at '{source}'; fetch it or remove the line")
        found.append(one)
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def read_noises(paths: Iterable[Path], split: str = "train") -> list[tuple[str, float]]:
    """(path, seconds) of the noise recordings of a split."""
    noises: list[tuple[str, float]] = []
    for path in paths:
        for where, row in read_rows(path, "recording"):
            try:
                if row["split"] == split:
                    noises.append((str(path.parent / row["path"]), float(row["duration_s"])))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{where}: not a noise recording ({error}); give path, duration_s and split") from error
    return noises


def read_texts(path: str | Path, rejected: bool = False) -> dict[str, str]:
    """Piece id to text, from JSON lines {"id", "text"}; with `rejected`, also the pieces whose text is empty.

    An empty text marks a piece that could not be transcribed well: it may disturb others, but is no target.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no texts at '{path}'; write them with 'softspoken data teach'")
    texts: dict[str, str] = {}
    for where, row in read_rows(path, "text"):
        if not isinstance(row.get("id"), str) or not isinstance(row.get("text"), str):
            raise DataError(f"{where}: no 'id' and 'text'; write them anew with 'softspoken data teach'")
        if rejected or row["text"].strip():
            texts[row["id"]] = row["text"]
    return texts


def write_texts(path: str | Path, texts: Mapping[str, str]) -> None:
    """Write `read_texts`' format, atomically."""
    lines = [json.dumps({"id": key, "text": text}, ensure_ascii=False) for key, text in texts.items()]
    replace_text(Path(path), "\n".join(lines) + "\n")


def pack_manifest(
    manifest: str | Path, out: str | Path, split: str = "train", ids: Container[str] | None = None
) -> Path:
    """Write the recordings of a manifest's split as Ogg Opus (16 kHz mono) into folder `out`, with a manifest.

    Every line keeps its fields but `path`, so whatever reads the first manifest reads the second. Recordings that are
    packed already are kept: an interrupted packing goes on. Other splits stay behind, and where `ids` are given all
    other lines. Opus is copied as it is. Returns the new manifest.

    Raises DataError, before anything is packed, for a missing manifest, a line that cannot be used, no line of that
    split, two recordings that would be one file, and for an `out` that is no folder or the one of the manifest.
    """
    source, folder = Path(manifest), Path(out)
    rows = _to_pack(source, folder, split, ids)
    for _, recording, packed in rows:
        if not packed.is_file():
            packed.parent.mkdir(parents=True, exist_ok=True)
            if recording.suffix == ".opus":
                with replacing(packed) as temporary:
                    shutil.copyfile(recording, temporary)
            else:
                write_audio(packed, load_audio(recording))
    target = folder / "manifest.jsonl"
    write_rows(target, ({**row, "path": str(packed.relative_to(folder))} for row, _, packed in rows))
    return target


def _to_pack(
    source: Path, folder: Path, split: str, ids: Container[str] | None
) -> list[tuple[dict[str, Any], Path, Path]]:
    """Each line, its recording, and the file that this becomes. Makes the folder; raises what `pack_manifest` does."""
    rows: list[tuple[dict[str, Any], Path, Path]] = []
    taken: dict[Path, Path] = {}
    for where, row in read_rows(source, "recording"):
        try:
            if row["split"] != split or (ids is not None and row["id"] not in ids):
                continue
            recording = source.parent / row["path"]
            packed = folder / _place_in_pack(recording, source.parent)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: no recording ({error}); expected 'path' and 'split'") from error
        if not _is_file(recording):
            raise DataError(f"{where}: no audio at '{recording}'; fetch it or remove the line")
        if taken.setdefault(packed, recording) != recording:
            raise DataError(f"{where}: '{recording}' and '{taken[packed]}' would both be '{packed}'; rename one")
        rows.append((row, recording, packed))
    if not rows:
        raise DataError(f"{source}: no recording of split '{split}'; choose another split")
    if folder.resolve() == source.parent.resolve():
        raise DataError(f"'{folder}' is the folder of {source.name} itself; pack into another one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"'{folder}' cannot be made ({error.strerror}); name another folder") from None
    return rows


def _place_in_pack(recording: Path, folder: Path) -> Path:
    """Where in a pack a recording lies: as it does in the manifest's folder, or from elsewhere under its whole path."""
    whole, inside = Path(os.path.abspath(recording)).with_suffix(".opus"), os.path.abspath(folder)
    return whole.relative_to(inside if whole.is_relative_to(inside) else whole.anchor)
