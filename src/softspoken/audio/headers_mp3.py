"""mp3: frames without a header before them; the first may say how many there are."""

import mmap
import struct

from softspoken.audio.parts import SLACK_BYTES, Part
from softspoken.audio.pieces import Binary, Span

_TAG_BYTES = 4096
"""Tags behind the sound, counted in or not."""
_RATES_HZ = (44_100, 48_000, 32_000)
"""Of MPEG 1."""


def mp3_parts(file: Binary, content: "mmap.mmap | bytes", size: int) -> list[Part]:
    """An mp3 tells its length in a Xing (or Info) frame before its first; where several are joined, there are more."""
    starts = [0]
    for mark in (b"Xing", b"Info"):
        place = content.find(mark)
        while place >= 0:
            for back in (36, 21, 13, 38, 23, 15):
                head = content[max(place - back, 0) : max(place - back, 0) + 4]
                if place - back > (mp3_start(file, 0) or 0) and is_mp3_header(head):
                    starts.append(place - back)
                    break
            place = content.find(mark, place + 4)
    starts.sort()
    ends = [*starts[1:], size]
    parts = []
    for start, end in zip(starts, ends, strict=True):
        sound = mp3_start(file, start)
        promised = missing = stored = None
        if sound is not None:
            promised, stored = _xing_numbers(content[sound : sound + 192])
            if stored is not None and stored - (end - sound) > SLACK_BYTES:
                missing = f"{100 * (end - sound) / stored:.0f} % of what its header promises is there"
        pieces: tuple[bytes | Span, ...] = () if len(starts) == 1 else (Span(start, end - start),)
        orderly = promised is not None and stored is not None and abs(stored - (end - (sound or 0))) < _TAG_BYTES
        parts.append(Part(pieces, promised, missing, media="preferred" if orderly else "required"))
    return parts


def is_mp3_header(header: bytes) -> bool:
    """Whether these four bytes begin a frame of MPEG audio, layer I to III."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    version, layer, rate, bits = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 2 & 3, header[2] >> 4
    return version != 1 and layer != 0 and rate != 3 and bits != 15


def mp3_start(file: Binary, start: int) -> int | None:
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
    header = file.read(4)
    if header[:2] == b"\xff\xfe" and not _goes_on(file, start, header):
        return None
    return start if is_mp3_header(header) else None


def _goes_on(file: Binary, start: int, header: bytes) -> bool:
    """Whether another frame of layer I follows the one at `start`. Text in UTF-16 begins as such a frame does."""
    bits = header[2] >> 4 if is_mp3_header(header) else 0
    if bits == 0:
        return False
    file.seek(start + 4 * (12 * 32_000 * bits // _RATES_HZ[header[2] >> 2 & 3] + (header[2] >> 1 & 1)))
    return file.read(2) == header[:2]


def _xing_numbers(frame: bytes) -> tuple[float | None, int | None]:
    """Seconds and bytes that the Xing (or Info) frame of an mp3 promises."""
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 16:
        return None, None
    flags, first, second = struct.unpack(">III", frame[at + 4 : at + 16])
    version, rate = frame[1] >> 3 & 3, _RATES_HZ[frame[2] >> 2 & 3]
    rate_hz, samples = (rate, 1152) if version == 3 else (rate // (2 if version == 2 else 4), 576)
    seconds = first * samples / rate_hz if flags & 1 else None
    stored = (second if flags & 1 else first) if flags & 2 else None
    return seconds, stored
