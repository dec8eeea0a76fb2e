"""Files in parts of a given size, for a machine that gets them piece by piece. Needs nothing but Python.

A part is a folder with `part.zip` and `part.json` (its number, how many there are, its SHA-256). Weights, which no
general compressor makes smaller, are cut into chunks whose bytes are sorted by significance and Huffman coded: float16
then takes four fifths.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

CHUNK_BYTES = 8 << 20
_WEIGHTS = "weights/"
_TEXTS = {".json", ".jsonl", ".toml"}


class PartWriter:
    """Puts files into parts of at most `limit` bytes, in the order in which they come."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._zips: list[Path] = []
        self._open: zipfile.ZipFile | None = None

    def add(self, name: str, content: bytes) -> None:
        """One file whole. ValueError when it is larger than a part."""
        kind = zipfile.ZIP_DEFLATED if Path(name).suffix in _TEXTS else zipfile.ZIP_STORED
        size = len(zlib.compress(content)) if kind == zipfile.ZIP_DEFLATED else len(content)
        # What a zip file writes beside the content, twice, and its end.
        size += 2 * (len(name.encode()) + 64) + 128
        if size > self._limit:
            raise ValueError(f"'{name}' takes {size} bytes, a part {self._limit}; give larger parts")
        if self._open is None or self._filled() + size > self._limit:
            self._begin()
        assert self._open is not None
        self._open.writestr(zipfile.ZipInfo(name), content, kind)

    def add_weights(self, name: str, content: bytes, width: int) -> None:
        """A large file of numbers of `width` bytes, in chunks."""
        chunks = [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]
        for number, chunk in enumerate(chunks):
            self.add(f"{_WEIGHTS}{name}.{number:03}", squeezed(chunk, width))

    def close(self) -> list[int]:
        """Write what each part is; returns their sizes in bytes."""
        if self._open is not None:
            self._open.close()
        sizes = []
        for number, path in enumerate(self._zips, 1):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            about = {"part": number, "parts": len(self._zips), "sha256": digest}
            (path.parent / "part.json").write_text(json.dumps(about) + "\n", encoding="ascii")
            sizes.append(path.stat().st_size)
        return sizes

    def _begin(self) -> None:
        if self._open is not None:
            self._open.close()
        path = self._folder / str(len(self._zips) + 1) / "part.zip"
        path.parent.mkdir(parents=True)
        self._zips.append(path)
        self._open = zipfile.ZipFile(path, "w")

    def _filled(self) -> int:
        assert self._open is not None
        assert self._open.fp is not None
        directory = sum(len(info.filename.encode()) + 64 for info in self._open.infolist())
        return self._open.fp.tell() + directory


def receive(part: Path, into: Path) -> tuple[int, int]:
    """Unpack a part and note that it is there; its number, and how many there are. ValueError for a damaged one."""
    about = json.loads((part / "part.json").read_text(encoding="ascii"))
    if hashlib.sha256((part / "part.zip").read_bytes()).hexdigest() != about["sha256"]:
        raise ValueError(f"'{part}' is not as it was made; carry it over again")
    with zipfile.ZipFile(part / "part.zip") as archive:
        archive.extractall(into)
    noted = into / "parts" / f"{about['part']}.json"
    noted.parent.mkdir(exist_ok=True)
    noted.write_text(json.dumps(about), encoding="ascii")
    return about["part"], about["parts"]


def missing_parts(into: Path) -> list[int]:
    """Numbers of the parts that have not been received; the first one where none has."""
    known = [json.loads(path.read_text(encoding="ascii")) for path in into.glob("parts/*.json")]
    if not known:
        return [1]
    return sorted(set(range(1, known[0]["parts"] + 1)) - {about["part"] for about in known})


def restore_weights(folder: Path) -> Iterator[Path]:
    """Join the chunks of every file of weights beside the other files; yields each file."""
    root = folder / _WEIGHTS
    by_file: dict[Path, list[Path]] = {}
    for chunk in sorted(path for path in root.rglob("*") if path.is_file()):
        by_file.setdefault(folder / chunk.relative_to(root).with_suffix(""), []).append(chunk)
    for target, chunks in by_file.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for chunk in chunks:
                file.write(expanded(chunk.read_bytes()))
        yield target


def squeezed(content: bytes, width: int) -> bytes:
    """The bytes of numbers of `width` bytes, those of equal significance together, Huffman coded."""
    coder = zlib.compressobj(6, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
    planes = b"".join(content[offset::width] for offset in range(width))
    return bytes([width]) + coder.compress(planes) + coder.flush()


def expanded(squeezed_content: bytes) -> bytes:
    """What `squeezed` was given."""
    width, planes = squeezed_content[0], zlib.decompress(squeezed_content[1:])
    content, begin = bytearray(len(planes)), 0
    for offset in range(width):
        size = len(range(offset, len(planes), width))
        content[offset::width] = planes[begin : begin + size]
        begin += size
    return bytes(content)
