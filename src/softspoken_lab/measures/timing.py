"""How far a transcript's times are from when the target really speaks.

The truth is the alignment of the target's words (`words` of a manifest), moved to where they stand in the recording; an
item without one is measured by the level of its clean target, first and last frame within 30 dB of the loudest, which
is said of it. Two figures:

* utterance: start of the first segment against the first word's, end of the last segment against the last word's. Words
  that a method misses or adds at the ends count, too.
* segments: each segment whose first (last) word is right, by aligning the words, against the time of that word. Only
  where the words' times are known. This is about times alone.

Errors are written less true, in seconds: negative is too early. The target-speaker paper says that Whisper's
timestamps are kept, and gives no number (its abstract and conclusion).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from softspoken.audio import load_audio
from softspoken.data.levels import speech_span
from softspoken.decoding.result import Transcript
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.scoring.word_errors import CONFIDENCE, RESAMPLES, Interval
from softspoken_lab.measures.words import same_units, units_of

Truth = Literal["alignment", "energy"]
_SEED = 0


@dataclass(frozen=True)
class ItemTiming:
    """Errors of one item, in seconds, written less true."""

    id: str
    truth: Truth
    start_s: float | None
    """Of the transcript's start; None where nothing was written."""
    end_s: float | None
    segments: int = 0
    """How many the transcript has; 0 where the words' times are not known."""
    segment_starts_s: tuple[float, ...] = ()
    """Of the segments whose first word is right."""
    segment_ends_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Spread:
    """Errors of many: quantiles of their size with 95 % bootstrap intervals over the items, and which way they go."""

    count: int
    median_s: float
    median_interval: Interval
    p90_s: float
    p90_interval: Interval
    bias_s: float
    """Median of the errors with their sign: negative is too early."""

    def as_dict(self) -> dict[str, float | int]:
        """Plain numbers, for JSON."""
        return {
            "count": self.count,
            "median_s": round(self.median_s, 4),
            "median_low_s": round(self.median_interval.low, 4),
            "median_high_s": round(self.median_interval.high, 4),
            "p90_s": round(self.p90_s, 4),
            "p90_low_s": round(self.p90_interval.low, 4),
            "p90_high_s": round(self.p90_interval.high, 4),
            "bias_s": round(self.bias_s, 4),
        }


@dataclass(frozen=True)
class TimingScore:
    """Times of one system on one set. A spread is None where there was nothing to measure."""

    items: int
    aligned: int
    """Items whose truth is an alignment; the others' is the level of the clean target."""
    nothing_written: int
    start: Spread | None
    end: Spread | None
    segments: int
    segment_start: Spread | None
    segment_end: Spread | None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        spreads = {
            "start": self.start,
            "end": self.end,
            "segment_start": self.segment_start,
            "segment_end": self.segment_end,
        }
        return {
            "items": self.items,
            "truth": {"alignment": self.aligned, "energy": self.items - self.aligned},
            "nothing_written": self.nothing_written,
            "segments": self.segments,
            **{name: None if spread is None else spread.as_dict() for name, spread in spreads.items()},
        }


def time_item(item: EvaluationItem, transcript: Transcript, normalize: Callable[[str], str]) -> ItemTiming | None:
    """Errors of one transcript; None where the target is silent, or nothing says when they speak."""
    if item.silent:
        return None
    if item.words:
        truth: Truth = "alignment"
        begin_s, end_s = item.words[0][1], item.words[-1][2]
    else:
        span = None if item.clean is None else speech_span(load_audio(item.clean))
        if span is None:
            return None
        truth = "energy"
        begin_s, end_s = span
    written = transcript.segments
    if not written:
        return ItemTiming(item.id, truth, None, None)
    starts, ends = _of_segments(item, transcript, normalize)
    return ItemTiming(
        item.id,
        truth,
        min(segment.start_s for segment in written) - begin_s,
        max(segment.end_s for segment in written) - end_s,
        len(written) if item.words else 0,
        starts,
        ends,
    )


def _of_segments(
    item: EvaluationItem, transcript: Transcript, normalize: Callable[[str], str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Errors of the segments whose first word is right, and of those whose last is."""
    said = units_of([word for word, _, _ in item.words], normalize)
    parts = [units_of(segment.text.split(), normalize) for segment in transcript.segments]
    heard_as = {j: i for i, j in same_units(said, [unit for part in parts for unit in part])}
    starts, ends = [], []
    position = 0
    for segment, part in zip(transcript.segments, parts, strict=True):
        if not part:
            continue
        first, last = heard_as.get(position), heard_as.get(position + len(part) - 1)
        if first is not None:
            starts.append(segment.start_s - item.words[said[first].first][1])
        if last is not None:
            ends.append(segment.end_s - item.words[said[last].last][2])
        position += len(part)
    return tuple(starts), tuple(ends)


def summarize_timing(timings: Sequence[ItemTiming], *, resamples: int = RESAMPLES, seed: int = _SEED) -> TimingScore:
    """One system's times from those of its items."""

    def over(groups: list[tuple[float, ...]]) -> Spread | None:
        return spread_of(groups, resamples=resamples, seed=seed)

    return TimingScore(
        items=len(timings),
        aligned=sum(timing.truth == "alignment" for timing in timings),
        nothing_written=sum(timing.start_s is None for timing in timings),
        start=over([(timing.start_s,) for timing in timings if timing.start_s is not None]),
        end=over([(timing.end_s,) for timing in timings if timing.end_s is not None]),
        segments=sum(timing.segments for timing in timings),
        segment_start=over([timing.segment_starts_s for timing in timings]),
        segment_end=over([timing.segment_ends_s for timing in timings]),
    )


def spread_of(groups: Sequence[Sequence[float]], *, resamples: int = RESAMPLES, seed: int = _SEED) -> Spread | None:
    """Errors in seconds, in groups that stand or fall together (those of one item); None where there are none."""
    owners = np.array([index for index, group in enumerate(groups) for _ in group], dtype=np.int64)
    errors = np.array([error for group in groups for error in group], dtype=np.float64)
    if errors.size == 0:
        return None
    order = np.argsort(np.abs(errors), kind="stable")
    sizes, owners = np.abs(errors)[order], owners[order]
    rng = np.random.default_rng(seed)
    share = np.full(len(groups), 1 / len(groups))
    drawn: list[Float[np.ndarray, 2]] = []
    while len(drawn) < resamples:
        times = rng.multinomial(len(groups), share)[owners]
        # A draw of nothing but empty groups has no quantiles; it is drawn again.
        if times.sum():
            drawn.append(_quantiles(sizes, times))
    low, high = np.quantile(np.array(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    median, p90 = _quantiles(sizes, np.ones_like(owners))
    intervals = [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    return Spread(errors.size, float(median), intervals[0], float(p90), intervals[1], float(np.median(errors)))


def _quantiles(ordered: Float[np.ndarray, " N"], times: np.ndarray) -> Float[np.ndarray, "2"]:
    """Median and 90th percentile of ordered values that are there so many times each."""
    reached = np.cumsum(times)
    return np.asarray(ordered[np.searchsorted(reached, np.array([0.5, 0.9]) * reached[-1])])
