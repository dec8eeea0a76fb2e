"""Windows that begin and end where speech does. Silence between them is never encoded, and no speech is lost.

Speech is what a detector says, with hysteresis: it begins at one probability and ends at a lower one. Stretches of it
are joined into the longest windows that are allowed and cut in their longest pause; speech that does not pause is cut
where it is quietest. The recording is read once, and what is held never exceeds the longest window, one pause and one
block.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.decoding.longform import SHORTEST_REST_S, Reader, Window, quietest
from softspoken.decoding.options import SpeechOptions, WindowOptions
from softspoken.runs import runs_of
from softspoken.speakers.silero import CHUNK, SpeechDetector

_GROUP = 64
"""Chunks that the detector hears at once, whatever the blocks are, so that they change nothing: about 2 s."""


@dataclass(frozen=True)
class Stretch:
    """Speech from chunk `first` up to, not including, chunk `end`."""

    first: int
    end: int


@dataclass(frozen=True)
class Chunks:
    """The options in chunks; see `WindowOptions` and `SpeechOptions`."""

    longest: int
    search: int
    rest: int
    """No cut in speech leaves less of it."""
    shortest: int
    pause: int
    skip: int
    padding: int

    @classmethod
    def of(cls, options: WindowOptions) -> "Chunks":
        """No window gets longer by the rounding."""
        speech, rate_hz = options.speech, SAMPLE_RATE_HZ / CHUNK
        longest = int(options.limit_s * rate_hz)
        return cls(
            longest=longest,
            search=round(options.search_s * rate_hz),
            rest=min(math.ceil(SHORTEST_REST_S * rate_hz), longest // 2),
            shortest=max(1, round(speech.shortest_s * rate_hz)),
            pause=max(1, round(speech.pause_s * rate_hz)),
            skip=round(speech.skip_s * rate_hz),
            padding=round(speech.padding_s * rate_hz),
        )


class Smoother:
    """Probabilities in, speech out: with hysteresis, short gaps closed, short speech dropped. Says what is certain."""

    def __init__(self, options: SpeechOptions, sizes: Chunks) -> None:
        self._options, self._sizes = options, sizes
        self._speaking = False
        self._kept = False
        self._run = 0
        self._gap = 0

    @property
    def pending(self) -> int:
        """Chunks heard that nothing has been said of yet: speech that may be too short, a gap that may close."""
        return self._gap + (0 if self._kept else self._run)

    def __call__(self, probabilities: Float[np.ndarray, " C"]) -> list[bool]:
        """Speech or none, for the chunks that were pending and those of `probabilities`, but for the new pending."""
        said: list[bool] = []
        for probability in probabilities.tolist():
            self._speaking = probability >= (self._options.release if self._speaking else self._options.threshold)
            if not self._speaking and self._run == 0:
                said.append(False)
            elif not self._speaking:
                self._gap += 1
                if self._gap >= self._sizes.pause:
                    said += self.end()
            else:
                self._run, waiting, self._gap = self._run + self._gap + 1, self._gap + 1, 0
                if self._kept:
                    said += [True] * waiting
                elif self._run >= self._sizes.shortest:
                    self._kept = True
                    said += [True] * self._run
        return said

    def end(self) -> list[bool]:
        """Decide on the chunks that are still pending: no more speech follows."""
        said = [False] * self.pending
        self._run, self._gap, self._kept = 0, 0, False
        return said


class SpeechAhead:
    """Looks ahead in a recording, chunk by chunk, at whether somebody speaks."""

    def __init__(self, reader: Reader, detector: SpeechDetector, smoother: Smoother) -> None:
        self.reader = reader
        self._detector = detector
        self._smoother = smoother
        self._spoken = np.zeros(0, np.bool_)

    def peek(self, chunks: int) -> Bool[np.ndarray, " C"]:
        """Whether there is speech in each of the next chunks; fewer only where the recording ends."""
        while self._spoken.size < chunks:
            known = (self._spoken.size + self._smoother.pending) * CHUNK
            audio = self.reader.peek(known + _GROUP * CHUNK)[known:]
            # The last chunk of a recording is filled up with silence.
            said = self._smoother(self._detector(np.pad(audio, (0, -audio.size % CHUNK)))) if audio.size else []
            if audio.size < _GROUP * CHUNK:
                said += self._smoother.end()
                self._spoken = np.append(self._spoken, said).astype(np.bool_)
                break
            self._spoken = np.append(self._spoken, said).astype(np.bool_)
        return self._spoken[:chunks]

    def skip(self, chunks: int) -> None:
        """Pass over chunks that have been looked at."""
        self.reader.skip(chunks * CHUNK)
        self._spoken = self._spoken[chunks:].copy()


def speech_windows(reader: Reader, options: WindowOptions, detector: SpeechDetector) -> Iterator[Window]:
    """Windows in order, disjoint, none longer than `options.limit_s`; none where nobody speaks.

    Args:
        reader: at the beginning of a recording.
        detector: a fresh one; it hears the recording once, in order.
    """
    sizes = Chunks.of(options)
    ahead = SpeechAhead(reader, detector, Smoother(options.speech, sizes))
    while _find_speech(ahead, sizes):
        spoken = ahead.peek(sizes.longest + max(sizes.skip, sizes.rest))
        speech = stretches(spoken)
        size = _size_to_pause(speech, spoken.size, sizes)
        if size is None:
            size = _size_to_quiet(reader, speech, sizes)
        window = Window(reader.position_s, reader.peek(size * CHUNK).copy())
        ahead.skip(size)
        yield window


def stretches(spoken: Bool[np.ndarray, " C"]) -> list[Stretch]:
    """The runs of True."""
    return [Stretch(first, end) for first, end in runs_of(spoken)]


def _find_speech(ahead: SpeechAhead, sizes: Chunks) -> bool:
    """Pass silence, up to the padding before the next speech; False where the recording ends without any."""
    while True:
        spoken = ahead.peek(_GROUP + sizes.padding)
        if spoken.any():
            ahead.skip(max(0, int(spoken.argmax()) - sizes.padding))
            return True
        ended = spoken.size < _GROUP + sizes.padding
        ahead.skip(spoken.size if ended else _GROUP)
        if ended:
            return False


def _size_to_pause(speech: list[Stretch], known: int, sizes: Chunks) -> int | None:
    """Chunks of a window that ends in a pause; None where there is none to end it in.

    `speech`: what lies in the `known` chunks ahead.
    """
    gaps = [after.first - before.end for before, after in pairwise(speech)] + [known - speech[-1].end]
    last = next((index for index, gap in enumerate(gaps) if gap >= sizes.skip), len(speech) - 1)
    if speech[last].end > sizes.longest:
        allowed = [index for index in range(last) if sizes.rest <= speech[index].end <= sizes.longest]
        late = [index for index in allowed if speech[index].end >= sizes.longest - sizes.search]
        if not allowed:
            return None
        # The longest pause; the latest of those.
        last = max(late or allowed, key=lambda index: (gaps[index], index))
    end, gap = speech[last].end, gaps[last]
    # What speaks next has its padding too.
    room = gap if last == len(speech) - 1 else max(gap - sizes.padding, gap // 2)
    # A model hears words in a window of next to nothing.
    wanted = max(sizes.padding, sizes.rest - end)
    return min(end + min(wanted, room), sizes.longest)


def _size_to_quiet(reader: Reader, speech: list[Stretch], sizes: Chunks) -> int:
    """Chunks up to the quietest place in speech that does not pause where the window could end."""
    crossing = next(stretch for stretch in speech if stretch.end > sizes.longest)
    last = min(sizes.longest, crossing.end - sizes.rest)
    first = max(last - sizes.search, min(sizes.rest, last))
    # Half a second more, for the quietest place is the middle of some 0.3 s.
    audio = reader.peek((last + _GROUP // 4) * CHUNK)
    return min(max(round(quietest(audio, first * CHUNK, last * CHUNK) / CHUNK), first), last)
