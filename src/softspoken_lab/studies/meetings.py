"""How well systems transcribe conversations: this program, the cascade, whisperX's way, plain Whisper.

Systems by their names:

* `ours`: the prompt follows all known voices in one pass; `everyone`: and strangers, as `--everyone` does.
* `cascade`: for each known voice, what does not sound like it is muted, then plain Whisper.
* `diarised`: whisperX's way (arXiv 2303.00747): plain Whisper writes everybody's words, each word (without their times,
  each segment) goes to the diarised voice that speaks most of its time. The voices come from our own diarisation.
  `rttm:FILE`: the same, but the voices come from whatever wrote that file.
* `plain`: everybody's words under one name.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from softspoken.audio import duration_s, load_audio
from softspoken.data.manifest import read_rows
from softspoken.decoding import DecodingOptions, PlainTranscriber, TargetSpeakerTranscriber, Transcript, WindowOptions
from softspoken.decoding.conditioning import LENIENT, window_embedder
from softspoken.engines import Precision
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.cascade import CascadeOptions, target_audio
from softspoken.evaluation.stage_cache import StageCache, code_digest, digest_of_file
from softspoken.runs import runs_of
from softspoken.scoring.text import TextNormalizer
from softspoken.speakers import Clip, Enrolment, RecentWindows
from softspoken.speakers.diarisation import Diarisation, diarise
from softspoken.speakers.discovery import discover, followed
from softspoken.speakers.enrolment import enrol
from softspoken.speakers.segmentation import FRAME_RATE_HZ
from softspoken_lab.corpora.references import RTTM, SEGLST
from softspoken_lab.measures.meetings import Said, Scored, Turns, der, read_rttm, read_seglst, score_meeting

EVERYBODY = "everybody"


@dataclass(frozen=True)
class Voice:
    """Somebody who is asked for."""

    name: str
    enrolment: Path
    there: bool
    """Whether they speak in the conversation."""


@dataclass(frozen=True)
class Meeting:
    """A conversation, who is known, and what is said in it by whom."""

    session: str
    audio: Path
    voices: tuple[Voice, ...]
    said: tuple[Said, ...]
    turns: Turns

    @property
    def absent(self) -> tuple[str, ...]:
        return tuple(voice.name for voice in self.voices if not voice.there)


class Answer(BaseModel):
    """What a system wrote, and who speaks when where it says so. It is kept on disk in this form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    said: tuple[Said, ...]
    turns: Turns | None = None
    cpu_s: float = 0.0
    """Processor time of making it."""


def read_meetings(manifest: Path, strangers: int = 0) -> list[Meeting]:
    """Conversations of a manifest whose items have a `session`, with the references beside it.

    `strangers`: of every conversation nobody knows the last so many voices. Raises DataError for another manifest.
    """
    said, turns = read_seglst(manifest.parent / SEGLST), read_rttm(manifest.parent / RTTM)
    voices: dict[str, list[Voice]] = {}
    audio: dict[str, Path] = {}
    for where, row in read_rows(manifest, "voice"):
        try:
            session, folder = str(row["session"]), manifest.parent
            one = Voice(str(row["target"]), folder / row["enrolment"], bool(row["text"].strip()))
            audio[session] = folder / row["audio"]
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{where}: no voice of a conversation ({error!r}); make one with 'conversations'"
            ) from error
        voices.setdefault(session, []).append(one)
    missing = sorted(set(voices) - set(said))
    if missing:
        raise DataError(f"'{manifest.parent / SEGLST}' has no session '{missing[0]}'; prepare the set again")
    found = []
    for session, all_of in voices.items():
        there, absent = [v for v in all_of if v.there], [v for v in all_of if not v.there]
        known = (*there[: len(there) - strangers], *absent)
        found.append(Meeting(session, audio[session], known, tuple(said[session]), turns.get(session, {})))
    return found


