import json

import pytest

from softspoken.errors import ConfigError, DataError
from softspoken_lab.noise.characters import Characters, normalise_transcript


def test_default_dictionary_is_blank_space_letters_and_apostrophe() -> None:
    characters = Characters()
    assert characters.size == 29
    assert characters.symbols[1] == "|"
    assert {"A", "Z", "'"} <= set(characters.symbols)


@pytest.mark.parametrize("text", ["IT'S A SMALL STEP", "A", "", "BOOKKEEPER SEES"])
def test_decoding_gives_back_what_was_encoded(text: str) -> None:
    characters = Characters()
    ids = characters.encode(text)
    assert 0 not in ids
    assert characters.decode(ids) == text


def test_case_and_spaces_of_a_text_do_not_matter() -> None:
    characters = Characters()
    assert characters.encode(" to  the\tsea ") == characters.encode("TO THE SEA")


def test_blanks_say_nothing_and_spaces_around_words_go() -> None:
    characters = Characters()
    a, space = characters.encode("A")[0], characters.symbols.index("|")
    assert characters.decode([space, 0, a, space, space, 0, a, space]) == "A A"


def test_a_lower_case_dictionary_takes_any_case_and_writes_its_own() -> None:
    characters = Characters(("_", "|", "é", "c", "a", "f"))
    assert characters.decode(characters.encode("CAFÉ")) == "café"
    assert characters.text("Café, café!") == "café café"
    both = Characters(("_", "|", "a", "A"))
    assert both.decode(both.encode("aA")) == "aA"


@pytest.mark.parametrize(
    ("text", "character"), [("ROOM 12", "'1'"), ("SEÑOR", "'Ñ'"), ("50 % OFF", "'5'"), ("A|B", None)]
)
def test_a_character_outside_the_dictionary_is_named(text: str, character: str | None) -> None:
    if character is None:
        assert Characters().decode(Characters().encode(text)) == "A B"
        return
    with pytest.raises(DataError, match=character) as caught:
        Characters().encode(text)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_text_is_shortened_in_the_message() -> None:
    with pytest.raises(DataError) as caught:
        Characters().encode("WORD " * 500 + "7")
    assert len(str(caught.value)) < 300


def test_a_dictionary_survives_json() -> None:
    assert Characters(tuple(json.loads(json.dumps(Characters().symbols)))) == Characters()


@pytest.mark.parametrize(
    ("symbols", "named"),
    [
        (("_", "A"), "without"),
        (("_", "|", "A", "A"), "twice"),
        (("_", "|", "AB"), "'AB'"),
        (("_", "|", " "), "visible"),
        ((), "without"),
        (("A", "|", "A"), "twice"),
    ],
)
def test_symbols_that_are_no_dictionary(symbols: tuple[str, ...], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Characters(symbols)


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("Mr. Hale didn\u2019t see the well-known man;", "MR HALE DIDN'T SEE THE WELL KNOWN MAN"),
        ("\u2018Twas \u00b4the\u00b4 end \u2014 ' \u2014 really?", "'TWAS 'THE' END REALLY"),
        ("\uff21\ufb01ne day", "AFINE DAY"),
        ("in 1984: 5%", "IN 1984 5%"),
        ("cafe\u0301 | bar", "CAF\u00c9 BAR"),
        (" ... ", ""),
    ],
)
def test_transcripts_become_words_as_librispeech_writes_them(written: str, normalised: str) -> None:
    assert normalise_transcript(written) == normalised
    assert normalise_transcript(normalised) == normalised
