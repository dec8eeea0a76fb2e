"""How much of natural text is right: capitals, punctuation, numbers written in digits.

Measured on the words that are right in both texts (aligned after normalising), so that it says nothing about word
errors. The reference is the manifest's text where somebody wrote it naturally; else, as corpora have words in capitals
without marks, what plain Whisper writes when it hears the clean target alone, without timestamps: the row `clean`, the
same model with timestamps, then shows how far Whisper agrees with itself.

* capitals: words that begin with a capital letter; precision, recall, F1.
* marks: the mark right after a word is the same one; F1 of each mark, and over all of them.
* numbers: of the words that have digits in the reference, the share that has digits too.

The target-speaker paper says that inverse text normalisation is kept (abstract, conclusion), and gives no number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from softspoken.evaluation.manifest import EvaluationItem
from softspoken.scoring.word_errors import CONFIDENCE, RESAMPLES, Interval
from softspoken_lab.measures.words import Unit, same_units, units_of

Source = Literal["manifest", "whisper"]
"""Who wrote the reference: the manifest, or plain Whisper on the clean target."""
MARKS = (".", ",", "?", "!", ";", ":", "…", "-")
"""'-' stands for all dashes after a word."""
_DASHES = "-–—"
_SEED = 0


@dataclass(frozen=True)
class Agreement:
    """How often something is there: in both texts, in the reference, in what was written."""

    both: int = 0
    reference: int = 0
    written: int = 0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.both + other.both, self.reference + other.reference, self.written + other.written)

    @property
    def precision(self) -> float | None:
        return self.both / self.written if self.written else None

    @property
    def recall(self) -> float | None:
        return self.both / self.reference if self.reference else None

    @property
    def f1(self) -> float | None:
        """None where neither text has it."""
        total = self.reference + self.written
        return 2 * self.both / total if total else None


@dataclass(frozen=True)
class ItemNatural:
    """One item: counts over the words that are right in both texts."""

    id: str
    source: Source
    words: int
    """Number in the reference."""
    right: int
    capitals: Agreement
    marks: Mapping[str, Agreement]
    numbers: Agreement


@dataclass(frozen=True)
class Measured:
    """An agreement over a set, with the 95 % bootstrap intervals over its items; None where it never comes up."""

    counts: Agreement
    f1: Interval | None
    recall: Interval | None

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain numbers, for JSON."""
        counts = self.counts
        return {
            "f1": _rounded(counts.f1),
            "f1_low": _rounded(None if self.f1 is None else self.f1.low),
            "f1_high": _rounded(None if self.f1 is None else self.f1.high),
            "precision": _rounded(counts.precision),
            "recall": _rounded(counts.recall),
            "recall_low": _rounded(None if self.recall is None else self.recall.low),
            "recall_high": _rounded(None if self.recall is None else self.recall.high),
            "both": counts.both,
            "reference": counts.reference,
            "written": counts.written,
        }


@dataclass(frozen=True)
class NaturalScore:
    """Natural text of one system on one set."""

    items: int
    from_manifest: int
    """Items whose reference is the manifest's; the others' was written by plain Whisper."""
    words: int
    right: int
    """Words that are right in both texts: all that is measured."""
    capitals: Measured
    punctuation: Measured
    """All marks together."""
    marks: dict[str, Measured] = field(default_factory=dict)
    numbers: Measured = Measured(Agreement(), None, None)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "items": self.items,
            "reference": {"manifest": self.from_manifest, "whisper": self.items - self.from_manifest},
            "words": self.words,
            "right": self.right,
            "capitals": self.capitals.as_dict(),
            "punctuation": self.punctuation.as_dict(),
            "marks": {mark: measured.as_dict() for mark, measured in self.marks.items()},
            "numbers": self.numbers.as_dict(),
        }


