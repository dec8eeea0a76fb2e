"""What a recording's header promises, and what is there: read without decoding a sample.

A file may hold less than its header promises (cut off), more (its writer never came back to fill in the length, or a
pipe had no way back), or several recordings joined end to end. Decoders stop in silence at the length in the header, so
all three are settled before one sees the file: what it gets are `Part`s whose headers are true.
"""

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

from softspoken.audio.pieces import Span

# Sizes from here on mean "unknown": writers to a pipe put 0xFFFFFFFF or a little under 2^31.
_UNKNOWN_BYTES = 0x7FFF0000
_LEAST_PLACEHOLDER_BYTES = 1_000_000_000
# An odd byte, or a tag counted in, is not damage.
SLACK_BYTES = 64
_MP3_TAG_BYTES = 4096
_SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"NIST", b"Crea")
_MEDIA_MAGIC = (b"\x1aE\xdf\xa3", b"0&\xb2u", b"#!AMR", b"FLV", b"OggS", b"ID3", b"RIFF", b"\xff\xf1", b"\xff\xf9")


Media = Literal["never", "preferred", "required"]


@dataclass(frozen=True)
class Part:
    """One whole recording within a file."""

    pieces: tuple[bytes | Span, ...]
    """What a decoder gets; none: the file as it is."""
    promised_s: float | None = None
    """Its length by its header, where the decoder does not say it itself."""
    missing: str | None = None
    """What shows that it is cut off, in words."""
    media: Media = "never"
    """Whether PyAV reads it: libsndfile stops in silence where some formats' headers are wrong or say nothing."""


WHOLE_FILE = Part(())


def is_media_container(file: BinaryIO) -> bool:
    """Whether the first bytes are of a sound or film format at all, one that PyAV would read."""
    file.seek(0)
    head = file.read(16)
    known = head.startswith(_MEDIA_MAGIC) or head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide")
    return known or head[:1] == b"G" or _mp3_start(file, 0) is not None


def parts_of(file: BinaryIO) -> Sequence[Part]:
    """The recordings in a file, in order; empty for a format that only PyAV may know."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return _wav_parts(file, size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return [_aiff_part(file, size)]
    if head[:4] == b".snd":
        return [_au_part(head, size)]
    with _Searched(file, size) as searched:
        if head[:4] == b"OggS":
            return _ogg_parts(searched, size)
        if head[:4] == b"fLaC":
            return _flac_parts(searched, size)
        if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
            return _joined(_film_starts(searched, size, head), size)
        if _mp3_start(file, 0) is not None:
            return _mp3_parts(file, searched, size)
    return [WHOLE_FILE] if head.startswith(_SOUNDFILE_MAGIC) else []


class _Searched:
    """The bytes of a file to search in: mapped where it is one, so that a long one costs no memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
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


# --- wav, aiff, au ---


def _wav_parts(file: BinaryIO, size: int) -> list[Part]:
    parts: list[Part] = []
    start = 0
    while start is not None and start + 12 <= size:
        part, start = _wav_part(file, start, size)
        if part is not None:
            parts.append(part)
    return parts


def _wav_part(file: BinaryIO, start: int, size: int) -> tuple[Part | None, int | None]:  # type: ignore[valid-type]
    """The wav that begins at `start`, and where another one does."""
    file.seek(start)
    order = ">" if file.read(4) == b"RIFX" else "<"
    place, form, long_size = start + 12, b"", None
    while place + 8 <= size:
        file.seek(place)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        if name == b"ds64" and length >= 16:
            long_size = struct.unpack("<Q", file.read(16)[8:])[0]
        elif name == b"fmt ":
            form = file.read(min(length, 4096))
        elif name == b"data":
            length = long_size if long_size is not None and length == 0xFFFFFFFF else length
            return _wav_data(file, (start, place + 8, size), form, length, order)
        place += 8 + length + length % 2
    return (Part((), missing="its header and none of the samples") if start == 0 else None), None


def _wav_data(
    file: BinaryIO, place: tuple[int, int, int], form: bytes, promised: int, order: str
) -> tuple[Part, int | None]:
    start, begin, size = place
    present, after = size - begin, None
    rate = struct.unpack(f"{order}I", form[8:12])[0] if len(form) >= 12 else 0
    if promised > present:
        unknown = promised == 0xFFFFFFFF or is_placeholder(promised, present)
        if not unknown and promised - present > SLACK_BYTES:
            return Part(_wav_pieces(form, begin, present, order), missing=_share(present, promised, rate)), None
        length = present
    else:
        length, after = promised, _behind_samples(file, begin + promised, size, order)
        if after is None:  # more than promised
            length = present
    if start == 0 and length == promised and after in (None, size):
        return Part(()), None
    follows = after if after is not None and after < size else None
    return Part(_wav_pieces(form, begin, length, order)), follows


