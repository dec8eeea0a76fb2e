from pathlib import Path

import pytest

from softspoken.evaluation.manifest import EvaluationItem
from softspoken.scoring.text import TextNormalizer
from softspoken_lab.measures.natural import (
    Agreement,
    compare_natural,
    is_natural,
    measured,
    natural_reference,
    summarize_natural,
)

normalize = TextNormalizer()
REFERENCE = 'In 1984, Mr. Hale said: "Are there 25 men?" I don\'t know.'


def score(written: str, reference: str = REFERENCE) -> dict[str, object]:
    return summarize_natural([compare_natural("a", reference, "whisper", written, normalize)]).as_dict()


def test_the_same_text_is_all_right() -> None:
    found = compare_natural("a", REFERENCE, "whisper", REFERENCE, normalize)
    assert found.words == found.right == 12
    assert found.capitals == Agreement(5, 5, 5)
    assert found.numbers == Agreement(2, 2, 2)
    assert {mark: counts.both for mark, counts in found.marks.items() if counts.reference} == {
        ",": 1,
        ".": 2,
        ":": 1,
        "?": 1,
    }
    assert all(counts.f1 in (None, 1.0) for counts in found.marks.values())


def test_plain_words_keep_their_words_alone() -> None:
    found = compare_natural(
        "a",
        REFERENCE,
        "whisper",
        "in nineteen eighty four mister hale said are there twenty five men i don't know",
        normalize,
    )
    assert found.right == found.words
    assert found.capitals == Agreement(0, 5, 0)
    assert found.numbers == Agreement(0, 2, 0)
    assert sum(found.marks.values(), Agreement()) == Agreement(0, 5, 0)


def test_wrong_words_are_not_counted_at_all() -> None:
    found = compare_natural("a", "Good day, Sir.", "whisper", "Good night, Sir!", normalize)
    assert (found.words, found.right) == (3, 2)
    assert found.capitals == Agreement(2, 2, 2)
    assert found.marks[","] == Agreement(0, 0, 0)
    assert found.marks["."] == Agreement(0, 1, 0)
    assert found.marks["!"] == Agreement(0, 0, 1)


@pytest.mark.parametrize(
    ("written", "mark"),
    [
        ('yes." so', "."),
        ("yes... so", "…"),
        ("yes - so", "-"),
        ("yes-- so", "-"),
        ("yes— so", "-"),
        ("(yes) so", None),
        ("yes' so", None),
        ("yes; so", ";"),
    ],
)
def test_marks_are_read_behind_quotes_and_brackets(written: str, mark: str | None) -> None:
    found = compare_natural("a", "yes so", "whisper", written, normalize)
    assert [name for name, counts in found.marks.items() if counts.written] == ([mark] if mark is not None else [])


def test_numbers_in_digits_have_no_capital_to_lose() -> None:
    found = compare_natural("a", "25 men", "whisper", "Twenty five men", normalize)
    assert found.right == 2
    assert found.capitals == Agreement(0, 0, 0)
    assert found.numbers == Agreement(0, 1, 0)


def test_the_reference_is_the_manifests_where_it_is_natural() -> None:
    def item(text: str, clean: Path | None = Path("clean")) -> EvaluationItem:
        return EvaluationItem("a", Path("mix"), Path("voice"), text, clean)

    def heard(item: EvaluationItem) -> str:
        return "Heard."

    assert natural_reference(item("Good day."), heard) == ("Good day.", "manifest")
    assert natural_reference(item("GOOD DAY"), heard) == ("Heard.", "whisper")
    assert natural_reference(item("GOOD DAY", None), heard) is None
    assert natural_reference(item(""), heard) is None
    assert [is_natural(text) for text in ("GOOD DAY.", "good day", "good day.", "Good day")] == [
        False,
        False,
        True,
        True,
    ]


def test_intervals_hold_the_figure_and_narrow_with_more_items() -> None:
    counts = [Agreement(1, 2, 1), Agreement(2, 2, 3), Agreement(0, 1, 0)]
    few, many = measured(counts * 3, resamples=400), measured(counts * 30, resamples=400)
    widths = []
    for found in (few, many):
        assert found.f1 is not None
        assert found.counts.f1 is not None
        assert found.f1.low <= found.counts.f1 <= found.f1.high
        widths.append(found.f1.high - found.f1.low)
    assert widths[1] < widths[0]
    assert few.counts.f1 == many.counts.f1 == pytest.approx(2 * 3 / (5 + 4))


def test_what_never_comes_up_is_none_not_zero() -> None:
    row = score("good day", "good day")
    assert row["capitals"] == {
        **dict.fromkeys(("f1", "f1_low", "f1_high", "precision", "recall", "recall_low", "recall_high")),
        **dict.fromkeys(("both", "reference", "written"), 0),
    }
    assert summarize_natural([]).as_dict()["words"] == 0
