"""A file made of pieces of another one: how part of a recording gets to a decoder, under a header that is true."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Binary(Protocol):
    """A file open to be read as bytes."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def fileno(self) -> int: ...


@dataclass(frozen=True)
class Span:
    """`size` bytes of a file from `start` on."""

    start: int
    size: int


class Pieces(io.RawIOBase):
    """Bytes and spans of a file one after the other, as one file to read."""

    def __init__(self, file: Binary, pieces: Sequence[bytes | Span]) -> None:
        self._file, self._pieces = file, [piece for piece in pieces if _size(piece)]
        self._starts = [0]
        for piece in self._pieces:
            self._starts.append(self._starts[-1] + _size(piece))
        self._place = 0

    @property
    def size(self) -> int:
        return self._starts[-1]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            return -1  # what FFmpeg takes for impossible; an exception would be printed
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def read(self, size: int | None = -1) -> bytes:
        left = self.size - self._place if size is None or size < 0 else size
        found: list[bytes] = []
        for start, piece in zip(self._starts, self._pieces, strict=False):
            skip = self._place - start
            if left <= 0 or not 0 <= skip < _size(piece):
                continue
            if isinstance(piece, Span):
                self._file.seek(piece.start + skip)
                content = self._file.read(min(left, piece.size - skip))
            else:
                content = piece[skip : skip + left]
            if not content:
                break
            found.append(content)
            self._place += len(content)
            left -= len(content)
        return b"".join(found)


def _size(piece: bytes | Span) -> int:
    return piece.size if isinstance(piece, Span) else len(piece)
