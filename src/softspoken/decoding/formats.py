"""Transcripts as files: to read (txt, md, html), as subtitles (srt, vtt), to compute with (json), and for scoring tools
(stm, rttm, ctm, seglst). Silent voices give a valid file without an entry."""

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Any, Literal, get_args

from softspoken.decoding.conversation import Conversation, turns
from softspoken.decoding.result import UNSPACED, Segment, Transcript
from softspoken.errors import ConfigError

Format = Literal["txt", "srt", "vtt", "json", "md", "html", "stm", "rttm", "ctm", "seglst"]
Written = Transcript | Conversation

JSON_VERSION = 1
"""Of what `as_dict` gives; raised when a field changes its meaning or goes."""
NAMELESS = "speaker"
"""Who speaks in formats that want a name, where nobody was followed."""


def to_txt(written: Written) -> str:
    """One segment a line, behind the speaker's name where several voices were followed."""
    found = _conversation(written)
    several = len(found.transcripts) > 1
    return "".join(f"{_named(one) if several else ''}{_line(one.text)}\n" for one in _spoken(found))


def to_md(written: Written, recording: str = "recording") -> str:
    """Markdown: a paragraph a turn, with the name and the time."""
    found = _conversation(written)
    paragraphs = [f"# {_plain(recording)}\n"]
    for turn in turns(_spoken(found)):
        who = f"**{_plain(turn[0].speaker)}** " if turn[0].speaker is not None else ""
        text = _space(found).join(_plain(one.text) for one in turn)
        paragraphs.append(f"{who}({_time(turn[0].start_s, '.')[:8]}) {text}\n")
    return "\n".join(paragraphs)


def to_srt(written: Written) -> str:
    """SubRip subtitles, numbered from 1; with names where several voices were followed."""
    found = _conversation(written)
    several = len(found.transcripts) > 1
    blocks = [
        # An arrow within the text would be read as a time line.
        f"{number}\n{_time(one.start_s, ',')} --> {_time(one.end_s, ',')}\n"
        f"{_named(one) if several else ''}{_line(one.text).replace('-->', '->')}\n"
        for number, one in enumerate(_spoken(found), start=1)
    ]
    return "\n".join(blocks)


def to_vtt(written: Written) -> str:
    """WebVTT subtitles, with the speaker's name as voice, and each word's time where it is known."""
    found = _conversation(written)
    blocks = []
    for one in _spoken(found):
        voice = f"<v {_escaped(_line(one.speaker))}>" if one.speaker is not None else ""
        times = f"{_time(one.start_s, '.')} --> {_time(one.end_s, '.')}"
        blocks.append(f"\n{times}\n{voice}{_timed_text(one, _space(found))}\n")
    return "WEBVTT\n" + "".join(blocks)


def _timed_text(segment: Segment, space: str) -> str:
    """Words with their start times in front; WebVTT allows only times after the segment's start and before its end."""
    text = ""
    last = segment.start_s
    for word in segment.words:
        later = last + 0.001 <= word.start_s < segment.end_s
        mark = f"<{_time(word.start_s, '.')}>" if later else ""
        last = word.start_s if later else last
        text += f"{space if text else ''}{mark}{_escaped(_line(word.text))}"
    return text if text else _escaped(_line(segment.text))


def to_json(written: Written) -> str:
    """One JSON object; see `as_dict`."""
    return json.dumps(as_dict(written), ensure_ascii=False) + "\n"


def as_dict(written: Written) -> dict[str, Any]:
    """What `to_json` writes: version, text, language, duration_s, the voices that were followed (`speakers`: name,
    presence, speaking, windows) and the segments in order of time, with their words where these were asked for."""
    found = _conversation(written)
    voices = [
        {"name": one.speaker, **{name: asdict(one)[name] for name in ("presence", "speaking", "windows")}}
        for one in found.transcripts
        if one.speaker is not None
    ]
    return {
        "version": JSON_VERSION,
        "text": found.text,
        "language": found.language,
        "duration_s": found.duration_s,
        "speakers": voices,
        "segments": [asdict(one) for one in found.segments],
    }


