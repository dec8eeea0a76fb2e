"""Recordings of every kind that people have, made from one sound, each with what must be read of it.

container x codec x rate x channels x length field x cut point. What must hold: a recording that is all there is read
to its end, whatever its header says; one that is not is refused, or read up to the damage and said so.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import soundfile

SECONDS = 2.4
Expected = Literal["whole", "refused"]


@dataclass(frozen=True)
class Medium:
    """A file as bytes. `whole`: it must be read as `seconds` s; `refused`: as less, it must not be read in silence."""

    name: str
    content: bytes
    expected: Expected
    seconds: float


def sound(rate_hz: int, channels: int, seconds: float = SECONDS, seed: int = 0) -> np.ndarray:
    """Noise that never pauses [samples, channels]: nothing of it can be lost unseen."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(0, 0.1, (round(seconds * rate_hz), channels)).clip(-0.9, 0.9), np.float32)


LIBSNDFILE = {"wav": "PCM_16", "wav24": "PCM_24", "wavf": "FLOAT", "ulaw": "ULAW", "flac": "PCM_16", "ogg": "VORBIS"}
LIBSNDFILE |= {"opus": "OPUS", "mp3": "MPEG_LAYER_III", "aiff": "PCM_16", "au": "PCM_16"}
_FORMATS = {"wav24": "WAV", "wavf": "WAV", "ulaw": "WAV", "opus": "OGG"}
FFMPEG = {"m4a": ("mp4", "aac"), "webm": ("webm", "libopus"), "mkv": ("matroska", "flac"), "adts": ("adts", "aac")}
FFMPEG |= {"ts": ("mpegts", "aac"), "alac": ("mp4", "alac"), "fragments": ("mp4", "aac"), "mka": ("matroska", "ac3")}
FFMPEG |= {"avi": ("avi", "pcm_s16le"), "caf": ("caf", "pcm_s16le")}
_RATES = {"opus": (48_000, 16_000), "webm": (48_000, 16_000), "mka": (48_000,)}
_PROMISES_NOTHING = ("adts", "ts")
"""Cut off, they are whole recordings that are shorter."""


def encoded(kind: str, rate_hz: int, channels: int, seed: int = 0, seconds: float = SECONDS) -> bytes:
    """A whole recording of one kind."""
    audio = sound(rate_hz, channels, seconds, seed)
    if kind in LIBSNDFILE:
        file = io.BytesIO()
        soundfile.write(file, audio, rate_hz, format=_FORMATS.get(kind, kind.upper()), subtype=LIBSNDFILE[kind])
        return file.getvalue()
    return with_ffmpeg(*FFMPEG[kind], audio, rate_hz, fragments=kind == "fragments")


def with_ffmpeg(
    container: str,
    codec: str,
    audio: np.ndarray,
    rate_hz: int,
    *,
    fragments: bool = False,
    begin_s: float = 0.0,
    gap: tuple[float, float] | None = None,
) -> bytes:
    """Through PyAV; `begin_s`: where its clock begins; `gap`: packets between these seconds are left out."""
    import av

    file = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"} if fragments else {}
    layout = "mono" if audio.shape[1] == 1 else "stereo"
    with av.open(file, "w", format=container, options=options) as opened:
        stream: Any = opened.add_stream(codec, rate=rate_hz, layout=layout)
        form = stream.codec_context.format.name
        resampler = av.AudioResampler(format=form, layout=layout, rate=rate_hz, frame_size=stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.T), format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        frame.pts = 0
        frames = [*resampler.resample(frame), *resampler.resample(None)]
        for one in [*frames, None]:
            for packet in stream.encode(one):
                at_s = float(packet.pts * packet.time_base)
                if gap is not None and gap[0] <= at_s < gap[1]:
                    continue
                shift = round(begin_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                opened.mux(packet)
    return file.getvalue()


def media(every: int = 1) -> Iterator[Medium]:
    """Every `every`-th of some hundred."""
    for number, make in enumerate(_makers()):
        if number % every == 0:
            yield from make()


def _makers() -> Iterator[Any]:
    for kind in [*LIBSNDFILE, *FFMPEG]:
        for rate_hz in _RATES.get(kind, (8_000, 16_000, 44_100)):
            for channels in (1, 2):
                yield lambda k=kind, r=rate_hz, c=channels: _variants(k, r, c)


def _variants(kind: str, rate_hz: int, channels: int) -> Iterator[Medium]:
    content = encoded(kind, rate_hz, channels)
    name = f"{kind} {rate_hz} Hz {channels} ch"
    yield Medium(name, content, "whole", SECONDS)
    other = encoded(kind, rate_hz, channels, seed=1, seconds=1.5)
    yield Medium(f"{name} joined", content + other, "whole", SECONDS + 1.5)
    for change, changed in _lengths(kind, content):
        yield Medium(f"{name} {change}", changed, "whole", SECONDS)
    for share in () if kind in _PROMISES_NOTHING else (0.35, 0.8):
        yield Medium(f"{name} cut at {share}", content[: int(len(content) * share)], "refused", SECONDS)


def _lengths(kind: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Length fields that say nothing, or too little."""
    if kind in ("wav", "wav24", "wavf", "ulaw"):
        place = content.index(b"data") + 4
        true = struct.unpack("<I", content[place : place + 4])[0]
        for value in (0, 0xFFFFFFFF, 0x7FFFFFFF, 2_000_000_000, 0x80000000, true // 2 // 4 * 4):
            yield f"length {value}", content[:place] + struct.pack("<I", value) + content[place + 4 :]
    elif kind == "flac":
        value = int.from_bytes(content[18:26], "big")
        for samples in (0, (value & ((1 << 36) - 1)) // 2):
            yield f"{samples} samples", content[:18] + (value >> 36 << 36 | samples).to_bytes(8, "big") + content[26:]
    elif kind == "au":
        for value in (0xFFFFFFFF, 2000):
            yield f"length {value}", content[:8] + struct.pack(">I", value) + content[12:]
    elif kind == "aiff":
        place = content.index(b"SSND") + 4
        for value in (0xFFFFFFFF, 2008):
            yield f"length {value}", content[:place] + struct.pack(">I", value) + content[place + 4 :]
    elif kind == "mp3":
        place = max(content.find(b"Xing"), content.find(b"Info"))
        frames = struct.unpack(">I", content[place + 8 : place + 12])[0]
        yield "half of the frames", content[: place + 8] + struct.pack(">I", frames // 2) + content[place + 12 :]
        yield "no Xing frame", content[content.index(content[:2], 4) :]
