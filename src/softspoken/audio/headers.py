"""What a recording's header promises, and what is there: read without decoding a sample.

A file may hold less than its header promises (cut off), more (its writer never came back to fill in the length, or a
pipe had no way back), or several recordings joined end to end. Decoders stop in silence at the length in the header, so
all three are settled before one sees the file: what it gets are `Part`s whose headers are true.
"""

import mmap
import struct
from collections.abc import Sequence

from softspoken.audio.headers_flac import flac_parts
from softspoken.audio.headers_mp3 import mp3_parts, mp3_start
from softspoken.audio.headers_pcm import aiff_parts, au_part, avi_parts, caf_parts, wav_parts
from softspoken.audio.parts import Part
from softspoken.audio.pieces import Binary, Span

_SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"NIST", b"Crea")
_MEDIA_MAGIC = (b"\x1aE\xdf\xa3", b"0&\xb2u", b"#!AMR", b"FLV", b"OggS", b"ID3", b"RIFF", b"\xff\xf1", b"\xff\xf9")
_TS_PACKETS = (188, 192, 204)
"""Bytes of a packet of an MPEG transport stream."""


def is_media_container(file: Binary) -> bool:
    """Whether the first bytes are of a sound or film format at all, one that PyAV would read."""
    file.seek(0)
    head = file.read(2 * max(_TS_PACKETS) + 1)
    known = head.startswith(_MEDIA_MAGIC) or head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide")
    # A transport stream has a 'G' at the beginning of every packet.
    packets = any(head[::size] == b"GGG" for size in _TS_PACKETS)
    return known or packets or mp3_start(file, 0) is not None


def parts_of(file: Binary) -> Sequence[Part]:
    """The recordings in a file, in order; empty for a format that only PyAV may know."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return wav_parts(file, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return aiff_parts(file, size)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return avi_parts(file, size)
    if head[:4] == b"caff":
        return caf_parts(file, size)
    if head[:4] == b".snd":
        return [au_part(head, size)]
    with _Searched(file, size) as searched:
        if head[:4] == b"OggS":
            return _ogg_parts(searched, size)
        if head[:4] == b"fLaC":
            return flac_parts(searched, size)
        if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
            return _joined(_film_starts(searched, size, head), size)
        if mp3_start(file, 0) is not None:
            return mp3_parts(file, searched, size)
    return [Part(())] if head.startswith(_SOUNDFILE_MAGIC) else []


class _Searched:
    """The bytes of a file to search in: mapped where it is one, so that a long one costs no memory."""

    def __init__(self, file: Binary, size: int) -> None:
        self._map: mmap.mmap | None = None
        try:
            self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
            self.bytes: mmap.mmap | bytes = self._map
        except (OSError, ValueError, AttributeError):
            file.seek(0)
            self.bytes = file.read()

    def __enter__(self) -> "mmap.mmap | bytes":
        return self.bytes

    def __exit__(self, *_: object) -> None:
        if self._map is not None:
            self._map.close()


def _joined(starts: Sequence[int], size: int) -> list[Part]:
    """Parts from each start to the next."""
    if len(starts) < 2:
        return [Part((), media="required")]
    ends = [*starts[1:], size]
    return [Part((Span(start, end - start),), media="required") for start, end in zip(starts, ends, strict=True)]


def _ogg_parts(content: "mmap.mmap | bytes", size: int) -> list[Part]:
    """Links of a chain: each begins with pages that are marked as beginnings."""
    starts: list[int] = []
    place, beginning, holes = 0, False, False
    numbers: dict[bytes, int] = {}
    cut = False
    while place < size:
        head = content[place : place + 27]
        if head[:4] != b"OggS":
            found = content.find(b"OggS", place + 1)
            holes = True
            place = size if found < 0 else found
            continue
        if len(head) < 27:
            cut = True
            break
        lacing = content[place + 27 : place + 27 + head[26]]
        number, serial = struct.unpack("<I", head[18:22])[0], head[14:18]
        if head[5] & 2:
            if not beginning:
                starts.append(place)
                numbers = {}
            beginning = True
        else:
            beginning = False
            holes = holes or number != numbers.get(serial, number - 1) + 1
        numbers[serial] = number
        place += 27 + head[26] + sum(lacing)
        cut = len(lacing) < head[26] or place > size
    several = len(numbers) > 1
    missing = "its last page is incomplete" if cut else None
    if holes or several or not starts:
        return [Part((), missing=missing, media="required")]
    ends = [*starts[1:], size]
    parts = [Part((Span(start, end - start),)) for start, end in zip(starts, ends, strict=True)]
    if len(parts) == 1:
        return [Part((), missing=missing)]
    return [*parts[:-1], Part(parts[-1].pieces, missing=missing)]


def _film_starts(content: "mmap.mmap | bytes", size: int, head: bytes) -> list[int]:
    """Where an mp4 or Matroska file begins: at 0, and again where several are joined."""
    starts = [0]
    if head[4:8] == b"ftyp":
        place = 0
        while place + 16 <= size:
            length, name = struct.unpack(">I4s", content[place : place + 8])
            if length == 1:
                length = struct.unpack(">Q", content[place + 8 : place + 16])[0]
            if name == b"ftyp" and place > 0:
                starts.append(place)
            if length < 8:
                break
            place += length
        return starts
    place = content.find(b"\x1aE\xdf\xa3", 4)
    while place >= 0:
        if any(kind in content[place : place + 64] for kind in (b"webm", b"matroska")):
            starts.append(place)
        place = content.find(b"\x1aE\xdf\xa3", place + 4)
    return starts