def to_stm(written: Written, recording: str = "recording") -> str:
    """NIST's segment time marks: recording, channel, speaker, start, end, words."""
    lines = [
        f"{_key(recording)} 1 {_key(one.speaker)} {one.start_s:.3f} {one.end_s:.3f} {_line(one.text)}\n"
        for one in _spoken(_conversation(written))
    ]
    return "".join(lines)


def to_rttm(written: Written, recording: str = "recording") -> str:
    """Rich transcription time marks: who speaks when, without words."""
    lines = [
        f"SPEAKER {_key(recording)} 1 {one.start_s:.3f} {one.end_s - one.start_s:.3f} <NA> <NA> {_key(one.speaker)} "
        "<NA> <NA>\n"
        for one in _spoken(_conversation(written))
    ]
    return "".join(lines)


def to_ctm(written: Written, recording: str = "recording") -> str:
    """NIST's time marked conversation: a word a line with its probability; the channel is the speaker."""
    words = [(one.speaker, word) for one in _spoken(_conversation(written)) for word in one.words]
    return "".join(
        f"{_key(recording)} {_key(speaker)} {word.start_s:.3f} {word.end_s - word.start_s:.3f} {_key(word.text)} "
        f"{word.probability:.4f}\n"
        for speaker, word in words
    )


def to_seglst(written: Written, recording: str = "recording") -> str:
    """Segment-wise long-form transcripts, as the CHiME challenges and meeteval read them (JSON)."""
    segments = [
        {
            "session_id": _key(recording),
            "speaker": _key(one.speaker),
            "start_time": round(one.start_s, 3),
            "end_time": round(one.end_s, 3),
            "words": _line(one.text),
        }
        for one in _spoken(_conversation(written))
    ]
    return json.dumps(segments, ensure_ascii=False, indent=1) + "\n"


def to_html(written: Written, recording: str = "recording") -> str:
    """A page to listen, read and correct, in one file. It plays the recording that lies beside it or is chosen."""
    found = _conversation(written)
    # Nothing in a text may end the script that holds it.
    data = json.dumps({"file": recording, **as_dict(found)}, ensure_ascii=False).replace("<", "\\u003c")
    page = files("softspoken.decoding").joinpath("transcript.html").read_text("utf-8")
    page = page.replace("{{space}}", _space(found))
    return page.replace("{{title}}", _escaped(_line(recording))).replace("{{transcript}}", data)


_ALONE: dict[str, Callable[[Written], str]] = {"txt": to_txt, "srt": to_srt, "vtt": to_vtt, "json": to_json}
_NAMED: dict[str, Callable[[Written, str], str]] = {
    "md": to_md,
    "html": to_html,
    "stm": to_stm,
    "rttm": to_rttm,
    "ctm": to_ctm,
    "seglst": to_seglst,
}


def render(written: Written, file_format: str, recording: str = "recording") -> str:
    """A transcript or conversation in a format by name; `recording`: what it is of, which some formats say.

    Raises ConfigError for a format it does not know.
    """
    if file_format in _ALONE:
        return _ALONE[file_format](written)
    if file_format not in _NAMED:
        raise ConfigError(f"format '{file_format}'; expected one of {', '.join(get_args(Format))}")
    return _NAMED[file_format](written, recording)


def _conversation(written: Written) -> Conversation:
    return written if isinstance(written, Conversation) else Conversation((written,))


def _space(found: Conversation) -> str:
    """What stands between two words."""
    return "" if found.language in UNSPACED else " "


def _spoken(found: Conversation) -> list[Segment]:
    return [segment for segment in found.segments if segment.text.strip()]


def _named(segment: Segment) -> str:
    return "" if segment.speaker is None else f"{_line(segment.speaker)}: "


def _line(text: str) -> str:
    return " ".join(text.split())


def _key(text: str | None) -> str:
    """A name in formats whose fields end with a space."""
    return "_".join((NAMELESS if text is None else text).split()) or NAMELESS


def _plain(text: str | None) -> str:
    """A text of which Markdown makes nothing else."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|" else sign for sign in _line(text or ""))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float, mark: str) -> str:
    milliseconds = max(0, round(seconds * 1000))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{mark}{milliseconds:03d}"
