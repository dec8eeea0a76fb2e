"""Files and folders that appear whole or not at all, also when the process is killed while it writes."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LEFTOVERS = ".*.tmp"
"""Pattern of what a process that was killed leaves behind."""


@contextmanager
def replacing(target: Path, *, over_folder: bool = False) -> Iterator[Path]:
    """A path beside `target` where a file or a folder is to be made; it becomes `target` when the block ends.

    A file takes the place of an older one, a folder that of an empty one, with `over_folder` of any. If the block
    raises, whatever is at the path is removed and `target` stays as it was. Raises OSError when it cannot be moved.
    """
    temporary = _beside(target)
    try:
        yield temporary
        if over_folder and target.exists():
            _swap(temporary, target)
        else:
            os.replace(temporary, target)
    finally:
        with suppress(OSError):
            remove(temporary)


def replace_text(target: Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all. Raises OSError when it cannot be written."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_text(target: Path, text: str) -> None:
    """`replace_text` for a file that a user names: of a link, the file behind it is replaced; into a device or a pipe
    the text is written as it is. What is no character, as in names of files that are not UTF-8, becomes '?'."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    if target.exists() and not target.is_file():
        with target.open("w", encoding="utf-8") as device:
            device.write(text)
    else:
        replace_text(target.resolve(), text)


def replace_bytes(target: Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises OSError when it cannot be written."""
    with replacing(target) as temporary:
        temporary.write_bytes(content)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a folder as much as can be removed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _swap(new: Path, folder: Path) -> None:
    """Folders cannot be replaced in one step: the old one steps aside, and comes back if the new one cannot move in."""
    old = _beside(folder)
    os.replace(folder, old)
    try:
        os.replace(new, folder)
    except BaseException:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
