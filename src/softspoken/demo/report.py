"""Run the demo: plain Whisper and the prompted model on each mixture, with the time taken."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from softspoken.demo.recordings import DemoRecordings, FloatArray, Mixture, read_clip
from softspoken.demo.words import split_words, word_errors


@runtime_checkable
class TranscriptLike(Protocol):
    @property
    def text(self) -> str: ...


@runtime_checkable
class TranscriberLike(Protocol):
    """What the demo needs of `softspoken.decoding.TargetSpeakerTranscriber`."""

    def transcribe(self, audio: FloatArray, speaker: FloatArray) -> TranscriptLike: ...

    def transcribe_plain(self, audio: FloatArray) -> TranscriptLike: ...


@dataclass(frozen=True)
class Heard:
    """A transcript and how long it took."""

    text: str
    took_s: float


@dataclass(frozen=True)
class MixtureReport:
    """What was heard in one mixture. `speakers`: one transcript for each voice asked for, silent ones included."""

    mixture: Mixture
    plain: Heard
    speakers: dict[str, Heard]
    spellings: dict[str, str]

    def said(self, voice: str) -> str:
        """The words of a voice in this mixture; empty for one that is silent."""
        return " ".join(talker.text for talker in self.mixture.talkers if talker.voice == voice)

    def word_count(self, voice: str) -> int:
        return len(split_words(self.said(voice), self.spellings))

    def errors(self, voice: str, heard: Heard) -> int:
        """Substitutions, deletions and insertions of `heard` taken as the words of `voice`."""
        return word_errors(split_words(self.said(voice), self.spellings), split_words(heard.text, self.spellings))


@dataclass(frozen=True)
class DemoReport:
    """The whole demo. `load_s`: time to load the frozen model and the prompt."""

    recordings: DemoRecordings
    mixtures: tuple[MixtureReport, ...]
    load_s: float

    @property
    def words(self) -> int:
        """Words said, over all talkers of all mixtures."""
        return sum(report.word_count(t.voice) for report in self.mixtures for t in report.mixture.talkers)

    @property
    def plain_errors(self) -> int:
        """Word errors when plain Whisper's transcript is taken as each talker's words in turn."""
        return sum(report.errors(t.voice, report.plain) for report in self.mixtures for t in report.mixture.talkers)

    @property
    def prompted_errors(self) -> int:
        return sum(
            report.errors(t.voice, report.speakers[t.voice]) for report in self.mixtures for t in report.mixture.talkers
        )

    @property
    def silent_words(self) -> int:
        """Words written for voices that are not in the mixture; 0 is right."""
        return sum(report.errors(v, report.speakers[v]) for report in self.mixtures for v in report.mixture.silent)

    def as_json(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        return {
            "load_s": round(self.load_s, 3),
            "words": self.words,
            "plain_errors": self.plain_errors,
            "prompted_errors": self.prompted_errors,
            "silent_words": self.silent_words,
            "mixtures": [_mixture_json(report) for report in self.mixtures],
        }


def _mixture_json(report: MixtureReport) -> dict[str, Any]:
    present = [talker.voice for talker in report.mixture.talkers]
    return {
        "name": report.mixture.name,
        "duration_s": report.mixture.duration_s,
        "overlap": report.mixture.overlap,
        "plain": {
            "text": report.plain.text,
            "took_s": round(report.plain.took_s, 3),
            "errors": {voice: report.errors(voice, report.plain) for voice in present},
        },
        "speakers": [
            {
                "voice": voice,
                "present": voice in present,
                "said": report.said(voice),
                "text": heard.text,
                "took_s": round(heard.took_s, 3),
                "words": report.word_count(voice),
                "errors": report.errors(voice, heard),
            }
            for voice, heard in report.speakers.items()
        ],
    }


def run_demo(recordings: DemoRecordings, transcriber: TranscriberLike) -> Iterator[MixtureReport]:
    """Transcribe the mixtures one after the other, each plain and once for every voice asked for."""
    for mixture in recordings.mixtures:
        audio = read_clip(mixture.file)
        plain = _timed(partial(transcriber.transcribe_plain, audio))
        speakers: dict[str, Heard] = {}
        for voice in [talker.voice for talker in mixture.talkers] + list(mixture.silent):
            enrolment = read_clip(recordings.by_name[voice].enrolment)
            speakers[voice] = _timed(partial(transcriber.transcribe, audio, speaker=enrolment))
        yield MixtureReport(mixture, plain, speakers, recordings.spellings)


def _timed(call: Callable[[], TranscriptLike]) -> Heard:
    start_s = time.perf_counter()
    transcript = call()
    return Heard(transcript.text.strip(), time.perf_counter() - start_s)
