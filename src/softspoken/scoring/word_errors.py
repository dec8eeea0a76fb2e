"""Scores of transcripts against references: word error rate with its uncertainty, rejection, many talkers at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from softspoken.errors import DataError, MissingExtra
from softspoken.scoring.text import writes_something

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 0
_CELLS = 20_000_000
"""Resampling counts held at once (8 bytes each)."""


@dataclass(frozen=True)
class Interval:
    """A percentile bootstrap interval."""

    low: float
    high: float


@dataclass(frozen=True)
class UtteranceScore:
    """Errors of one item. `words` of the reference, after normalising; `silent`: its reference is empty."""

    substitutions: int
    deletions: int
    insertions: int
    words: int
    silent: bool = False
    wrote: bool = True
    """Whether any letter or digit was written."""

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions


@dataclass(frozen=True)
class Score:
    """Scores of one system on one set.

    Word errors are counted over the items that have a reference. Where the target is silent any word is wrong: those
    items give `rejection_rate`, the share in which nothing at all was written, and `insertions_when_silent`. A rate is
    None where the set has no such items.
    """

    wer: float | None
    """Corpus word error rate: all errors over all reference words."""
    wer_interval: Interval | None
    """95 % bootstrap interval of `wer` over utterances."""
    utterance_mean_wer: float | None
    """Mean over utterances of each one's rate (the metric of the target-speaker paper); not the corpus rate."""
    substitutions: int
    deletions: int
    insertions: int
    words: int
    utterances: int
    rejection_rate: float | None
    silent: int
    insertions_when_silent: int


@dataclass(frozen=True)
class Difference:
    """Corpus WER of `a` less that of `b` on the same items, with the interval of a paired bootstrap."""

    wer: float
    interval: Interval

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return not self.interval.low <= 0.0 <= self.interval.high


def score_utterance(reference: str, hypothesis: str, normalize: Callable[[str], str]) -> UtteranceScore:
    """Word errors of one item. An empty `reference` says that the target is silent."""
    expected, written = normalize(reference), normalize(hypothesis)
    silent, wrote = not reference.strip(), writes_something(hypothesis)
    if not expected:
        return UtteranceScore(0, 0, len(written.split()), 0, silent, wrote)
    try:
        import jiwer
    except ImportError as error:
        raise MissingExtra("jiwer", "eval", "word error rate") from error
    output = jiwer.process_words(expected, written)
    return UtteranceScore(
        output.substitutions, output.deletions, output.insertions, len(expected.split()), silent, wrote
    )


def summarize(scores: Sequence[UtteranceScore], *, resamples: int = RESAMPLES, seed: int = _SEED) -> Score:
    """One system's scores from those of its items."""
    speaking = [score for score in scores if not score.silent]
    silent = [score for score in scores if score.silent]
    words = sum(score.words for score in speaking)
    errors, sizes = _counts(speaking)
    rates = [score.errors / score.words for score in speaking if score.words]
    return Score(
        wer=sum(score.errors for score in speaking) / words if words else None,
        wer_interval=_interval(_resampled_wer(errors[:, None], sizes, resamples, seed)[:, 0]) if words else None,
        utterance_mean_wer=float(np.mean(rates)) if rates else None,
        substitutions=sum(score.substitutions for score in speaking),
        deletions=sum(score.deletions for score in speaking),
        insertions=sum(score.insertions for score in speaking),
        words=words,
        utterances=len(speaking),
        rejection_rate=sum(not score.wrote for score in silent) / len(silent) if silent else None,
        silent=len(silent),
        insertions_when_silent=sum(score.insertions for score in silent),
    )


def paired_difference(
    a: Sequence[UtteranceScore], b: Sequence[UtteranceScore], *, resamples: int = RESAMPLES, seed: int = _SEED
) -> Difference:
    """How much worse (positive) or better `a` is than `b` on the same items, in the same order.

    Both are resampled with the same utterances, so that what is hard for both cancels out. Raises DataError when the
    items differ or hold no words.
    """
    if [(x.words, x.silent) for x in a] != [(x.words, x.silent) for x in b]:
        raise DataError(f"{len(a)} and {len(b)} results that are not of the same items; evaluate both on one manifest")
    errors_a, sizes = _counts([score for score in a if not score.silent])
    errors_b, _ = _counts([score for score in b if not score.silent])
    if not sizes.sum():
        raise DataError("no reference words to compare two systems on; give a manifest with spoken targets")
    rates = _resampled_wer(np.stack([errors_a, errors_b], axis=1), sizes, resamples, seed)
    return Difference(float((errors_a.sum() - errors_b.sum()) / sizes.sum()), _interval(rates[:, 0] - rates[:, 1]))


def _counts(scores: Sequence[UtteranceScore]) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    errors = np.array([score.errors for score in scores], dtype=np.int64)
    return errors, np.array([score.words for score in scores], dtype=np.int64)


def _resampled_wer(
    errors: Int[np.ndarray, "N K"], words: Int[np.ndarray, " N"], resamples: int, seed: int
) -> Float[np.ndarray, "R K"]:
    """Corpus WER of K systems on `resamples` sets of N utterances, drawn with replacement, the same for all."""
    rng = np.random.default_rng(seed)
    count = len(words)
    rows = max(1, _CELLS // max(count, 1))
    rates = []
    for start in range(0, resamples, rows):
        # How often each utterance is drawn; one multinomial row a resampled set.
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(rows, resamples - start))
        rates.append((times @ errors) / np.maximum(times @ words, 1)[:, None])
    return np.concatenate(rates)


def _interval(values: Float[np.ndarray, " R"]) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))
