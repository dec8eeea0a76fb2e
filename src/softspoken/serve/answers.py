"""The shapes of answers: OpenAI's, field by field, and subtitles."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from softspoken.decoding import Segment, Transcript, to_srt, to_vtt
from softspoken.decoding.result import joined
from softspoken.languages import LANGUAGES
from softspoken.serve.work import Spoken


class Duration(BaseModel):
    """What a transcription is counted by."""

    type: Literal["duration"] = "duration"
    seconds: float


class Transcription(BaseModel):
    """`json`."""

    text: str
    usage: Duration


class TranscriptionSegment(BaseModel):
    """A segment of `verbose_json`. `speaker` is ours: only where talkers are told apart."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    speaker: str | None = None


class TranscriptionWord(BaseModel):
    """A word of `verbose_json`."""

    word: str
    start: float
    end: float


class TranscriptionVerbose(BaseModel):
    """`verbose_json`."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[TranscriptionSegment] | None = None
    words: list[TranscriptionWord] | None = None
    usage: Duration


class DiarizedSegment(BaseModel):
    """A segment of `diarized_json`, and the event of the same name. `words` is ours: only where they are asked for."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    speaker: str
    text: str
    words: list[TranscriptionWord] | None = None


class TranscriptionDiarized(BaseModel):
    """`diarized_json`."""

    task: Literal["transcribe"] = "transcribe"
    duration: float
    text: str
    segments: list[DiarizedSegment]
    usage: Duration


class TextDelta(BaseModel):
    """More text. With talkers told apart, `segment_id` says to which segment it belongs."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    segment_id: str | None = None


class TextDone(BaseModel):
    """The whole text."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str


def in_order(spoken: Iterable[Spoken]) -> list[Spoken]:
    """By when they begin, as a reader wants them."""
    return sorted((one for one in spoken if one.text.strip()), key=lambda one: (one.start_s, one.end_s))


def text_of(spoken: Sequence[Spoken], language: str) -> str:
    """All words on one line."""
    return joined([one.text for one in spoken], language)


def as_json(spoken: Sequence[Spoken], language: str, duration_s: float) -> Transcription:
    """`json`."""
    return Transcription(text=text_of(spoken, language), usage=_duration(duration_s))


def as_verbose(
    spoken: Sequence[Spoken],
    language: str,
    duration_s: float,
    granularities: Sequence[str] = (),
    task: Literal["transcribe", "translate"] = "transcribe",
) -> TranscriptionVerbose:
    """`verbose_json`; segments unless only words are asked for."""
    segments = [_segment(number, one) for number, one in enumerate(spoken)]
    words = [word for one in spoken for word in _words(one)]
    return TranscriptionVerbose(
        task=task,
        language=LANGUAGES.get(language, language),
        duration=round(duration_s, 3),
        text=text_of(spoken, language),
        segments=segments if not granularities or "segment" in granularities else None,
        words=words if "word" in granularities else None,
        usage=_duration(duration_s),
    )


def as_diarized(spoken: Sequence[Spoken], language: str, duration_s: float) -> TranscriptionDiarized:
    """`diarized_json`."""
    return TranscriptionDiarized(
        duration=round(duration_s, 3),
        text=text_of(spoken, language),
        segments=[diarized_segment(number, one) for number, one in enumerate(spoken)],
        usage=_duration(duration_s),
    )


def diarized_segment(number: int, one: Spoken) -> DiarizedSegment:
    """A segment with who says it."""
    who = "" if one.speaker is None else one.speaker
    return DiarizedSegment(
        id=f"seg_{number:03d}",
        start=one.start_s,
        end=one.end_s,
        speaker=who,
        text=one.text,
        words=_words(one) or None,
    )


def as_srt(spoken: Sequence[Spoken]) -> str:
    """SubRip subtitles; each names its talker where talkers are told apart."""
    return to_srt(Transcript(tuple(_timed(one, one.speaker) for one in spoken)))


def as_vtt(spoken: Sequence[Spoken]) -> str:
    """WebVTT subtitles; talkers are marked as voices."""
    head = to_vtt(Transcript(()))
    cues = [to_vtt(Transcript((_timed(one),), speaker=one.speaker)).removeprefix(head) for one in spoken]
    return head + "".join(cues)


def _timed(one: Spoken, before: str | None = None) -> Segment:
    return Segment(one.start_s, one.end_s, one.text if before is None else f"{before}: {one.text}")


def _segment(number: int, one: Spoken) -> TranscriptionSegment:
    data = one.text.encode()
    return TranscriptionSegment(
        id=number,
        seek=round(100 * one.window_s),
        start=one.start_s,
        end=one.end_s,
        text=one.text,
        tokens=list(one.tokens),
        temperature=one.temperature,
        avg_logprob=one.avg_logprob,
        compression_ratio=len(data) / len(zlib.compress(data)),
        no_speech_prob=one.no_speech_prob,
        speaker=one.speaker,
    )


def _words(one: Spoken) -> list[TranscriptionWord]:
    return [TranscriptionWord(word=word.text, start=word.start_s, end=word.end_s) for word in one.words]


def _duration(duration_s: float) -> Duration:
    return Duration(seconds=round(duration_s, 3))


def plain(model: BaseModel) -> dict[str, Any]:
    """Without the fields that say nothing."""
    return model.model_dump(exclude_none=True)
