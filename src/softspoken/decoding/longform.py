"""Recordings of any length as windows, with flat memory: only what no window has taken yet is held."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from softspoken.audio import SAMPLE_RATE_HZ, AudioLike, Recording, require_sound, stream_audio
from softspoken.decoding.options import WindowOptions

if TYPE_CHECKING:
    from softspoken.speakers.silero import SpeechDetector

CHUNK_S = 5.0
SHORTEST_REST_S = 1.0
"""No cut leaves less than this behind it: a model hears words in a window of next to nothing."""
_FRAME = SAMPLE_RATE_HZ // 50
_SMOOTH_FRAMES = 15


@dataclass(frozen=True)
class Window:
    """A part of a recording: mono 16 kHz, and where it begins."""

    start_s: float
    audio: Float[np.ndarray, " N"]

    @property
    def duration_s(self) -> float:
        return len(self.audio) / SAMPLE_RATE_HZ


def audio_blocks(audio: AudioLike, sample_rate: int | None = None) -> Iterator[Float[np.ndarray, " N"]]:
    """The recording in blocks of some seconds; `sample_rate`: of samples, or of raw PCM.

    Raises AudioError for what is none, and for a file without any sound, which is a mistake that its owner wants to
    know of. Samples may be silent: a program that listens hands over what it hears.
    """
    recording = Recording.of(audio, sample_rate=sample_rate)
    extremes = np.zeros(2, np.float32)
    for number, block in enumerate(stream_audio(recording, CHUNK_S)):
        low, high = block.min(), block.max()
        extremes = np.array([low, high]) if number == 0 else np.array([min(extremes[0], low), max(extremes[1], high)])
        yield block
    if not recording.is_samples:
        require_sound(extremes.astype(np.float32), recording)


class Reader:
    """Looks ahead in a stream of blocks without keeping what has been passed."""

    def __init__(self, blocks: Iterable[Float[np.ndarray, " N"]]) -> None:
        self._blocks = iter(blocks)
        self._held = np.zeros(0, np.float32)
        self._passed = 0

    @property
    def position_s(self) -> float:
        """Seconds passed so far."""
        return self._passed / SAMPLE_RATE_HZ

    def peek(self, samples: int) -> Float[np.ndarray, " N"]:
        """The next samples, fewer only where the recording ends."""
        parts, size = [self._held], self._held.size
        while size < samples:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            size += block.size
        self._held = np.concatenate(parts) if len(parts) > 1 else self._held
        return self._held[:samples]

    def skip(self, samples: int) -> None:
        """Pass over samples that have been looked at."""
        samples = min(samples, self._held.size)
        # A copy, so that the block it lay in can be freed.
        self._held = self._held[samples:].copy()
        self._passed += samples

    def pass_over(self, samples: int) -> None:
        """Pass over the next samples, in blocks."""
        while samples > 0 and (ahead := self.peek(min(samples, SAMPLE_RATE_HZ)).size):
            self.skip(ahead)
            samples -= ahead


def cut_windows(
    reader: Reader, options: WindowOptions | None = None, detector: "SpeechDetector | None" = None
) -> Iterator[Window]:
    """Windows in order, lazily; their start times are those of the recording.

    Args:
        reader: at the beginning of a recording.
        detector: who hears speech for `cut='speech'`; None: silero.

    Raises:
        MissingExtra: at once, for `cut='speech'` without the extra `vad`.
    """
    options = WindowOptions() if options is None else options
    if options.cut == "quiet":
        return quiet_windows(reader, options)
    from softspoken.decoding.speech_boundaries import speech_windows
    from softspoken.speakers.silero import SileroDetector

    return speech_windows(reader, options, SileroDetector() if detector is None else detector)


def quiet_windows(reader: Reader, options: WindowOptions | None = None) -> Iterator[Window]:
    """Windows one after the other, cut where it is quietest, so that few words are cut."""
    options = WindowOptions() if options is None else options
    longest = round(options.limit_s * SAMPLE_RATE_HZ)
    rest = round(SHORTEST_REST_S * SAMPLE_RATE_HZ)
    while True:
        ahead = reader.peek(longest + rest)
        if ahead.size == 0:
            return
        size = ahead.size
        if size > longest:
            last = min(longest, size - rest)
            first = max(last - round(options.search_s * SAMPLE_RATE_HZ), rest)
            size = quietest(ahead, min(first, last), last)
        window = Window(reader.position_s, ahead[:size].copy())
        reader.skip(size)
        yield window


def quietest(audio: Float[np.ndarray, " N"], first: int, last: int) -> int:
    """The sample from `first` to `last` in the middle of the quietest 0.3 s; the latest where several are equal."""
    half = _SMOOTH_FRAMES // 2
    begin = max(0, first // _FRAME - half)
    frames = (min(audio.size, last + (half + 1) * _FRAME) // _FRAME) - begin
    if frames < _SMOOTH_FRAMES:
        return last
    framed = audio[begin * _FRAME : (begin + frames) * _FRAME].reshape(frames, _FRAME)
    power = (framed.astype(np.float64) ** 2).mean(axis=1)
    smooth = np.convolve(power, np.ones(_SMOOTH_FRAMES) / _SMOOTH_FRAMES, mode="valid")
    places = (begin + half + np.arange(smooth.size)) * _FRAME + _FRAME // 2
    inside = (places >= first) & (places <= last)
    if not inside.any():
        return last
    smooth, places = smooth[inside], places[inside]
    # Rounding in the sums makes equal places differ a little.
    equal = np.flatnonzero(smooth <= smooth.min() + 1e-12)
    return int(places[equal[-1]])
