"""Transcripts as txt, srt, vtt and json. A silent target gives a valid file without an entry."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Literal, get_args

from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import ConfigError

Format = Literal["txt", "srt", "vtt", "json"]


def to_txt(transcript: Transcript) -> str:
    """One segment a line."""
    return "".join(f"{_line(segment.text)}\n" for segment in _written(transcript.segments))


def to_srt(transcript: Transcript) -> str:
    """SubRip subtitles, numbered from 1."""
    blocks = [
        # An arrow within the text would be read as a time line.
        f"{number}\n{_time(segment.start_s, ',')} --> {_time(segment.end_s, ',')}\n"
        f"{_line(segment.text).replace('-->', '->')}\n"
        for number, segment in enumerate(_written(transcript.segments), start=1)
    ]
    return "\n".join(blocks)


def to_vtt(transcript: Transcript) -> str:
    """WebVTT subtitles, with the speaker's name as voice where there is one."""
    voice = f"<v {_escaped(_line(transcript.speaker))}>" if transcript.speaker is not None else ""
    blocks = [
        f"\n{_time(segment.start_s, '.')} --> {_time(segment.end_s, '.')}\n{voice}{_escaped(_line(segment.text))}\n"
        for segment in _written(transcript.segments)
    ]
    return "WEBVTT\n" + "".join(blocks)


def to_json(transcript: Transcript) -> str:
    """One JSON object: text, language, duration_s, presence, speaker, segments."""
    return json.dumps(as_dict(transcript), ensure_ascii=False) + "\n"


def as_dict(transcript: Transcript) -> dict[str, Any]:
    """What `to_json` writes."""
    return {"text": transcript.text, **asdict(transcript)}


_WRITERS: dict[str, Callable[[Transcript], str]] = {"txt": to_txt, "srt": to_srt, "vtt": to_vtt, "json": to_json}


def render(transcript: Transcript, file_format: str) -> str:
    """The transcript in a format by name. Raises ConfigError for a name it does not know."""
    writer = _WRITERS.get(file_format)
    if writer is None:
        raise ConfigError(f"format '{file_format}'; expected one of {', '.join(get_args(Format))}")
    return writer(transcript)


def _written(segments: Iterable[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.text.strip()]


def _line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float, mark: str) -> str:
    milliseconds = max(0, round(seconds * 1000))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{mark}{milliseconds:03d}"
