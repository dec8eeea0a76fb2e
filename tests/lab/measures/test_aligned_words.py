import pytest

from softspoken.scoring.text import TextNormalizer
from softspoken_lab.measures.words import same_units, units_of

normalize = TextNormalizer()


def units(text: str) -> list[str]:
    return [unit.shown for unit in units_of(text.split(), normalize)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good day, sir.", ["Good", "day,", "sir."]),
        ("I don't know", ["I", "don't", "know"]),
        ("it was twenty five years", ["it", "was", "twenty five", "years"]),
        ("one hundred and five men", ["one hundred and five", "men"]),
        ("one and all", ["one", "and", "all"]),
        ("twenty, five", ["twenty,", "five"]),
        ("well - um - yes", ["well - -", "yes"]),
        ("- yes", ["yes"]),
        ("", []),
    ],
)
def test_units_are_words_but_for_numbers_and_what_is_not_said(text: str, expected: list[str]) -> None:
    assert units(text) == expected


def test_units_know_their_words_and_skip_none() -> None:
    words = ["Um", "it", "was", "twenty", "five", "years", "ago"]
    found = units_of(words, normalize)
    assert [" ".join(words[unit.first : unit.last + 1]) for unit in found] == [unit.shown for unit in found]
    assert [unit.first for unit in found] == [1, 2, 3, 5, 6]


@pytest.mark.parametrize(
    ("said", "heard", "same"),
    [
        ("GOOD DAY SIR", "Good day, sir!", [("GOOD", "Good"), ("DAY", "day,"), ("SIR", "sir!")]),
        ("twenty five men", "25 men.", [("twenty five", "25"), ("men", "men.")]),
        ("twenty five men", "26 men", [("men", "men")]),
        ("I don't know", "I do not know", [("I", "I"), ("know", "know")]),
        ("I don't know", "I don't, no", [("I", "I"), ("don't", "don't,")]),
        ("a b c", "b c d", [("b", "b"), ("c", "c")]),
        ("a b", "", []),
        ("", "a", []),
    ],
)
def test_only_whole_units_that_are_right_are_paired(said: str, heard: str, same: list[tuple[str, str]]) -> None:
    one, other = units_of(said.split(), normalize), units_of(heard.split(), normalize)
    assert [(one[i].shown, other[j].shown) for i, j in same_units(one, other)] == same
