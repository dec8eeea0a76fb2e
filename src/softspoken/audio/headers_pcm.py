"""wav, aiff, au, caf and avi: samples between a header and chunks, and a length that may not be true."""

import struct

from softspoken.audio.parts import SLACK_BYTES, Part
from softspoken.audio.pieces import Binary, Span

# Sizes from here on mean "unknown": writers to a pipe put 0xFFFFFFFF or a little under 2^31.
_UNKNOWN_BYTES = 0x7FFF0000
_LEAST_PLACEHOLDER_BYTES = 1_000_000_000


def wav_parts(file: Binary, size: int) -> list[Part]:
    parts: list[Part] = []
    start: int | None = 0
    while start is not None and start + 12 <= size:
        part, start = _wav_part(file, start, size)
        if part is not None:
            parts.append(part)
    return parts


def _wav_part(file: Binary, start: int, size: int) -> tuple[Part | None, int | None]:
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
    return (Part((), missing="its header is there and none of the samples") if start == 0 else None), None


def _wav_data(
    file: Binary, place: tuple[int, int, int], form: bytes, promised: int, order: str
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


def _behind_samples(file: Binary, place: int, size: int, order: str) -> int | None:
    """Where the next recording begins, `size` for none; None where what follows is neither chunks nor a recording."""
    while size - place > SLACK_BYTES:
        file.seek(place)
        head = file.read(12)
        if (head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE") or (
            head[:4] == b"FORM" and head[8:11] == b"AIF"
        ):
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


def _is_chunk(file: Binary, place: int, size: int, order: str) -> bool:
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


def aiff_parts(file: Binary, size: int) -> list[Part]:
    """The recordings in an aiff file."""
    parts: list[Part] = []
    start: int | None = 0
    while start is not None and start + 12 <= size:
        part, start = _aiff_part(file, start, size)
        parts.append(part)
    return parts


def _aiff_part(file: Binary, start: int, size: int) -> tuple[Part, int | None]:
    """The aiff that begins at `start`, and where another one does."""
    place, common = start + 12, b""
    while place + 8 <= size:
        file.seek(place)
        name, length = struct.unpack(">4sI", file.read(8))
        if name == b"COMM":
            common = file.read(min(length, 4096))
        elif name == b"SSND":
            present = size - place - 8
            after = _behind_samples(file, place + 8 + length, size, ">") if length <= present else size
            if after is None or (length - present > SLACK_BYTES and is_placeholder(length, present)):
                return _true_aiff(common, place + 8, present), None
            if length - present > SLACK_BYTES:
                pieces = _true_aiff(common, place + 8, present).pieces
                return Part(pieces, missing=_share(present, length, 0)), None
            if start == 0 and after == size:
                return Part(()), None
            return _true_aiff(common, place + 8, min(length, present)), after if after < size else None
        place += 8 + length + length % 2
    return Part((), missing="its header is there and none of the samples"), None


def _true_aiff(common: bytes, begin: int, present: int) -> Part:
    if len(common) < 18:
        return Part(())
    channels, bits = struct.unpack(">h4xh", common[:8])
    frames = max(present - 8, 0) // max(1, channels * ((bits + 7) // 8))
    common = common[:2] + struct.pack(">I", frames) + common[6:]
    kind = b"AIFC" if len(common) > 18 else b"AIFF"
    chunk = struct.pack(">4sI", b"COMM", len(common)) + common + b"\0" * (len(common) % 2)
    head = struct.pack(">4sI4s", b"FORM", min(4 + len(chunk) + 8 + present, 0xFFFFFFFF), kind) + chunk
    return Part((head + struct.pack(">4sI", b"SSND", present), Span(begin, present)))


def au_part(head: bytes, size: int) -> Part:
    begin, length = struct.unpack(">II", head[4:12]) if len(head) >= 12 else (0, 0)
    if not 24 <= begin <= size:
        return Part((), missing="its header is there and none of the samples")
    present = size - begin
    if length - present > SLACK_BYTES and length != 0xFFFFFFFF and not is_placeholder(length, present):
        return Part((), missing=_share(present, length, 0))
    return Part((head[:8] + b"\xff\xff\xff\xff" + head[12:], Span(16, size - 16)))


def caf_parts(file: Binary, size: int) -> list[Part]:
    """The recordings in a caf file."""
    starts, place, missing = [0], 8, None
    while place + 12 <= size:
        file.seek(place)
        name, length = struct.unpack(">4sq", file.read(12))
        if name[:4] == b"caff":
            starts.append(place)
            place += 8
            continue
        if length < 0:  # unknown: to the end
            break
        place += 12 + length
    if place - size > SLACK_BYTES:
        missing = f"{100 * size / place:.0f} % of what its header promises is there"
    if len(starts) == 1:
        return [Part((), missing=missing)]
    ends = [*starts[1:], size]
    parts = [Part((Span(start, end - start),)) for start, end in zip(starts, ends, strict=True)]
    return [*parts[:-1], Part(parts[-1].pieces, missing=missing)]


def avi_parts(file: Binary, size: int) -> list[Part]:
    """The recordings in an avi file; a long one continues in further chunks."""
    starts, place, missing = [], 0, None
    while place + 12 <= size:
        file.seek(place)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if name != b"RIFF" or kind not in (b"AVI ", b"AVIX"):
            break
        if kind == b"AVI ":
            starts.append(place)
        if length == 0 or is_placeholder(length, size - place):
            break
        place += 8 + length + length % 2
    if place - size > SLACK_BYTES:
        missing = f"{100 * size / place:.0f} % of what its header promises is there"
    if len(starts) == 1:
        return [Part((), missing=missing, media="required")]
    ends = [*starts[1:], size]
    parts = [Part((Span(start, end - start),), media="required") for start, end in zip(starts, ends, strict=True)]
    return [*parts[:-1], Part(parts[-1].pieces, missing=missing, media="required")]
