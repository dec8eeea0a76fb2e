"""What readers of corpora share: finding the folder, asking lhotse, and saying what is missing."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

from softspoken.errors import DataError, MissingExtra, SoftspokenError

_TEST_ONE_IN = 5


def root_of(source: Path, inner: Sequence[str], has: Callable[[Path], bool], expected: str) -> Path:
    """`source`, or a folder in it of one of the names `inner`, whichever `has` what makes it the corpus."""
    for folder in (source, *(source / name for name in inner)):
        if folder.is_dir() and has(folder):
            return folder
    raise DataError(f"'{source}' has no {expected}; give the folder the corpus was unpacked to")


def chosen(only: Sequence[str], there: Sequence[str], what: str, source: Path) -> tuple[str, ...]:
    """`only`, or all that are there if it is empty. Raises DataError for one that is not there."""
    missing = [name for name in only if name not in there]
    if missing:
        raise DataError(f"'{source}' has no {what} '{missing[0]}'; it has: {', '.join(there) or 'none'}")
    return tuple(only) if only else tuple(there)


def require_file(path: Path, corpus: str) -> None:
    """Raise DataError when a file that the corpus's own list names is not there."""
    if not path.is_file():
        raise DataError(f"{corpus} is not complete: no '{path}'; unpack it again, all of its parts")


def csv_lines(file: Path, fields: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """The lines of a CSV file by column. Raises DataError if one of `fields` is no column of it."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        missing = [field for field in fields if field not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"'{file}' has no column '{missing[0]}'; unpack it again")
        for line in reader:
            if any(not line[field] for field in fields):
                raise DataError(f"'{file}':{reader.line_num}: '{', '.join(fields)}' are not all there; unpack it again")
            yield line


def split_by_name(identity: str) -> str:
    """'test' for the fifth of the recordings that a checksum of their names chooses, 'train' for the others."""
    return "test" if crc32(identity.encode()) % _TEST_ONE_IN == 0 else "train"


@contextmanager
def lhotse_reading(corpus: str, source: Path) -> Iterator[Any]:
    """lhotse's recipe for a corpus, for as long as it reads `source`; whatever it raises becomes one DataError."""
    try:
        recipe = import_module(f"lhotse.recipes.{corpus}")
    except ImportError as error:
        raise MissingExtra("lhotse", "lab", f"preparing {corpus}") from error
    try:
        yield recipe
    except SoftspokenError:
        raise
    except Exception as error:  # lhotse and the readers below it have no common base class
        said = " ".join(str(error).split())
        raise DataError(f"'{source}' cannot be read ({said}); unpack it again") from error
