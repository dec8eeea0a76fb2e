"""Segments begin and end with a voice's own words."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from softspoken.decoding import Segment, Word
from softspoken.decoding.segments import LONGEST_WORD_S, edged


def said(*times: tuple[float, float]) -> Segment:
    words = tuple(Word(start_s, end_s, f"word{at}", 0.9) for at, (start_s, end_s) in enumerate(times))
    return Segment(times[0][0], times[-1][1], " ".join(word.text for word in words), words=words)


def test_a_voice_that_joins_later_begins_later() -> None:
    found = edged(said((0.0, 8.0), (8.0, 8.6), (8.6, 9.0)))
    assert 7.0 < found.start_s < 8.0
    assert (found.words[0].start_s, found.words[0].end_s) == (found.start_s, 8.0)
    assert found.end_s == 9.0


def test_a_voice_that_stops_earlier_ends_earlier() -> None:
    found = edged(said((1.0, 1.4), (1.4, 2.0), (2.0, 9.0)))
    assert 2.0 < found.end_s < 3.0
    assert found.words[-1].end_s == found.end_s
    assert found.start_s == 1.0


def test_what_fits_stays() -> None:
    for segment in (said((0.0, 0.5), (0.5, 1.0)), said((0.0, 8.0)), Segment(0.0, 9.0, "no words")):
        assert edged(segment) == segment


@given(st.lists(st.floats(0.01, 6.0), min_size=2, max_size=8))
def test_it_only_shrinks_and_stays_in_order(lengths: list[float]) -> None:
    times, at = [], 0.0
    for length in lengths:
        times.append((at, at + length))
        at += length
    whole, found = said(*times), edged(said(*times))
    assert (found.text, len(found.words)) == (whole.text, len(whole.words))
    assert whole.start_s <= found.start_s < found.end_s <= whole.end_s + 1e-3
    flat = [time for word in found.words for time in (word.start_s, word.end_s)]
    assert all(one <= other + 1e-3 for one, other in pairwise(flat))
    assert found.words[0].end_s - found.words[0].start_s <= LONGEST_WORD_S + 1e-6
    assert edged(found) == found
