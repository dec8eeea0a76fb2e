"""JSON lines: one object a line, errors with the line's number, written whole or not at all."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from softspoken.errors import DataError
from softspoken.files import replace_text


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