def _wav_pieces(form: bytes, begin: int, length: int, order: str) -> tuple[bytes | Span, ...]:
    """A wav with a header that is true."""
    chunk = struct.pack(f"{order}4sI", b"fmt ", len(form)) + form + b"\0" * (len(form) % 2)
    riff = 4 + len(chunk) + 8 + length
    if riff < 0xFFFFFFFF:
        head = struct.pack(f"{order}4sI4s", b"RIFF" if order == "<" else b"RIFX", riff, b"WAVE")
        head += chunk + struct.pack(f"{order}4sI", b"data", length)
    else:
        head = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE")
        head += struct.pack("<4sIQQQI", b"ds64", 28, riff + 36, length, 0, 0)
        head += chunk + struct.pack("<4sI", b"data", 0xFFFFFFFF)
    return head, Span(begin, length)


def _behind_samples(file: BinaryIO, place: int, size: int, order: str) -> int | None:
    """Where the next recording begins, `size` for none; None where what follows is neither chunks nor a recording."""
    while size - place > SLACK_BYTES:
        file.seek(place)
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
            return place
        if head[:3] in (b"ID3", b"TAG") or not any(head):
            return size
        (length,) = struct.unpack(f"{order}I", head[4:8])
        if not head[:4].isascii() or not head[:4].decode("latin-1").isprintable():
            # After an odd number of bytes there should be another one.
            if place % 2 and _is_chunk(file, place + 1, size, order):
                place += 1
                continue
            return None
        if length > size - place - 8 + SLACK_BYTES:
            return None
        place += 8 + length + length % 2
    return size


def _is_chunk(file: BinaryIO, place: int, size: int, order: str) -> bool:
    file.seek(place)
    head = file.read(8)
    return (
        head[:4].isascii()
        and head[:4].decode("latin-1").isprintable()
        and (struct.unpack(f"{order}I", head[4:])[0] <= size - place)
    )


def is_placeholder(promised: int, present: int) -> bool:
    """Whether a length was put down by a program that did not know it yet."""
    if promised >= _UNKNOWN_BYTES:
        return True
    near_a_power = (promised + (1 << 16)) % (1 << 30) < 1 << 17
    return promised >= _LEAST_PLACEHOLDER_BYTES and present < promised / 2 and (near_a_power or promised % 10**6 < 4096)


def _share(present: int, promised: int, bytes_per_s: int) -> str:
    if bytes_per_s > 0:
        return f"its header promises {promised / bytes_per_s:.1f} s, {present / bytes_per_s:.1f} s of them are there"
    return f"{100 * present / promised:.0f} % of what its header promises is there"


def _aiff_part(file: BinaryIO, size: int) -> Part:
    place, common = 12, b""
    while place + 8 <= size:
        file.seek(place)
        name, length = struct.unpack(">4sI", file.read(8))
        if name == b"COMM":
            common = file.read(min(length, 4096))
        elif name == b"SSND":
            present = size - place - 8
            if present - length > SLACK_BYTES and _behind_samples(file, place + 8 + length, size, ">") is None:
                return _longer_aiff(common, place + 8, present)
            if length - present > SLACK_BYTES:
                if is_placeholder(length, present):
                    return _longer_aiff(common, place + 8, present)
                return Part(_longer_aiff(common, place + 8, present).pieces, missing=_share(present, length, 0))
            return Part(())
        place += 8 + length + length % 2
    return Part((), missing="its header and none of the samples")


def _longer_aiff(common: bytes, begin: int, present: int) -> Part:
    if len(common) < 18:
        return Part(())
    channels, bits = struct.unpack(">h4xh", common[:8])
    frames = (present - 8) // max(1, channels * ((bits + 7) // 8))
    common = common[:2] + struct.pack(">I", frames) + common[6:]
    kind = b"AIFC" if len(common) > 18 else b"AIFF"
    chunk = struct.pack(">4sI", b"COMM", len(common)) + common + b"\0" * (len(common) % 2)
    head = struct.pack(">4sI4s", b"FORM", min(4 + len(chunk) + 8 + present, 0xFFFFFFFF), kind) + chunk
    return Part((head + struct.pack(">4sI", b"SSND", present), Span(begin, present)))


def _au_part(head: bytes, size: int) -> Part:
    begin, length = struct.unpack(">II", head[4:12])
    if not 24 <= begin <= size:
        return Part((), missing="its header and none of the samples")
    present = size - begin
    if length - present > SLACK_BYTES and length != 0xFFFFFFFF and not is_placeholder(length, present):
        return Part((), missing=_share(present, length, 0))
    return Part((head[:8] + b"\xff\xff\xff\xff" + head[12:], Span(16, size - 16)))


# --- ogg, flac, mp3, films ---


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


