"""What the first and last bytes of a recording say, read without decoding it.

libsndfile silently shortens a cut-off WAV or Ogg file to what is left of it, and its mp3 decoder talks to stderr about
what it cannot make out. So both questions are answered before it sees the file: is this one of its formats, and is it
all there?
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

# Sizes from here on mean "unknown": writers to a pipe put 0xFFFFFFFF or a little under 2^31.
_UNKNOWN_BYTES = 0x7FFF0000
_SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"NIST", b"Crea")
_MEDIA_MAGIC = (b"\x1aE\xdf\xa3", b"0&\xb2u", b"#!AMR", b"FLV", b"OggS", b"ID3", b"RIFF", b"\xff\xf1", b"\xff\xf9")
_LONGEST_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
# An odd byte, or a tag counted in, is not damage.
_SLACK_BYTES = 64
# A wav without samples is all header; one that is longer and yet promises none was never closed.
_LARGEST_WAV_HEADER_BYTES = 1024


def is_known_to_soundfile(path: Path) -> bool:
    """Whether soundfile reads this format, and all of it.

    Two kinds are left to PyAV: an mp3 without a Xing tag, of which libsndfile reads only as much as it guesses from the
    first frame's bit rate; and a wav whose writer was killed before it could fill in the length (zero).
    """
    with path.open("rb") as file:
        head = file.read(16)
        if head.startswith((b"RIFF", b"RIFX")) and _chunk_bytes(file, b"data", _order(head))[0] == 0:
            return os.fstat(file.fileno()).st_size <= _LARGEST_WAV_HEADER_BYTES
        if head.startswith(_SOUNDFILE_MAGIC):
            return True
        start = _mp3_start(file)
        return start is not None and _xing_numbers(file, start) is not None


def is_media_container(path: Path) -> bool:
    """Whether the first bytes are of a sound or film format at all, one that PyAV would read."""
    with path.open("rb") as file:
        head = file.read(16)
        known = head.startswith(_MEDIA_MAGIC) or head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide")
        return known or _mp3_start(file) is not None


def readable_part(path: Path) -> str | None:
    """How much of a cut-off wav, aiff, ogg or xing-tagged mp3 is there, in words; None where nothing is missing."""
    with path.open("rb") as file:
        head = file.read(4)
        if head == b"OggS":
            return "the part before its broken last page" if _ogg_is_cut(file) else None
        if head in (b"RIFF", b"RIFX"):
            promised, present = _chunk_bytes(file, b"data", _order(head))
        elif head == b"FORM":
            promised, present = _chunk_bytes(file, b"SSND", ">")
        else:
            start = _mp3_start(file)
            numbers = None if start is None else _xing_numbers(file, start)
            promised, present = (0, 0) if numbers is None else numbers
    if promised - present <= _SLACK_BYTES:
        return None
    return f"{100 * present / promised:.0f} % of what its header promises"


def _order(head: bytes) -> str:
    return ">" if head.startswith(b"RIFX") else "<"


def _chunk_bytes(file: BinaryIO, wanted: bytes, order: str) -> tuple[int, int]:
    """Bytes promised and present of the chunk with the samples; zeros where the header does not say."""
    size, position = os.fstat(file.fileno()).st_size, 12
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        if name == wanted:
            length = size - position - 8 if length >= _UNKNOWN_BYTES else length
            return length, min(length, size - position - 8)
        position += 8 + length + length % 2
    return 0, 0


def _ogg_is_cut(file: BinaryIO) -> bool:
    """Whether the last page is incomplete. Whole pages without an end mark are fine: live recordings lack it."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(size - _LONGEST_OGG_PAGE_BYTES, 0))
    tail = file.read()
    page = tail[max(tail.rfind(b"OggS"), 0) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def _mp3_start(file: BinaryIO) -> int | None:
    """Offset of the first MPEG audio frame (layer I to III), directly at the start or after an ID3v2 tag."""
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        a, b, c, d = head[6:10]
        start = 10 + (a << 21 | b << 14 | c << 7 | d)
        file.seek(start)
        # Taggers leave zeros between the tag and the sound.
        padding = file.read(8192)
        start += len(padding) - len(padding.lstrip(b"\0"))
    file.seek(start)
    header = file.read(4)
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate, bits = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 2 & 3, header[2] >> 4
    return None if version == 1 or layer == 0 or rate == 3 or bits == 15 else start


def _xing_numbers(file: BinaryIO, start: int) -> tuple[int, int] | None:
    """Bytes promised by the Xing (or Info) frame of an mp3 and present; zeros if it gives only a number of frames."""
    file.seek(start)
    frame = file.read(64)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 16:
        return None
    flags, _, promised = struct.unpack(">III", frame[at + 4 : at + 16])
    if not flags & 1:
        return None
    return (promised, min(promised, os.fstat(file.fileno()).st_size - start)) if flags & 2 else (0, 0)
