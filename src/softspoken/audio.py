"""Recordings in, 16 kHz mono float32 out; recordings that cannot be trusted are refused, each with one line.

wav, flac, ogg, opus, mp3 and aiff are read with soundfile; everything else (m4a, mp4, webm, aac, wma ...) with PyAV,
the extra `media`. Channels are averaged, other rates resampled with soxr as a stream, so an hour takes the memory of
a block. Recordings that are cut off (a header that promises clearly more than there is, or a decoder that fails half
way) are refused rather than used in part: a transcript that stops early without saying so is worse than a line that
says how much could be read.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from jaxtyping import Float32

from softspoken.audio_headers import is_known_to_soundfile, is_media_container, readable_part
from softspoken.errors import AudioError, ConfigError, MissingExtra
from softspoken.files import replacing

SAMPLE_RATE_HZ = 16_000
SHORTEST_S = 0.1
SILENCE_PEAK_DB = -80.0
# Encoders pad and trim a little, so a container's duration and its samples never agree to the last millisecond.
_TOLERANCE_S = 0.25
_RATES_HZ = (4_000, 384_000)
_BLOCK_FRAMES = 65_536
_REPAIR = "get the recording again, or keep what is left: ffmpeg -i '{name}' repaired.wav"

Waveform = Float32[np.ndarray, " samples"]


@dataclass(frozen=True)
class _Source:
    """An open recording: blocks [frames, channels] at its own rate, and how long its header says it is."""

    rate_hz: int
    promised_s: float | None
    blocks: Iterator[np.ndarray]


def load_audio(path: str | Path, *, start_s: float | None = None, end_s: float | None = None) -> Waveform:
    """The recording, or its part from `start_s` to `end_s` (cut at its end), as float32 mono at 16 kHz, full scale 1.

    Raises AudioError with one line when it is missing, a folder, empty, not audio, cut off, damaged, shorter than
    0.1 s or holds NaN or infinite samples; MissingExtra when it needs PyAV and that is not installed. Silence is not
    refused here: see `require_sound`.
    """
    path = Path(path)
    blocks = list(_mono_16k(path, start_s, end_s))
    audio = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    _require_length(path, len(audio), ranged=start_s is not None or end_s is not None)
    return audio


def stream_audio(path: str | Path, chunk_s: float) -> Iterator[Waveform]:
    """The recording in chunks of `chunk_s` seconds (the last one shorter), float32 mono 16 kHz, with flat memory.

    Joined, the chunks are `load_audio(path)`. What only shows on the way (cut off, damaged, NaN) raises AudioError
    after the chunks before it have been handed out.
    """
    samples = round(chunk_s * SAMPLE_RATE_HZ)
    if samples < 1:
        raise ConfigError(f"chunk_s = {chunk_s}: expected more than zero seconds; try 30")
    path, total, waiting = Path(path), 0, np.zeros(0, np.float32)
    for block in _mono_16k(path, None, None):
        total += len(block)
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= samples:
            yield waiting[:samples]
            waiting = waiting[samples:]
    _require_length(path, total, ranged=False)
    if len(waiting):
        yield waiting


def duration_s(path: str | Path) -> float:
    """Length of the recording in seconds, from its header where that is reliable, else by reading it through."""
    path = Path(path)
    with _open(path) as source:
        if source.promised_s is not None:
            return source.promised_s
        return sum(len(block) for block in source.blocks) / source.rate_hz


def require_readable(path: str | Path) -> None:
    """Raise AudioError at once for a file that is missing, empty or not audio, before anything dear is loaded for it.

    What only shows further on is left to `load_audio`, and a pipe, which can be read only once, altogether.
    """
    if not Path(path).exists() or Path(path).is_file():
        next(_mono_16k(Path(path), None, None), None)


def require_sound(audio: Waveform, path: str | Path, *, peak_db: float = SILENCE_PEAK_DB) -> None:
    """Raise AudioError when the loudest sample of `audio` is below `peak_db` (dB of full scale)."""
    peak = float(np.abs(audio).max(initial=0.0))
    if peak < 10 ** (peak_db / 20):
        level = "digital silence" if peak == 0 else f"its peak is {20 * np.log10(peak):.0f} dBFS"
        raise AudioError(f"'{path}' is silent ({level}, expected above {peak_db:.0f} dBFS): check the microphone")


def write_wav(path: str | Path, audio: Waveform, *, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write mono 16-bit WAV, atomically, whatever the name's suffix."""
    _write(Path(path), audio, rate_hz, "WAV", "PCM_16")


