"""Words that two voices claim: one keeps them, and nothing else is lost."""

from dataclasses import replace

from softspoken.decoding.result import Segment, Word
from softspoken.decoding.settlement import settled


def said(text: str, start_s: float = 0.0, probability: float = 0.5) -> Segment:
    words = tuple(
        Word(start_s + 0.4 * at, start_s + 0.4 * at + 0.3, word, probability) for at, word in enumerate(text.split())
    )
    return Segment(words[0].start_s, words[-1].end_s, text, (1, 2, 3), words=words)


def texts(found: list[tuple[Segment, ...]]) -> list[list[str]]:
    return [[segment.text for segment in voice] for voice in found]


def test_a_phrase_goes_to_the_likelier_voice() -> None:
    sure, unsure = said("We begin at nine.", probability=0.9), said("so we begin at nine", -0.4, 0.4)
    for voices, kept in (
        ([(sure,), (unsure,)], [["We begin at nine."], ["so"]]),
        ([(unsure,), (sure,)], [["so"], ["We begin at nine."]]),
    ):
        found = settled(voices)
        assert texts(found) == kept
        for segment in (segment for voice in found for segment in voice):
            assert segment.start_s == segment.words[0].start_s
            assert segment.end_s == segment.words[-1].end_s


def test_of_three_voices_one_keeps_it() -> None:
    found = settled([(said("good morning", probability=0.3 * (at + 1)),) for at in range(3)])
    assert texts(found) == [[], [], ["good morning"]]


def test_what_is_said_at_other_times_or_is_short_or_different_is_everybodys() -> None:
    for one, other in (
        (said("good morning"), said("good morning", 5.0)),
        (said("yes"), said("yes")),
        (said("red green"), said("blue white")),
    ):
        assert settled([(one,), (other,)]) == [(one,), (other,)]


def test_a_voice_alone_and_segments_without_words_stay_as_they_are() -> None:
    segment = said("good morning")
    bare = replace(segment, words=())
    assert settled([(segment, segment)]) == [(segment, segment)]
    assert settled([(bare,), (bare,), ()]) == [(bare,), (bare,), ()]
