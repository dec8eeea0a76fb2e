"""Conversations in every format, read back by the format's own readers where there are any."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from softspoken.decoding import Conversation, Format, Segment, Transcript, Word, conversation_of, render


def words(text: str, start_s: float, step_s: float = 0.4) -> tuple[Word, ...]:
    return tuple(
        Word(round(start_s + at * step_s, 3), round(start_s + (at + 1) * step_s, 3), word, 0.5 + 0.1 * at)
        for at, word in enumerate(text.split())
    )


def said(text: str, start_s: float) -> Segment:
    found = words(text, start_s)
    return Segment(found[0].start_s, found[-1].end_s, text, words=found)


ADA = Transcript((said("good morning </script> all", 0.5), said("yes & no", 61.0)), "en", 70.0, 0.8, "Ada L.")
BORIS = Transcript((said("morning", 1.0), said("so *we* begin", 3.0)), "en", 70.0, 0.7, "Boris")
CARLA = Transcript((), "en", 70.0, 0.1, "Carla")
TALK = Conversation((ADA, BORIS, CARLA))


def test_a_conversation_is_all_that_was_said_in_order_of_time() -> None:
    assert [(one.speaker, one.start_s) for one in TALK.segments] == [
        ("Ada L.", 0.5),
        ("Boris", 1.0),
        ("Boris", 3.0),
        ("Ada L.", 61.0),
    ]
    assert sorted(TALK.text.split()) == sorted(f"{ADA.text} {BORIS.text}".split())
    assert TALK.speakers == ("Ada L.", "Boris", "Carla")
    assert conversation_of(TALK.segments, Conversation((*(TALK.transcripts),))).segments == TALK.segments


@pytest.mark.parametrize("file_format", ["stm", "seglst", "ctm", "rttm"])
def test_meeteval_reads_what_was_said(file_format: str, tmp_path: Path) -> None:
    meeteval = pytest.importorskip("meeteval")
    path = tmp_path / f"talk.{'json' if file_format == 'seglst' else file_format}"
    path.write_text(render(TALK, file_format, "team meeting"))
    if file_format == "ctm":
        lines = list(meeteval.io.CTM.load(path))
        assert sorted(line.word for line in lines) == sorted(TALK.text.split())
        assert {line.filename for line in lines} == {"team_meeting"}
        assert {str(line.channel) for line in lines} == {"Ada_L.", "Boris"}
        assert sum(float(line.duration) for line in lines) == pytest.approx(0.4 * len(TALK.text.split()))
        return
    if file_format == "seglst":
        segments = meeteval.io.SegLST(json.loads(path.read_text()))
    else:
        segments = {"stm": meeteval.io.STM, "rttm": meeteval.io.RTTM}[file_format].load(path).to_seglst()
    assert [(one["session_id"], one["speaker"]) for one in segments] == [
        ("team_meeting", "_".join(str(one.speaker).split())) for one in TALK.segments
    ]
    for one, wanted in zip(segments, TALK.segments, strict=True):
        assert float(one["start_time"]) == pytest.approx(wanted.start_s)
        assert float(one["end_time"]) == pytest.approx(wanted.end_s)
        if file_format != "rttm":
            assert one["words"] == wanted.text


def test_vtt_marks_words_between_start_and_end() -> None:
    cues = render(TALK, "vtt").split("\n\n")[1:]
    assert len(cues) == 4
    for cue, segment in zip(cues, TALK.segments, strict=True):
        times, text = cue.strip().split("\n")
        start, end = times.split(" --> ")
        marks = re.findall(r"<(\d\d:\d\d:\d\d\.\d{3})>", text)
        assert all(start < mark < end for mark in marks)
        assert marks == sorted(set(marks))
        assert len(marks) == len(segment.words) - 1
        assert text.startswith(f"<v {segment.speaker}>")


@pytest.mark.parametrize(("language", "text"), [("zh", "早上好"), ("en", "good morning")])
def test_words_stand_apart_only_where_the_language_writes_spaces(language: str, text: str) -> None:
    parts = text if language == "zh" else text.split()
    known = tuple(Word(float(at), at + 1.0, part, 0.9) for at, part in enumerate(parts))
    one = Transcript((Segment(0.0, float(len(known)), text, words=known),), language, 5.0)
    cue = render(one, "vtt").strip().split("\n")[-1]
    assert re.sub(r"<[^>]*>", "", cue) == text
    space = re.search(r'const space = "(.*)";', render(one, "html"))
    assert space is not None
    assert space[1].join(parts) == text


def test_json_says_its_version_and_loses_nothing() -> None:
    content = json.loads(render(TALK, "json"))
    assert content["version"] == 1
    assert [one["name"] for one in content["speakers"]] == ["Ada L.", "Boris", "Carla"]
    for one, segment in zip(content["segments"], TALK.segments, strict=True):
        assert (one["start_s"], one["end_s"], one["speaker"]) == (segment.start_s, segment.end_s, segment.speaker)
        assert " ".join(word["text"] for word in one["words"]) == one["text"] == segment.text


def test_md_has_a_paragraph_a_turn() -> None:
    head, *paragraphs = render(TALK, "md", "team").strip().split("\n\n")
    assert head == "# team"
    assert [paragraph.split("**")[1] for paragraph in paragraphs] == ["Ada L.", "Boris", "Ada L."]
    assert "so \\*we\\* begin" in paragraphs[1]


def test_txt_and_srt_name_the_voice_where_there_are_several() -> None:
    assert render(TALK, "txt").splitlines()[1] == "Boris: morning"
    assert "Boris: morning" in render(TALK, "srt")
    assert render(BORIS, "txt").splitlines()[0] == "morning"


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.foreign: list[str] = []
        self._open: dict[str, str | None] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.foreign += [value for key, value in attrs if key in ("src", "href") and value is not None]
        if tag == "script":
            self._open = given

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.scripts.append((self._open, data))
            self._open = None


def test_the_page_holds_the_transcript_and_asks_nobody() -> None:
    page = Page()
    page.feed(render(TALK, "html", "team <meeting>.mp3"))
    held = json.loads(next(text for given, text in page.scripts if given.get("type") == "application/json"))
    assert held["file"] == "team <meeting>.mp3"
    assert [one["text"] for one in held["segments"]] == [one.text for one in TALK.segments]
    assert page.foreign == []
    assert "://" not in render(TALK, "html", "team")


@pytest.mark.parametrize("file_format", get_args(Format))
def test_silence_is_a_valid_file(file_format: str) -> None:
    text = render(Conversation((CARLA,)), file_format)
    assert "Carla" not in text or file_format in ("json", "html")
    if file_format in ("json", "seglst"):
        json.loads(text)
