"""Two decoders, one shape: blocks of samples at the recording's own rate.

libsndfile reads wav, flac, ogg, opus and aiff, PyAV (the extra `media`) everything else. Only PyAV knows of a
container's clock: where its track begins late or packets are missing, the blocks hold silence, so that times in the
blocks are those that a player shows.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from softspoken.audio.headers import is_media_container
from softspoken.audio.parts import SLACK_S, Part
from softspoken.audio.pieces import Binary, Pieces, Span
from softspoken.audio.recording import Recording, damaged, logger
from softspoken.errors import AudioError, ConfigError, MissingExtra

WORTH_SAYING_S = 0.1
JITTER_S = 0.04
"""Containers round their times; less than this is no gap."""
LONGEST_SILENCE_S = 3600.0
"""More missing than this, all gaps together, is a clock that is wrong."""
_BLOCK_SAMPLES = 65_536
_CAREFUL_SAMPLES = 576
_FIXED_CLOCKS = ("mp4", "matroska", "avi", "asf")
"""Formats whose times begin at 0; in others they go on from a broadcast, and players begin with the first."""
_ABOUT_DURATION = ("mp4", "matroska", "asf", "wav", "flac", "avi")
"""Formats that store a duration: for raw aac, amr or mp3, FFmpeg guesses it from the bit rate."""


@dataclass(frozen=True)
class Source:
    """An open recording: blocks [frames, channels] at its own rate, and how long its header says it is."""

    rate_hz: int
    promised_s: float | None
    blocks: Iterator[np.ndarray]


class Damage(Exception):
    """What cannot be decoded any further, in words; caught where `--partial` is known."""


def open_part(recording: Recording, file: Binary, part: Part | None, stack: ExitStack) -> Source:
    """Decode one part of a file. None: a format of which only PyAV may know.

    Raises AudioError for what is no audio, MissingExtra where PyAV is needed and not there.
    """
    if part is not None and (part.media == "never" or (part.media == "preferred" and not _has_pyav())):
        source = _soundfile_source(recording, file, part, stack)
        if source is not None:
            _require_track(recording, 1)
            return source
    return _media_source(recording, file, part, stack)


def _has_pyav() -> bool:
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def _view(recording: Recording, file: Binary, part: Part | None) -> Any:
    whole = (Span(0, file.seek(0, 2)),)
    return Pieces(file, part.pieces if part is not None and part.pieces else whole)


def _soundfile_source(recording: Recording, file: Binary, part: Part, stack: ExitStack) -> Source | None:
    """None when soundfile cannot open it, which leaves it to PyAV."""
    # As bytes: soundfile refuses names that are not UTF-8.
    path = recording.path
    given = _view(recording, file, part) if path is None or part.pieces else os.fsencode(path)
    try:
        sound = stack.enter_context(soundfile.SoundFile(given))
    except (soundfile.SoundFileError, TypeError):  # TypeError: a .raw name without its rate
        return None
    # libsndfile answers 2^63 - 1 where it cannot know.
    promised = sound.frames / sound.samplerate if 0 < sound.frames < 2**62 else None
    return Source(sound.samplerate, promised, _soundfile_blocks(sound))


def _soundfile_blocks(sound: Any) -> Iterator[np.ndarray]:
    size = max(1024, _BLOCK_SAMPLES * 2 // sound.channels) if sound.channels > 2 else _BLOCK_SAMPLES
    read = 0
    while True:
        try:
            if size == _CAREFUL_SAMPLES:
                sound.seek(read)
            block = sound.read(size, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, MemoryError):
            if size == _CAREFUL_SAMPLES:
                raise Damage from None
            size = _CAREFUL_SAMPLES  # up to the damage
            continue
        if not len(block):
            return
        read += len(block)
        yield block


# --- PyAV ---


def _media_source(recording: Recording, file: Binary, part: Part | None, stack: ExitStack) -> Source:
    not_audio = (
        f"'{recording}' is not audio that can be read: expected wav, flac, ogg, opus, mp3, m4a, webm or the like"
    )
    known = is_media_container(file)
    try:
        import av
    except ImportError:
        if known:
            raise MissingExtra("av", "media", f"reading '{recording}'") from None
        raise AudioError(not_audio) from None
    try:
        # A handle and no protocols: a playlist that poses as a recording must not open other files or addresses.
        container = stack.enter_context(
            av.open(_view(recording, file, part), options={"protocol_whitelist": "none"}, metadata_errors="replace")
        )
    except (av.error.FFmpegError, ValueError, EOFError, OSError) as error:
        raise AudioError(_why_unreadable(recording, file, not_audio, known)) from error
    if not container.streams.audio:
        if not known:  # FFmpeg takes plain text for a terminal recording
            raise AudioError(not_audio)
        raise AudioError(f"'{recording}' holds no sound ({container.format.name} without an audio track)")
    track = _track(recording, container)
    if track.codec_context is None:
        raise AudioError(f"'{recording}': its sound is coded in a way that cannot be read; convert it to wav")
    blocks = _Clocked(recording, container, track)
    rate_hz = blocks.rate_hz
    if rate_hz is None:
        raise AudioError(_why_unreadable(recording, file, not_audio, known))
    return Source(rate_hz, _promised_s(container, track, part), iter(blocks))


def _why_unreadable(recording: Recording, file: Binary, not_audio: str, known: bool) -> str:
    file.seek(0)
    head = file.read(12)
    if head[4:8] in (b"ftyp", b"mdat", b"free", b"wide"):
        return (
            f"'{recording}' has no index: it was not copied to its end, or its recorder was stopped before it could "
            "write one; get it again"
        )
    return (
        f"'{recording}' cannot be decoded: it is broken from its first frame on; get it again" if known else not_audio
    )


def _track(recording: Recording, container: Any) -> Any:
    tracks = container.streams.audio
    _require_track(recording, len(tracks))
    if recording.track is not None:
        return tracks[recording.track - 1]
    for track in tracks:
        if "default" in str(getattr(track, "disposition", "")).lower():
            return track
    return tracks[0]


def _require_track(recording: Recording, tracks: int) -> None:
    if recording.track is not None and recording.track > tracks:
        count = "one audio track" if tracks == 1 else f"{tracks} audio tracks"
        raise ConfigError(f"'{recording}' has {count}; there is no track {recording.track}")


def _promised_s(container: Any, track: Any, part: Part | None) -> float | None:
    if part is not None and part.promised_s is not None:
        return part.promised_s
    name = container.format.name
    if not any(known in name for known in _ABOUT_DURATION):
        return None
    start_s = float((track.start_time or 0) * track.time_base) if any(fix in name for fix in _FIXED_CLOCKS) else 0.0
    if track.duration is not None:
        return max(start_s, 0.0) + float(track.duration * track.time_base)
    # The container's own duration is that of its longest stream: beside a film, it says nothing about the sound.
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


class _Clocked:
    """The blocks of a track in the container's time: gaps are silence."""

    def __init__(self, recording: Recording, container: Any, track: Any) -> None:
        self._recording, self._track = recording, track
        fixed = any(name in container.format.name for name in _FIXED_CLOCKS)
        self._zero_s = 0.0 if fixed or container.start_time is None else container.start_time / 1e6
        # A raw stream of frames has no clock, FFmpeg counts for it and is put off by tags between the frames.
        self._has_clock = container.format.name not in ("mp3", "aac", "flac", "wav", "ac3", "eac3", "amr", "au", "aiff")
        self._written, self._silence_s, self._lost_s = 0, 0.0, 0.0
        self._resampler: Any = None
        self._setup: tuple[Any, ...] | None = None
        self._first_setup: tuple[Any, ...] | None = None
        self._frames = self._decoded(container)
        self._first = next(self._frames, None)

    @property
    def rate_hz(self) -> int | None:
        """None where not one frame can be decoded."""
        return None if self._first is None else self._first.sample_rate

    def _decoded(self, container: Any) -> Iterator[Any]:
        import av

        failures = (av.error.FFmpegError, ValueError, EOFError, OSError)
        packets = container.demux(self._track)
        while True:
            try:
                packet = next(packets, None)
            except failures as error:
                raise Damage from error
            if packet is None:
                return
            try:
                frames = packet.decode()
            except failures as error:
                self._lost(packet, error)
                continue
            yield from frames

    def _lost(self, packet: Any, error: Exception) -> None:
        """Players go on behind a packet that cannot be decoded; more than a few are damage."""
        duration = float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 0.03
        self._lost_s += duration
        if self._lost_s > SLACK_S:
            raise Damage from error

    def __iter__(self) -> Iterator[np.ndarray]:
        waiting: list[np.ndarray] = []
        size, frame = 0, self._first
        while frame is not None:
            for block in self._blocks_of(frame):
                waiting.append(block)
                size += len(block)
                if size >= _BLOCK_SAMPLES:
                    yield np.concatenate(waiting)
                    waiting, size = [], 0
            try:
                frame = next(self._frames, None)
            except Damage:
                if waiting:
                    yield np.concatenate(waiting)
                raise
        if waiting:
            yield np.concatenate(waiting)
        if self._lost_s > WORTH_SAYING_S:
            logger.warning("'%s': %.2f s of it could not be decoded and are left out", self._recording, self._lost_s)

    def _blocks_of(self, frame: Any) -> Iterator[np.ndarray]:
        import av

        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if setup != self._setup:
            self._first_setup = self._first_setup or setup
            _, layout, rate = self._first_setup
            # Interleaved: PyAV reads beyond a frame of more than eight channels that lie one after the other.
            self._resampler, self._setup = av.AudioResampler(format="flt", layout=layout, rate=rate), setup
        try:
            resampled = self._resampler.resample(frame)
            blocks = [out.to_ndarray().reshape(-1, out.layout.nb_channels) for out in resampled]
        except (av.error.FFmpegError, ValueError) as error:
            raise Damage from error
        for block in blocks:
            yield from self._silence_before(frame, block.shape[1])
            self._written += len(block)
            yield block

    def _silence_before(self, frame: Any, channels: int) -> Iterator[np.ndarray]:
        if not self._has_clock or frame.pts is None or self._first_setup is None:
            return
        rate = self._first_setup[2]
        at_s = float(frame.pts * frame.time_base) - self._zero_s
        gap_s = at_s - self._written / rate
        if gap_s < -1.0:  # the clock was set back: another recording goes on here
            self._zero_s += gap_s
        if gap_s <= JITTER_S:
            return
        self._silence_s += gap_s
        if self._silence_s > LONGEST_SILENCE_S:
            raise damaged(self._recording, f"its clock jumps by {gap_s:.0f} s at {self._written / rate:.1f} s")
        left = round(gap_s * rate)
        self._written += left
        while left > 0:
            yield np.zeros((min(left, _BLOCK_SAMPLES), channels), np.float32)
            left -= _BLOCK_SAMPLES