def _flac_parts(content: "mmap.mmap | bytes", size: int) -> list[Part]:
    """libsndfile believes the number of samples in the header, PyAV reads on: what its own length denies goes there."""
    starts = [0]
    for mark in (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22"):
        place = content.find(mark, 4)
        while place >= 0:
            starts.append(place)
            place = content.find(mark, place + 4)
    starts.sort()
    ends = [*starts[1:], size]
    parts = []
    for start, end in zip(starts, ends, strict=True):
        numbers = content[start + 18 : start + 26]
        value = int.from_bytes(numbers, "big") if len(numbers) == 8 else 0
        rate, samples = value >> 44, value & ((1 << 36) - 1)
        promised = samples / rate if rate and samples else None
        pieces: tuple[bytes | Span, ...] = () if len(starts) == 1 else (Span(start, end - start),)
        known = samples > 0 and _last_flac_sample(content, start, end) in (None, samples)
        parts.append(Part(pieces, promised, media="never" if known else "required"))
    return parts


def _last_flac_sample(content: "mmap.mmap | bytes", start: int, end: int) -> int | None:
    """Samples up to the end of the last frame, by its header; None where none is found."""
    smallest, largest = struct.unpack(">HH", content[start + 8 : start + 12])
    place = end
    while (place := content.rfind(b"\xff", start, place)) >= 0 and end - place < 1 << 18:
        samples = _flac_frame_end(content[place : place + 16], largest if smallest == largest else None)
        if samples is not None:
            return samples
    return None


def _flac_frame_end(head: bytes, fixed: int | None) -> int | None:
    """The number of the sample behind a FLAC frame; None for bytes that begin none."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    variable, block, rate = head[1] & 1, head[2] >> 4, head[2] & 15
    lead = head[4]
    more = 0 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length() - 1
    number = lead if more == 0 else lead & (0x3F >> more)
    for byte in head[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    place = 5 + more
    sizes = {1: 192, **{code: 576 << (code - 2) for code in range(2, 6)}, **{c: 256 << (c - 8) for c in range(8, 16)}}
    if block in (6, 7):
        count = int.from_bytes(head[place : place + block - 5], "big") + 1
        place += block - 5
    elif block in sizes:
        count = sizes[block]
    else:
        return None
    place += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if rate == 15 or len(head) <= place or _crc8(head[:place]) != head[place]:
        return None
    if variable:
        return number + count
    return None if fixed is None else number * fixed + count


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
    return value


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


def _mp3_parts(file: BinaryIO, content: "mmap.mmap | bytes", size: int) -> list[Part]:
    """An mp3 tells its length in a Xing (or Info) frame before its first; where several are joined, there are more."""
    starts = [0]
    for mark in (b"Xing", b"Info"):
        place = content.find(mark)
        while place >= 0:
            for back in (36, 21, 13, 38, 23, 15):
                head = content[max(place - back, 0) : max(place - back, 0) + 4]
                if place - back > (_mp3_start(file, 0) or 0) and is_mp3_header(head):
                    starts.append(place - back)
                    break
            place = content.find(mark, place + 4)
    starts.sort()
    ends = [*starts[1:], size]
    parts = []
    for start, end in zip(starts, ends, strict=True):
        sound = _mp3_start(file, start)
        promised = missing = stored = None
        if sound is not None:
            promised, stored = _xing_numbers(content[sound : sound + 192])
            if stored is not None and stored - (end - sound) > SLACK_BYTES:
                missing = f"{100 * (end - sound) / stored:.0f} % of what its header promises is there"
        pieces: tuple[bytes | Span, ...] = () if len(starts) == 1 else (Span(start, end - start),)
        orderly = promised is not None and stored is not None and abs(stored - (end - (sound or 0))) < _MP3_TAG_BYTES
        parts.append(Part(pieces, promised, missing, media="preferred" if orderly else "required"))
    return parts


def is_mp3_header(header: bytes) -> bool:
    """Whether these four bytes begin a frame of MPEG audio, layer I to III."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    version, layer, rate, bits = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 2 & 3, header[2] >> 4
    return version != 1 and layer != 0 and rate != 3 and bits != 15


def _mp3_start(file: BinaryIO, start: int) -> int | None:
    """Offset of the first MPEG audio frame, directly at `start` or after an ID3v2 tag there."""
    file.seek(start)
    head = file.read(10)
    if head[:3] == b"ID3" and len(head) == 10:
        a, b, c, d = head[6:10]
        start += 10 + (a << 21 | b << 14 | c << 7 | d)
        file.seek(start)
        # Taggers leave zeros between the tag and the sound.
        padding = file.read(8192)
        start += len(padding) - len(padding.lstrip(b"\0"))
    file.seek(start)
    return start if is_mp3_header(file.read(4)) else None


def _xing_numbers(frame: bytes) -> tuple[float | None, int | None]:
    """Seconds and bytes that the Xing (or Info) frame of an mp3 promises."""
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 16:
        return None, None
    flags, first, second = struct.unpack(">III", frame[at + 4 : at + 16])
    version, rate = frame[1] >> 3 & 3, (44_100, 48_000, 32_000)[frame[2] >> 2 & 3]
    rate_hz, samples = (rate, 1152) if version == 3 else (rate // (2 if version == 2 else 4), 576)
    seconds = first * samples / rate_hz if flags & 1 else None
    stored = (second if flags & 1 else first) if flags & 2 else None
    return seconds, stored
