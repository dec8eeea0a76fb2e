"""From tokens to segments, and from segments to files."""

import json
import re

import pytest
from tiny import tiny_backbone

from softspoken.decoding.formats import render, to_json, to_srt, to_txt, to_vtt
from softspoken.decoding.result import Segment, Transcript
from softspoken.decoding.search import DecodedWindow
from softspoken.decoding.segments import seek, split, window_segments
from softspoken.errors import ConfigError

TOKENS = tiny_backbone().tokens


def at(seconds: float) -> int:
    return TOKENS.timestamp(seconds)


def window(*tokens: int, silent: bool = False) -> DecodedWindow:
    return DecodedWindow(tokens, TOKENS.decode(tokens), -0.2, 0.1, 0.0, 1.0, looped=False, silent=silent)


A, B, C = (tuple(TOKENS.encode(text)) for text in (" one", " two", " three"))


def test_pairs_become_segments_at_their_place_in_the_recording() -> None:
    decoded = window(at(0.5), *A, at(2.0), at(2.4), *B, at(4.0))
    segments = window_segments(decoded, TOKENS, offset_s=60.0, window_s=5.0)
    assert [(s.start_s, s.end_s, s.text) for s in segments] == [(60.5, 62.0, "one"), (62.4, 64.0, "two")]
    assert segments[0].tokens == A
    assert seek(decoded, TOKENS, offset_s=60.0, window_s=5.0) == (segments, 5.0)


def test_a_sentence_cut_by_the_window_is_left_to_the_next_or_kept() -> None:
    decoded = window(at(0.0), *A, at(2.0), at(2.4), *B)
    found, advance_s = seek(decoded, TOKENS, offset_s=10.0, window_s=5.0)
    assert [s.text for s in found] == ["one"]
    assert advance_s == pytest.approx(2.4)
    kept = window_segments(decoded, TOKENS, offset_s=10.0, window_s=5.0)
    assert [(s.start_s, s.end_s, s.text) for s in kept] == [(10.0, 12.0, "one"), (12.4, 15.0, "two")]


def test_the_next_window_begins_where_a_next_sentence_was_announced() -> None:
    found, advance_s = seek(window(at(0.0), *A, at(3.0), at(3.0)), TOKENS, offset_s=0.0, window_s=5.0)
    assert [s.text for s in found] == ["one"]
    assert advance_s == pytest.approx(3.0)


@pytest.mark.parametrize(
    "tokens",
    [(), (at(0.0),), (at(0.0), *A), A, (at(0.0), *A, at(0.4), at(0.4), *B), (at(1.0), *A, at(4.0))],
    ids=["empty", "a time", "unended", "no times", "cut too early", "ended"],
)
def test_seeking_always_goes_on(tokens: tuple[int, ...]) -> None:
    found, advance_s = seek(window(*tokens), TOKENS, offset_s=0.0, window_s=5.0)
    assert advance_s == 5.0
    assert "".join(s.text for s in found) == TOKENS.decode(tokens).replace(" ", "")


def test_without_timestamps_a_window_is_one_segment() -> None:
    (segment,) = window_segments(window(*A, *B), TOKENS, offset_s=3.0, window_s=5.0)
    assert (segment.start_s, segment.end_s, segment.text) == (3.0, 8.0, "one two")


def test_silent_windows_and_blank_pieces_give_nothing() -> None:
    assert window_segments(window(at(0.0), *A, at(1.0), silent=True), TOKENS, offset_s=0.0, window_s=5.0) == []
    blank = window(at(0.0), ord(" "), at(1.0))
    assert window_segments(blank, TOKENS, offset_s=0.0, window_s=5.0) == []


def test_split_keeps_every_text_token() -> None:
    ids = [at(0.0), *A, at(1.0), at(1.0), *B, at(2.0), at(2.5), *C]
    pieces = split(ids, TOKENS)
    assert [piece.tokens for piece in pieces] == [A, B, C]
    assert [piece.end_s for piece in pieces] == [pytest.approx(1.0), pytest.approx(2.0), None]


def transcript(*segments: tuple[float, float, str], speaker: str | None = None) -> Transcript:
    made = tuple(Segment(start, end, text) for start, end, text in segments)
    return Transcript(made, "en", 4000.0, 0.8, speaker)


ODD = transcript((0.0, 1.0, "a --> b"), (59.9996, 61.5, "Q & A <b>"), (3599.5, 3661.25, "two\n\nlines"), speaker="a<d")


def test_srt_times_and_numbers() -> None:
    blocks = to_srt(ODD).strip().split("\n\n")
    assert len(blocks) == 3
    for number, block in enumerate(blocks, start=1):
        first, times, text = block.split("\n")
        assert first == str(number)
        assert re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", times)
        assert "-->" not in text
    assert "00:01:00,000 --> 00:01:01,500" in blocks[1]
    assert "00:59:59,500 --> 01:01:01,250" in blocks[2]


def test_vtt_is_escaped_and_names_the_voice() -> None:
    text = to_vtt(ODD)
    head, *blocks = text.strip().split("\n\n")
    assert head == "WEBVTT"
    assert len(blocks) == 3
    assert "<v a&lt;d>Q &amp; A &lt;b&gt;" in blocks[1]
    assert all(block.count("-->") == 1 for block in blocks)
    assert "00:59:59.500 --> 01:01:01.250" in blocks[2]


def test_txt_is_a_segment_a_line_and_json_holds_everything() -> None:
    assert to_txt(ODD).splitlines() == ["a --> b", "Q & A <b>", "two lines"]
    content = json.loads(to_json(ODD))
    assert content["text"] == ODD.text
    assert [(one["name"], one["presence"]) for one in content["speakers"]] == [("a<d", 0.8)]
    assert [segment["start_s"] for segment in content["segments"]] == [0.0, 59.9996, 3599.5]


def test_a_silent_target_gives_valid_empty_files() -> None:
    silent = transcript()
    assert (to_txt(silent), to_srt(silent), to_vtt(silent)) == ("", "", "WEBVTT\n")
    content = json.loads(to_json(silent))
    assert content["segments"] == []
    assert content["text"] == ""


def test_words_are_joined_as_the_language_writes_them() -> None:
    pieces = (Segment(0.0, 1.0, "一"), Segment(1.0, 2.0, "二"))
    assert Transcript(pieces, "zh").text == "一二"
    assert Transcript(pieces, "en").text == "一 二"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="txt, srt, vtt, json"):
        render(transcript(), "docx")
