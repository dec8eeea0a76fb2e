"""FLAC: the number of samples in its header beside the one that its last frame gives."""

import mmap
import struct

from softspoken.audio.parts import SLACK_S, Part
from softspoken.audio.pieces import Span


def flac_parts(content: "mmap.mmap | bytes", size: int) -> list[Part]:
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
        last = _last_flac_sample(content, start, end)
        missing = None
        if promised is not None and last is not None and last / rate < promised - SLACK_S:
            missing = f"its header promises {promised:.1f} s, {last / rate:.1f} s of them are there"
        known = samples > 0 and (last is None or last <= samples)
        parts.append(Part(pieces, promised, missing, media="never" if known else "required"))
    return parts


def _last_flac_sample(content: "mmap.mmap | bytes", start: int, end: int) -> int | None:
    """Samples up to the end of the last frame, by its header; None where none is found."""
    if end - start < 12:
        return None
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