def write_audio(path: str | Path, audio: Waveform, *, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write mono audio, atomically, in the format of the suffix: .wav and .flac (16 bit), .ogg, .opus or .mp3."""
    formats = {
        ".wav": ("WAV", "PCM_16"),
        ".flac": ("FLAC", "PCM_16"),
        ".ogg": ("OGG", "VORBIS"),
        ".opus": ("OGG", "OPUS"),
        ".mp3": ("MP3", "MPEG_LAYER_III"),
    }
    path = Path(path)
    if path.suffix.lower() not in formats:
        raise AudioError(f"cannot write '{path.name}': expected a name ending in {', '.join(formats)}")
    _write(path, audio, rate_hz, *formats[path.suffix.lower()])


def _write(path: Path, audio: np.ndarray, rate_hz: int, file_format: str, subtype: str) -> None:
    if not np.isfinite(audio).all():
        raise AudioError(f"cannot write '{path}': the audio holds NaN or infinite samples")
    try:
        with replacing(path) as temporary:
            soundfile.write(temporary, audio, rate_hz, format=file_format, subtype=subtype)
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(f"cannot write '{path}': {error}; check that its folder exists and has space") from None


def _require_length(path: Path, samples: int, *, ranged: bool) -> None:
    if samples < SHORTEST_S * SAMPLE_RATE_HZ:
        what = "the chosen part of it" if ranged else "it"
        length = "holds no samples" if samples == 0 else f"lasts {samples / SAMPLE_RATE_HZ:.3f} s"
        raise AudioError(f"'{path}' is too short: {what} {length}, expected at least {SHORTEST_S} s of audio")


def _mono_16k(path: Path, start_s: float | None, end_s: float | None) -> Iterator[np.ndarray]:
    """Blocks of the averaged channels at 16 kHz; every check but those on the whole length."""
    first_s, last_s = 0.0 if start_s is None else start_s, float("inf") if end_s is None else end_s
    if not 0 <= first_s < last_s:
        raise AudioError(f"'{path}': cannot take the part from {first_s} s to {last_s} s; give 0 <= from < to")
    with _open(path) as source:
        rate = source.rate_hz
        stream = None if rate == SAMPLE_RATE_HZ else soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32")
        begin, read = round(first_s * rate), 0
        for block in source.blocks:
            mono = block.mean(axis=1, dtype=np.float32)
            part = mono[max(begin - read, 0) : None if end_s is None else max(round(last_s * rate) - read, 0)]
            if not np.isfinite(part).all():
                at_s = (max(begin, read) + int(np.isfinite(part).argmin())) / rate
                raise AudioError(f"'{path}' holds NaN or infinite samples (at {at_s:.2f} s): export it again")
            read += len(mono)
            if len(part):
                yield part if stream is None else stream.resample_chunk(part)
            if read >= last_s * rate:
                break
        else:
            _require_whole(path, source, read / rate)
            if start_s is not None and 0 < read <= begin:
                raise AudioError(f"'{path}' lasts {read / rate:.2f} s: cannot start at {first_s} s; choose less")
        if stream is not None:
            yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _require_whole(path: Path, source: _Source, read_s: float) -> None:
    if source.promised_s is not None and source.promised_s - read_s > _TOLERANCE_S:
        raise AudioError(_cut_off(path, f"{read_s:.1f} s of the {source.promised_s:.1f} s its header promises"))


def _cut_off(path: Path, readable: str) -> str:
    return f"'{path}' is cut off: only {readable} can be read; {_REPAIR.format(name=path.name)}"


@contextmanager
def _open(path: Path) -> Iterator[_Source]:
    """Open with soundfile, else with PyAV, after the checks that need no decoder."""
    try:
        if path.is_dir():
            raise AudioError(f"'{path}' is a folder, expected a recording: name one file in it")
        if not path.exists():
            raise AudioError(f"'{path}' does not exist: check the name, or the folder you are in ({Path.cwd()})")
        with path.open("rb") as file:
            if not file.read(1):
                raise AudioError(f"'{path}' is empty (0 bytes): record or copy it again")
    except OSError as error:
        raise AudioError(f"'{path}' cannot be opened: {error.strerror}; check its permissions") from None
    with ExitStack() as stack:
        source = _soundfile_source(path, stack) if is_known_to_soundfile(path) else None
        source = _av_source(path, stack) if source is None else source
        if not _RATES_HZ[0] <= source.rate_hz <= _RATES_HZ[1]:
            low, high = _RATES_HZ
            raise AudioError(f"'{path}' has a rate of {source.rate_hz} Hz, expected {low} to {high}: convert it")
        yield source


def _soundfile_source(path: Path, stack: ExitStack) -> _Source | None:
    """None when soundfile cannot open it, which leaves it to PyAV."""
    readable = readable_part(path)
    if readable is not None:
        raise AudioError(_cut_off(path, readable))
    try:
        file = stack.enter_context(soundfile.SoundFile(path))
    except (soundfile.SoundFileError, TypeError):  # TypeError: a .raw name without its rate
        return None
    # libsndfile answers 2^63 - 1 where it cannot know.
    promised = file.frames / file.samplerate if 0 < file.frames < 2**62 else None
    return _Source(file.samplerate, promised, _soundfile_blocks(path, file))


def _soundfile_blocks(path: Path, file: Any) -> Iterator[np.ndarray]:
    read = 0
    while True:
        try:
            block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.SoundFileError:
            left = f"{read / file.samplerate:.1f} s of {file.frames / file.samplerate:.1f} s"
            raise AudioError(_cut_off(path, left)) from None
        if not len(block):
            return
        read += len(block)
        yield block


def _av_source(path: Path, stack: ExitStack) -> _Source:
    not_audio = f"'{path}' is not audio that can be read: expected wav, flac, ogg, opus, mp3, m4a, webm or the like"
    try:
        import av
    except ImportError:
        if is_media_container(path):
            raise MissingExtra("av", "media", f"reading '{path.name}'") from None
        raise AudioError(not_audio) from None
    failures = (av.error.FFmpegError, ValueError, EOFError, OSError)
    # A handle and no protocols: a playlist that poses as a recording must not open other files or addresses.
    handle = stack.enter_context(path.open("rb"))
    try:
        container = stack.enter_context(av.open(handle, options={"protocol_whitelist": "none"}))
        if not container.streams.audio:
            if not is_media_container(path):  # FFmpeg takes plain text for a terminal recording
                raise AudioError(not_audio)
            raise AudioError(f"'{path}' holds no sound ({container.format.name} without an audio stream)")
        frames = iter(container.decode(container.streams.audio[0]))
        first = next(frames, None)
    except failures as error:
        half = " (a file that was not copied to its end looks like this too)" if is_media_container(path) else ""
        raise AudioError(f"{not_audio}{half}") from error
    if first is None:
        raise AudioError(f"'{path}' is too short: it holds no samples, expected at least {SHORTEST_S} s of audio")
    return _Source(first.sample_rate, _av_promised_s(container), _av_blocks(path, chain([first], frames), failures))


def _av_promised_s(container: Any) -> float | None:
    """Only from formats that store a duration: for raw aac, amr or mp3, FFmpeg guesses it from the bit rate."""
    stream, name = container.streams.audio[0], container.format.name
    if not any(known in name for known in ("mp4", "matroska", "asf", "wav", "flac")):
        return None
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    # The container's own duration is that of its longest stream: beside a film, it says nothing about the sound.
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


def _av_blocks(path: Path, frames: Iterator[Any], failures: tuple[type[Exception], ...]) -> Iterator[np.ndarray]:
    import av

    resampler, read_s = av.AudioResampler(format="fltp"), 0.0
    while True:
        try:
            frame = next(frames, None)
            blocks = [] if frame is None else [out.to_ndarray().T for out in resampler.resample(frame)]
        except failures as error:
            raise AudioError(_cut_off(path, f"the first {read_s:.1f} s")) from error
        if frame is None:
            return
        read_s += frame.samples / frame.sample_rate
        yield from blocks