class MeetingSystems:
    """Systems on one frozen model, loaded once."""

    def __init__(
        self,
        cache: StageCache,
        backbone: str | None,
        precision: Precision | None = None,
        threads: int | None = None,
        greedy: bool = False,
        longest_s: float | None = None,
    ) -> None:
        """`cache`: where answers are kept; `backbone`, `precision`, `threads`: see `TargetSpeakerTranscriber`;
        `greedy`: what fails its checks is not decoded again at higher temperatures, by none of them; `longest_s`: of
        the windows of `ours` and `everyone`."""
        temperatures = (0.0,) if greedy else DecodingOptions().temperatures
        search_s = WindowOptions().search_s
        windows = WindowOptions(
            longest_s=longest_s, search_s=search_s if longest_s is None else min(search_s, longest_s / 2)
        )
        self._options = DecodingOptions(temperatures=temperatures, words=True, windows=windows)
        self._cache, self._backbone, self._precision, self._threads = cache, backbone, precision, threads

    def answer(self, name: str, meeting: Meeting) -> Answer:
        """What the system of that name makes of a conversation, kept from an earlier run or made now.

        Raises ConfigError for a name it does not know.
        """
        rttm = Path(name.removeprefix("rttm:")) if name.startswith("rttm:") else None
        system = self._systems.get(name, self._plain_only)
        if name not in self._systems and rttm is None:
            raise ConfigError(f"no system '{name}'; choose {', '.join(self._systems)} or rttm:FILE")
        inputs = {
            "code": code_digest(),
            "system": name,
            "rttm": None if rttm is None else digest_of_file(rttm),
            "backbone": self._backbone,
            "precision": self._precision,
            "options": self._options.model_dump(mode="json"),
            "audio": digest_of_file(meeting.audio),
            "voices": [(voice.name, digest_of_file(voice.enrolment)) for voice in meeting.voices],
        }

        def compute() -> Answer:
            begun_s = time.process_time()
            made = system(meeting) if rttm is None else self._given(meeting, rttm)
            return made.model_copy(update={"cpu_s": made.cpu_s + time.process_time() - begun_s})

        return self._cache.get("meeting", inputs, Answer, compute).result

    @property
    def _systems(self) -> dict[str, Callable[[Meeting], Answer]]:
        return {
            "ours": self._ours,
            "everyone": self._everyone,
            "cascade": self._cascade,
            "diarised": self._own_diarisation,
            "plain": self._plain_only,
        }

    @cached_property
    def _transcriber(self) -> TargetSpeakerTranscriber:
        return TargetSpeakerTranscriber.from_pretrained(
            backbone=self._backbone, precision=self._precision, threads=self._threads
        )

    def _voices(self, meeting: Meeting) -> list[Enrolment]:
        return [
            enrol(voice.name, [Clip(voice.enrolment)], self._transcriber.embedder, limits=LENIENT)
            for voice in meeting.voices
        ]

    def _plain(self, audio: Any) -> Transcript:
        return PlainTranscriber(self._transcriber.engine).transcribe(audio, options=self._options)

    def _ours(self, meeting: Meeting) -> Answer:
        return Answer(said=self._followed(meeting, self._voices(meeting)))

    def _followed(self, meeting: Meeting, voices: Sequence[Enrolment]) -> tuple[Said, ...]:
        found = self._transcriber.transcribe_conversation(meeting.audio, voices, self._options)
        return tuple(one for each in found.transcripts for one in _said(each, str(each.speaker)))

    def _everyone(self, meeting: Meeting) -> Answer:
        known = self._voices(meeting)
        found = discover(load_audio(meeting.audio), self._transcriber.embedder, known)
        turns = {str(one.resembles) if one.known else one.voice.name: list(one.speaks) for one in found}
        return Answer(said=self._followed(meeting, followed(found, known)), turns=turns)

    def _cascade(self, meeting: Meeting) -> Answer:
        audio = load_audio(meeting.audio)
        embedder = RecentWindows(window_embedder(self._transcriber.embedder, self._transcriber.engine))
        said: list[Said] = []
        for voice in meeting.voices:
            left = target_audio(audio, load_audio(voice.enrolment), embedder, CascadeOptions())
            if left is not None:
                said += _said(self._plain(left), voice.name)
        return Answer(said=tuple(said))

    def _plain_only(self, meeting: Meeting) -> Answer:
        return Answer(said=tuple(_said(self._plain(meeting.audio), EVERYBODY)))

    def _own_diarisation(self, meeting: Meeting) -> Answer:
        found = diarise(load_audio(meeting.audio), self._transcriber.embedder)
        return self._whisperx(meeting, _turns(found))

    def _given(self, meeting: Meeting, rttm: Path) -> Answer:
        return self._whisperx(meeting, read_rttm(rttm).get(meeting.session, {}))

    def _whisperx(self, meeting: Meeting, turns: Turns) -> Answer:
        plain = self.answer("plain", meeting)
        return Answer(said=tuple(given_to(plain.said, turns)), turns=turns, cpu_s=plain.cpu_s)


def scored(systems: MeetingSystems, name: str, meeting: Meeting, normalize: TextNormalizer) -> Scored:
    """A system's answer for one conversation, and how good it is."""
    answer = systems.answer(name, meeting)
    words = score_meeting(meeting.said, answer.said, normalize, meeting.absent)
    found = None if answer.turns is None else der(meeting.turns, answer.turns)
    voices = None if answer.turns is None else (len(meeting.turns), len(answer.turns))
    return Scored(words, found, voices, answer.cpu_s, duration_s(meeting.audio))


def _said(transcript: Transcript, name: str) -> list[Said]:
    """Words, where the transcript has their times, else segments."""
    found = []
    for segment in transcript.segments:
        for one in segment.words if segment.words else (segment,):
            found.append(Said(name, one.start_s, max(one.end_s, one.start_s), one.text.strip()))
    return found


def _turns(found: Diarisation) -> Turns:
    names = (f"Speaker {number}" for number in range(1, len(found.speaks) + 1))
    return {
        name: [(begin / FRAME_RATE_HZ, end / FRAME_RATE_HZ) for begin, end in runs_of(row)]
        for name, row in zip(names, found.speaks, strict=True)
    }


def given_to(said: Sequence[Said], turns: Turns) -> list[Said]:
    """Everybody's words, each under the name of the voice that speaks most of its time; where nobody does, of the voice
    that speaks nearest to it. All under one name where there are no voices."""
    if not turns:
        return list(said)
    return [Said(_nearest(one, turns), one.start_s, one.end_s, one.text) for one in said]


def _nearest(one: Said, turns: Turns) -> str:
    def shared(name: str) -> tuple[float, float]:
        both = [min(end, one.end_s) - max(start, one.start_s) for start, end in turns[name]]
        return sum((part for part in both if part > 0), 0.0), max(both, default=float("-inf"))

    return max(turns, key=shared)
