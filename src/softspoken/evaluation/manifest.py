"""Evaluation manifests: JSON lines, one question ("what does this voice say in this recording?") a line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softspoken.data.manifest import read_rows
from softspoken.errors import DataError

TimedWord = tuple[str, float, float]
"""A word, the second at which it begins and the one at which it ends."""
_EXPECTED = 'expected {"audio": FILE, "enrolment": FILE, "text": WORDS}'


@dataclass(frozen=True)
class EvaluationItem:
    """One recording, one enrolled voice, the words it says there. No words: that voice is silent."""

    id: str
    audio: Path
    enrolment: Path
    text: str
    clean: Path | None = None
    """The target alone, where it is known and speaks."""
    tags: tuple[str, ...] = ()
    words: tuple[TimedWord, ...] = ()
    """The target's words in seconds of `audio`; empty where their times are not known."""
    target: str | None = None
    """Who the enrolled voice is, where it is known: items of one talker are not independent."""

    @property
    def silent(self) -> bool:
        return not self.text.strip()


def read_evaluation_manifest(path: str | Path) -> tuple[EvaluationItem, ...]:
    """The items of a manifest: lines {"audio", "enrolment", "text"}, optional "id", "clean", "tags", "words",
    "target"; others are ignored.

    Paths are relative to the manifest. An empty "text" says that the target is silent; a missing one is an error.
    Raises DataError, with the line's number, for a line that cannot be used, a file that does not exist, two items
    with one id, or no items.
    """
    manifest = Path(path)
    items: dict[str, EvaluationItem] = {}
    for where, row in read_rows(manifest, f"item ({_EXPECTED})"):
        item = _item(row, where, manifest)
        if item.id in items:
            raise DataError(f"{where}: id '{item.id}' is there twice; give every item its own")
        items[item.id] = item
    if not items:
        raise DataError(f"{manifest}: no items in it; {_EXPECTED}, one a line")
    return tuple(items.values())


def _item(row: dict[str, Any], where: str, manifest: Path) -> EvaluationItem:
    for key in ("audio", "enrolment", "text"):
        if not isinstance(row.get(key), str):
            got = "no" if key not in row else f"{type(row[key]).__name__} as"
            raise DataError(f'{where}: {got} "{key}"; {_EXPECTED} (text is "" where the target is silent)')
    tags = row.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise DataError(f'{where}: "tags" is {tags!r}; expected a list of words')
    return EvaluationItem(
        id=str(row.get("id", f"line-{where.rpartition(':')[2]}")),
        audio=_file(row, "audio", where, manifest),
        enrolment=_file(row, "enrolment", where, manifest),
        text=row["text"],
        clean=_file(row, "clean", where, manifest) if row.get("clean") is not None else None,
        tags=tuple(tags),
        words=_words(row, where),
        target=str(row["target"]) if row.get("target") is not None else None,
    )


def _words(row: dict[str, Any], where: str) -> tuple[TimedWord, ...]:
    try:
        words = tuple((str(word), float(start_s), float(end_s)) for word, start_s, end_s in row.get("words") or ())
    except (TypeError, ValueError) as error:
        raise DataError(f'{where}: "words" is not a list of [word, start_s, end_s] ({error})') from error
    for word, start_s, end_s in words:
        if not 0.0 <= start_s <= end_s:
            raise DataError(
                f'{where}: "words" has "{word}" from {start_s:g} to {end_s:g} s; expected 0 <= start <= end'
            )
    return words


def _file(row: dict[str, Any], key: str, where: str, manifest: Path) -> Path:
    name = row[key]
    if not isinstance(name, str) or not name:
        raise DataError(f'{where}: "{key}" is {name!r}; expected the name of a file')
    path = manifest.parent / name
    if not path.is_file():
        raise DataError(f'{where}: no file "{path}" for "{key}"; paths are relative to the manifest')
    return path