def natural_reference(item: EvaluationItem, teacher: Callable[[EvaluationItem], str]) -> tuple[str, Source] | None:
    """The text to compare with and who wrote it; None where the target is silent or there is no clean recording.

    `teacher`: what plain Whisper writes on the item's clean recording.
    """
    if item.silent:
        return None
    if is_natural(item.text):
        return item.text, "manifest"
    return None if item.clean is None else (teacher(item), "whisper")


def is_natural(text: str) -> bool:
    """Whether a text has small letters and, besides them, capitals or marks: not the plain words of a corpus."""
    small = any(character.islower() for character in text)
    return small and any(character.isupper() or character in ".,?!;:" for character in text)


def compare_natural(
    identity: str, reference: str, source: Source, written: str, normalize: Callable[[str], str]
) -> ItemNatural:
    """Counts of one item's text against its reference."""
    expected, heard = units_of(reference.split(), normalize), units_of(written.split(), normalize)
    pairs = [(expected[i], heard[j]) for i, j in same_units(expected, heard)]
    # A number in digits has no capital to keep.
    lettered = [pair for pair in pairs if all(initial(unit).isalpha() for unit in pair)]
    after = [(mark_after(one), mark_after(other)) for one, other in pairs]
    return ItemNatural(
        identity,
        source,
        len(expected),
        len(pairs),
        _agreement([(initial(one).isupper(), initial(other).isupper()) for one, other in lettered]),
        {mark: _agreement([(one == mark, other == mark) for one, other in after]) for mark in MARKS},
        _agreement([(one.digits, other.digits) for one, other in pairs]),
    )


def initial(unit: Unit) -> str:
    """The first letter or digit."""
    return next(character for character in unit.shown if character.isalnum())


def mark_after(unit: Unit) -> str | None:
    """The first mark behind the last letter or digit, one of MARKS; quotes and brackets are passed over."""
    last = max(index for index, character in enumerate(unit.shown) if character.isalnum())
    tail = unit.shown[last + 1 :].replace("...", "…")
    for character in tail:
        if character in _DASHES:
            return "-"
        if character in MARKS:
            return character
    return None


def _agreement(pairs: Sequence[tuple[bool, bool]]) -> Agreement:
    return Agreement(
        sum(one and other for one, other in pairs), sum(one for one, _ in pairs), sum(other for _, other in pairs)
    )


def summarize_natural(items: Sequence[ItemNatural], *, resamples: int = RESAMPLES, seed: int = _SEED) -> NaturalScore:
    """One system's natural text from that of its items."""

    def over(counts: list[Agreement]) -> Measured:
        return measured(counts, resamples=resamples, seed=seed)

    return NaturalScore(
        items=len(items),
        from_manifest=sum(item.source == "manifest" for item in items),
        words=sum(item.words for item in items),
        right=sum(item.right for item in items),
        capitals=over([item.capitals for item in items]),
        punctuation=over([sum(item.marks.values(), Agreement()) for item in items]),
        marks={mark: over([item.marks[mark] for item in items]) for mark in MARKS},
        numbers=over([item.numbers for item in items]),
    )


def measured(counts: Sequence[Agreement], *, resamples: int = RESAMPLES, seed: int = _SEED) -> Measured:
    """Counts of items to those of the set, with intervals."""
    total = sum(counts, Agreement())
    if not counts:
        return Measured(total, None, None)
    table: Int[np.ndarray, "N 3"] = np.array([(each.both, each.reference, each.written) for each in counts])
    times = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=resamples)
    both, reference, written = (times @ table).T
    return Measured(
        total,
        _interval(2 * both, reference + written) if total.f1 is not None else None,
        _interval(both, reference) if total.recall is not None else None,
    )


def _interval(part: Int[np.ndarray, " R"], whole: Int[np.ndarray, " R"]) -> Interval:
    """Percentiles of part / whole over the resampled sets in which it comes up."""
    rates: Float[np.ndarray, " R"] = part[whole > 0] / whole[whole > 0]
    low, high = np.quantile(rates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
