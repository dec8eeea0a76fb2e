"""Words while they are said: samples in, events out.

A detector says where somebody speaks; nothing is decoded elsewhere. While somebody does, the window since the last cut
is decoded again and again as it grows, behind the words that are confirmed already. Words that two attempts in a row
agree on are confirmed and never change; the others are a partial. A pause confirms what stands.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.decoding.conditioning import Speaker
from softspoken.decoding.longform import quietest
from softspoken.decoding.plain import language_of
from softspoken.decoding.prompted import PromptedTranscriber
from softspoken.decoding.result import joined
from softspoken.decoding.search import DecodedWindow
from softspoken.decoding.segments import can_be_said
from softspoken.decoding.transcriber import TargetSpeakerTranscriber
from softspoken.live.events import Confirmed, LiveEvent, LiveOptions, Pace, Partial, Said
from softspoken.live.rows import EverybodyRows, LiveRow, LiveRows, VoicesRows
from softspoken.live.words import HeardWord, agreed, heard_words, moved
from softspoken.speakers.silero import CHUNK, SileroDetector, SpeechDetector

_RELEASE = 0.7
"""Speech ends where its probability falls below this share of the threshold at which it begins."""


@dataclass
class _Line:
    """One voice, or everybody."""

    speaker: str | None
    first: int | None = None
    """Where the window begins; None: there is none."""
    prefix: tuple[int, ...] = ()
    before: list[str] = field(default_factory=list)
    """Words of the last attempt that are not confirmed."""
    said: list[tuple[str, float, float]] = field(default_factory=list)
    """Confirmed, but of no stretch yet."""
    shown: str = ""
    """The last partial."""


class LiveTranscriber:
    """Follows one stream. `feed` it what a microphone gives, then `finish`; not for several threads at once."""

    def __init__(
        self,
        rows: LiveRows,
        options: LiveOptions | None = None,
        detector: SpeechDetector | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`rows`: see `of`; `detector`: None: silero; `clock`: seconds, by which attempts are timed."""
        self.options = LiveOptions() if options is None else options
        self._rows, self._clock = rows, clock
        self._language = language_of(self.options.decoding)
        self._track = _SpeechTrack(SileroDetector() if detector is None else detector, self.options)
        self._lines = [_Line(name) for name in rows.names]
        self._held = np.zeros(0, np.float32)
        self._passed = 0
        self._tried = 0
        self._over_at = 0
        """Where the last window ended; the next one begins behind it."""
        self._pace = _Pace(self.options.step_s)

    @classmethod
    def of(
        cls,
        transcriber: TargetSpeakerTranscriber | PromptedTranscriber,
        speakers: Sequence[Speaker] = (),
        options: LiveOptions | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> "LiveTranscriber":
        """The words of `speakers`, or with a `PromptedTranscriber` everybody's.

        Raises SpeakerNotFound, AudioError or EnrolmentError for a voice that cannot be found or used.
        """
        options = LiveOptions() if options is None else options
        if isinstance(transcriber, PromptedTranscriber):
            return cls(EverybodyRows(transcriber, options.decoding), options, clock=clock)
        voices = [transcriber.voice(speaker) for speaker in speakers]
        return cls(VoicesRows(transcriber, voices, options.decoding), options, clock=clock)

    @property
    def position_s(self) -> float:
        """Seconds heard so far."""
        return self._now / SAMPLE_RATE_HZ

    @property
    def _now(self) -> int:
        return self._passed + self._held.size

    def feed(self, samples: Float[np.ndarray, " N"]) -> list[LiveEvent]:
        """Hear more: mono at 16 kHz, any number of samples. The more come at once, the fewer attempts are made."""
        self._held = np.concatenate([self._held, samples.astype(np.float32, copy=False)])
        events: list[LiveEvent] = []
        for begins, place in self._track(samples):
            if begins:
                for line in self._lines:
                    line.first = max(place, self._passed, self._over_at) if line.first is None else line.first
            else:
                events += self._attempt(place, final=True)
        begun = min((line.first for line in self._lines if line.first is not None), default=None)
        # Nothing is said in a pause; it is waited for its end.
        if begun is not None and self._track.last > self._tried:
            shortest = round(self.options.shortest_s * SAMPLE_RATE_HZ)
            if self._now - max(self._tried, begun + shortest - self._pace.step) >= self._pace.step:
                events += self._attempt(self._now, final=False)
        self._forget()
        return events

    def finish(self) -> list[LiveEvent]:
        """The stream is over, or a part of it: what stands is confirmed."""
        self._track.pause()
        return self._attempt(self._now, final=True)

    def _attempt(self, end: int, *, final: bool) -> list[LiveEvent]:
        """Decode all windows up to a sample, as one batch; those that are too long are cut first."""
        events: list[LiveEvent] = []
        began = self._clock()
        pending = [line for line in self._lines if line.first is not None and line.first < end]
        while pending:
            jobs = [self._job(line, end, final) for line in pending]
            rows = [
                LiveRow(self._lines.index(line), line.first or 0, self._audio(line.first or 0, until), line.prefix)
                for line, until, _ in jobs
            ]
            for (line, until, ends), found in zip(jobs, self._rows.decode(rows), strict=True):
                events += self._taken(line, found, until, ends, last=final and until == end)
            # Twice on the same sound would agree with itself.
            pending = [line for line, until, _ in jobs if until < end]
        self._tried = end
        self._over_at = end if final else self._over_at
        events += self._pace.note(self._clock() - began)
        return events

    def _job(self, line: _Line, end: int, final: bool) -> tuple[_Line, int, bool]:
        """Up to where a window is decoded, and whether it ends there."""
        assert line.first is not None
        longest, search = (round(s * SAMPLE_RATE_HZ) for s in (self.options.longest_s, self.options.search_s))
        if end - line.first <= longest:
            return line, end, final
        heard_s = line.said[-1][2] if line.said else 0.0
        # Confirmed words stay in front of the cut.
        earliest = min(max(longest - search, round(heard_s * SAMPLE_RATE_HZ) - line.first), end - line.first)
        latest = max(longest - SAMPLE_RATE_HZ, earliest)
        return line, line.first + quietest(self._audio(line.first, end), earliest, latest), True

    def _taken(
        self, line: _Line, found: DecodedWindow | None, end: int, ends: bool, *, last: bool
    ) -> Iterator[LiveEvent]:
        """What an attempt changes for a line."""
        assert line.first is not None
        window_s = (end - line.first) / SAMPLE_RATE_HZ
        words = self._words(line, found, window_s)
        count = len(words) if ends else agreed(line.before, [word.text for word in words])
        if count:
            confirmed = [(word.text, *self._times(line, word)) for word in words[:count]]
            line.said += confirmed
            yield Confirmed(
                line.speaker, joined([w[0] for w in confirmed], self._language), confirmed[0][1], confirmed[-1][2]
            )
        rest = [] if ends else [word.text for word in words[count:]]
        partial = joined(rest, self._language)
        if partial != line.shown:
            line.shown = partial
            yield Partial(line.speaker, partial)
        if ends:
            yield from self._over(line, len(line.said))
            line.first, line.prefix, line.before = None if last else end, (), []
            return
        if count:
            assert found is not None
            line.prefix = found.tokens[: words[count - 1].end]
        line.before = rest
        yield from self._trimmed(line, found, words[:count], window_s)

    def _words(self, line: _Line, found: DecodedWindow | None, window_s: float) -> list[HeardWord]:
        if found is None or found.silent or not can_be_said(found.text, window_s):
            return []
        words = heard_words(found, self._rows.tokens, self._language)
        return [word for word in words if word.end > len(line.prefix)]

    def _times(self, line: _Line, word: HeardWord) -> tuple[float, float]:
        start_s = (line.first or 0) / SAMPLE_RATE_HZ
        return round(start_s + word.start_s, 2), round(start_s + word.end_s, 2)

    def _over(self, line: _Line, count: int) -> Iterator[Said]:
        """The first `count` words make a stretch."""
        words, line.said = line.said[:count], line.said[count:]
        if words:
            yield Said(line.speaker, joined([w[0] for w in words], self._language), words[0][1], words[-1][2])

    def _trimmed(
        self, line: _Line, found: DecodedWindow | None, confirmed: Sequence[HeardWord], window_s: float
    ) -> Iterator[LiveEvent]:
        """Begin the window later: behind confirmed sentences, or where a voice has been silent for long."""
        assert line.first is not None
        options = self.options
        if not line.prefix and not line.before:
            if window_s > 2 * options.idle_s:
                line.first += round((window_s - options.idle_s) * SAMPLE_RATE_HZ)
            return
        if found is None or not confirmed:
            return
        words = heard_words(found, self._rows.tokens, self._language)
        written = [word for word in words if word.end <= len(line.prefix)]
        closed = [word for word in written if word.closes_s]
        over = bool(closed) and closed[-1] is words[-1] and window_s - (closed[-1].closes_s or 0) > options.idle_s
        if closed and (window_s > options.trim_s or over):
            word = closed[-1]
            line.first += round((word.closes_s or 0) * SAMPLE_RATE_HZ)
            line.prefix = moved(line.prefix, word, self._rows.tokens)
            yield from self._over(line, len(line.said) - sum(other.end > word.end for other in written))
        elif window_s > options.longest_s - options.search_s:
            # No sentence ends: go on behind the last word.
            line.first += round(written[-1].end_s * SAMPLE_RATE_HZ)
            line.prefix = ()

    def _audio(self, first: int, end: int) -> Float32[np.ndarray, " N"]:
        return self._held[first - self._passed : end - self._passed]

    def _forget(self) -> None:
        """Drop what no window will hear again."""
        padding = round((self.options.padding_s + self.options.pause_s) * SAMPLE_RATE_HZ)
        begun = [line.first for line in self._lines if line.first is not None]
        keep = max(self._passed, min([self._now - padding, *begun]))
        self._held = self._held[keep - self._passed :].copy()
        self._passed = keep
        self._rows.forget(keep)


class _SpeechTrack:
    """Where speech begins and pauses, in samples of the stream."""

    def __init__(self, detector: SpeechDetector, options: LiveOptions) -> None:
        self._detector, self._options = detector, options
        self._rest = np.zeros(0, np.float32)
        self._place = 0
        self._loud = False
        self._open = False
        self.last = 0
        """The end of what has been spoken so far."""

    def __call__(self, samples: Float[np.ndarray, " N"]) -> Iterator[tuple[bool, int]]:
        """(True, where the padding before speech begins) and (False, where the padding behind it ends), in order."""
        heard = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        whole = heard.size // CHUNK * CHUNK
        self._rest = heard[whole:].copy()
        if whole == 0:
            return
        threshold, padding, pause = self._options.speech, *self._sizes()
        for probability in self._detector(heard[:whole]).tolist():
            self._loud = probability >= (threshold * _RELEASE if self._loud else threshold)
            self._place += CHUNK
            if self._loud:
                if not self._open:
                    self._open = True
                    yield True, max(0, self._place - CHUNK - padding)
                self.last = self._place
            elif self._open and self._place - self.last >= pause:
                self._open = False
                yield False, min(self.last + padding, self._place)

    def pause(self) -> None:
        """What is spoken from now on begins anew."""
        self._open = False

    def _sizes(self) -> tuple[int, int]:
        return round(self._options.padding_s * SAMPLE_RATE_HZ), round(self._options.pause_s * SAMPLE_RATE_HZ)


class _Pace:
    """How often attempts are made: as often as wanted, but no oftener than they take."""

    def __init__(self, step_s: float) -> None:
        self._wanted_s = self._told_s = self._step_s = step_s
        self._cost_s = 0.0

    @property
    def step(self) -> int:
        """In samples."""
        return round(self._step_s * SAMPLE_RATE_HZ)

    def note(self, cost_s: float) -> list[LiveEvent]:
        """An attempt took so long."""
        self._cost_s += 0.3 * (cost_s - self._cost_s)
        self._step_s = max(self._wanted_s, 1.5 * self._cost_s)
        if not (self._step_s >= 1.5 * self._told_s or (self._step_s == self._wanted_s < self._told_s)):
            return []
        self._told_s = self._step_s
        return [Pace(round(self._step_s, 2))]
