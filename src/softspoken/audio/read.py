"""From a recording of any kind to mono at 16 kHz, as a whole or as a stream."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import soxr
from jaxtyping import Float32

from softspoken.audio.channels import Mixer
from softspoken.audio.decoders import Damage, Source, open_part
from softspoken.audio.headers import parts_of
from softspoken.audio.parts import SLACK_S, Part
from softspoken.audio.pieces import Binary
from softspoken.audio.recording import AudioLike, Recording, cut_off, damaged, logger
from softspoken.errors import AudioError, ConfigError

SAMPLE_RATE_HZ = 16_000
SHORTEST_S = 0.1
SILENCE_PEAK_DB = -80.0
_RATES_HZ = (4_000, 384_000)
_RAW_BLOCK = 65_536
_LARGEST = 128.0
"""Times full scale: larger numbers were never meant as floating point samples."""

Waveform = Float32[np.ndarray, " samples"]


def load_audio(recording: AudioLike, *, start_s: float | None = None, end_s: float | None = None) -> Waveform:
    """The recording, or its part from `start_s` to `end_s` (cut at its end), as float32 mono at 16 kHz, full scale 1.

    `recording`: a path ('-': the standard input), bytes, an open file, samples, or a `Recording` that says more.

    Raises AudioError with one line when it is missing, a folder, empty, not audio, cut off, damaged, shorter than
    0.1 s or holds samples that are no numbers or far beyond full scale; MissingExtra when it needs PyAV and that is
    not installed. Silence is not refused here: see `require_sound`.
    """
    recording = Recording.of(recording)
    blocks = list(_mono_16k(recording, start_s, end_s))
    audio = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    _require_length(recording, len(audio), ranged=start_s is not None or end_s is not None)
    return audio


def stream_audio(recording: AudioLike, chunk_s: float) -> Iterator[Waveform]:
    """The recording in chunks of `chunk_s` seconds (the last one shorter), float32 mono 16 kHz, with flat memory.

    Joined, the chunks are `load_audio(recording)`. What only shows on the way (cut off, damaged, NaN) raises AudioError
    after the chunks before it have been handed out.
    """
    samples = round(chunk_s * SAMPLE_RATE_HZ)
    if samples < 1:
        raise ConfigError(f"chunk_s = {chunk_s}: expected more than zero seconds; try 30")
    recording, total, waiting = Recording.of(recording), 0, np.zeros(0, np.float32)
    for block in _mono_16k(recording, None, None):
        total += len(block)
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= samples:
            yield waiting[:samples]
            waiting = waiting[samples:]
            if recording.on_read is not None:
                recording.on_read((total - len(waiting)) / SAMPLE_RATE_HZ)
    if not recording.is_samples:  # a program that listens hands over what it hears
        _require_length(recording, total, ranged=False)
    if len(waiting):
        yield waiting


def duration_s(recording: AudioLike) -> float:
    """Length of the recording in seconds, from its header where that is reliable, else by reading it through."""
    recording, total_s = Recording.of(recording), 0.0
    with ExitStack() as stack:
        for source, part in _sources(recording, stack):
            if source.promised_s is not None and part is not None and part.media == "never":
                total_s += source.promised_s
                continue
            total_s += sum(len(block) for block in _whole(recording, source, part)) / source.rate_hz
    return total_s


def promised_duration_s(recording: AudioLike) -> float | None:
    """Length of the recording in seconds by its header, without reading it; None where that does not say."""
    recording, total_s = Recording.of(recording), 0.0
    with ExitStack() as stack:
        for source, _ in _sources(recording, stack):
            if source.promised_s is None:
                return None
            total_s += source.promised_s
    return total_s


def require_readable(recording: AudioLike) -> None:
    """Raise AudioError at once for what is missing, too short or not audio, before anything dear is loaded for it.

    What only shows further on is left to `load_audio`.
    """
    recording, total = Recording.of(recording), 0
    with closing(_mono_16k(recording, None, None)) as blocks:
        for block in blocks:
            total += len(block)
            if total >= SHORTEST_S * SAMPLE_RATE_HZ:
                return
    _require_length(recording, total, ranged=False)


def require_sound(audio: Waveform, name: Any, *, peak_db: float = SILENCE_PEAK_DB) -> None:
    """Raise AudioError when `audio` swings by less than `peak_db` (dB of full scale). Its extremes will do."""
    low, high = (0.0, 0.0) if audio.size == 0 else (float(audio.min()), float(audio.max()))
    if low == high == 0:
        raise AudioError(f"'{name}' is silent (digital silence, every sample is zero): its sound was lost on the way")
    least, middle = 10 ** (peak_db / 20), (high + low) / 2
    if (high - low) / 2 >= least:
        return
    if abs(middle) >= least:
        raise AudioError(f"'{name}' holds a constant ({middle:.3g} of full scale) and no sound: check the sound card")
    level = f"its peak is {20 * np.log10(max(high, -low)):.0f} dBFS, expected above {peak_db:.0f} dBFS"
    raise AudioError(f"'{name}' is silent ({level}): check the microphone")


def _require_length(recording: Recording, samples: int, *, ranged: bool) -> None:
    if samples < SHORTEST_S * SAMPLE_RATE_HZ:
        what = "the chosen part of it" if ranged else "it"
        length = "holds no samples" if samples == 0 else f"lasts {samples / SAMPLE_RATE_HZ:.3f} s"
        raise AudioError(f"'{recording}' is too short: {what} {length}, expected at least {SHORTEST_S} s of audio")


def _mono_16k(recording: Recording, start_s: float | None, end_s: float | None) -> Generator[np.ndarray]:
    """Blocks of one channel at 16 kHz; every check but those on the whole length."""
    first_s, last_s = 0.0 if start_s is None else start_s, float("inf") if end_s is None else end_s
    if not 0 <= first_s < last_s:
        raise AudioError(f"'{recording}': cannot take the part from {first_s} s to {last_s} s; give 0 <= from < to")
    before_s, mixer = 0.0, Mixer(recording)
    with ExitStack() as stack:
        for source, part in _sources(recording, stack):
            rate = source.rate_hz
            stream = None if rate == SAMPLE_RATE_HZ else soxr.ResampleStream(rate, SAMPLE_RATE_HZ, 1, dtype="float32")
            begin, read = round((first_s - before_s) * rate), 0
            for block in _whole(recording, source, part):
                mono = mixer(block, before_s + read / rate)
                taken = None if end_s is None else max(round((last_s - before_s) * rate) - read, 0)
                wanted = mono[max(begin - read, 0) : taken]
                _require_samples(recording, wanted, before_s + max(begin, read) / rate, rate)
                read += len(mono)
                if len(wanted):
                    yield wanted if stream is None else stream.resample_chunk(wanted)
                if read / rate + before_s >= last_s:
                    break
            before_s += read / rate
            if stream is not None:
                yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
            if before_s >= last_s:
                return
        if start_s is not None and 0 < before_s <= first_s:
            raise AudioError(f"'{recording}' lasts {before_s:.2f} s: cannot start at {first_s} s; choose less")


def _require_samples(recording: Recording, samples: np.ndarray, begin_s: float, rate_hz: int) -> None:
    """Raises AudioError for samples that no recorder writes but floating point files and arrays can hold."""
    numbers = np.isfinite(samples)
    if not numbers.all():
        at_s = begin_s + int(numbers.argmin()) / rate_hz
        raise AudioError(f"'{recording}' holds NaN or infinite samples (at {at_s:.2f} s): export it again")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > _LARGEST:
        raise AudioError(f"'{recording}' holds samples up to {peak:.3g}; full scale is 1: export it again as integers")


def _whole(recording: Recording, source: Source, part: Part | None) -> Iterator[np.ndarray]:
    """The blocks of a part that is all there; of one that is not, the error, or with `partial` what is there."""
    read, rate, promised_s = 0, source.rate_hz, source.promised_s
    broken = None
    try:
        for block in source.blocks:
            read += len(block)
            yield block
    except Damage:
        # A few samples at the end are not worth a refusal.
        if promised_s is None or promised_s - read / rate > SLACK_S:
            broken = damaged(recording, f"it cannot be decoded from {read / rate:.1f} s on", recording.salvage)
    if broken is None and promised_s is not None and promised_s - read / rate > SLACK_S:
        there = f"its header promises {promised_s:.1f} s, {read / rate:.1f} s of them are there"
        broken = cut_off(recording, there)
    if part is not None and part.missing is not None:
        broken = cut_off(recording, part.missing)
    if broken is None:
        return
    if not recording.partial:
        raise broken
    logger.warning("%s", str(broken).split("; get it again")[0] + f": what follows {read / rate:.1f} s is missing")


def _sources(recording: Recording, stack: ExitStack) -> Iterator[tuple[Source, Part | None]]:
    """The recordings joined in one file, one after the other."""
    if recording.is_samples:
        yield Source(recording.sample_rate or SAMPLE_RATE_HZ, None, _sample_blocks(recording.samples())), None
        return
    file = stack.enter_context(recording.opened())
    try:
        size = file.seek(0, 2)
    except (OSError, ValueError) as error:
        raise AudioError(f"'{recording}' cannot be read: {error}; get it again") from None
    if size == 0:
        raise AudioError(f"'{recording}' is empty (0 bytes): record or copy it again")
    if recording.sample_rate is not None:
        yield Source(recording.sample_rate, None, _raw_blocks(file)), None
        return
    parts: Sequence[Part | None] = parts_of(file) or [None]
    for part in parts:
        if part is not None and part.missing is not None and not recording.partial:
            raise cut_off(recording, part.missing)
    for part in parts:
        with ExitStack() as own:
            try:
                source = open_part(recording, file, part, own)
            except Damage:
                raise AudioError(f"'{recording}' is damaged: it cannot be decoded at all; get it again") from None
            if not _RATES_HZ[0] <= source.rate_hz <= _RATES_HZ[1]:
                low, high = _RATES_HZ
                raise AudioError(
                    f"'{recording}' has a rate of {source.rate_hz} Hz, expected {low} to {high}: convert it"
                )
            yield source, part


def _sample_blocks(samples: Float32[np.ndarray, "N C"]) -> Iterator[np.ndarray]:
    for start in range(0, len(samples), _RAW_BLOCK):
        yield samples[start : start + _RAW_BLOCK]


def _raw_blocks(file: Binary) -> Iterator[np.ndarray]:
    """Raw little-endian 16-bit PCM."""
    file.seek(0)
    while content := file.read(2 * _RAW_BLOCK):
        yield (np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.float32) / 32768)[:, None]
