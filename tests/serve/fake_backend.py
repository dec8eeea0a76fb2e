"""A model without weights: every second of sound is a word, and a voice is its pitch."""

import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from voices import PitchEmbedder

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.decoding import Word
from softspoken.live import Confirmed, LiveEvent, Partial, Said
from softspoken.serve.work import Backend, Job, Piece, Spoken, Wanted, Waveform
from softspoken.speakers import Clip, Enrolment, EnrolmentLimits
from softspoken.speakers.enrolment import enrol

ALIKE = 0.9


@dataclass(frozen=True)
class FakePiece:
    job: "FakeJob"
    number: int
    audio: np.ndarray
    rows: int
    key: Hashable


@dataclass
class FakeBackend(Backend):
    """Writes `word0`, `word1`, ... a second; `said` notes every batch."""

    model: str = "fake.en"
    prompt_sets: tuple[str, ...] = ("first", "second")
    languages: tuple[str, ...] = ("en", "de")
    translates: bool = True
    batch_s: float = 0.0
    """How long a batch takes."""
    batches: list[list[FakePiece]] = field(default_factory=list)
    gate: threading.Event | None = None
    """Batches wait for it."""

    def enrol(self, name: str, clips: Sequence[tuple[str, Waveform]], shortest_s: float | None = None) -> Enrolment:
        limits = None if shortest_s is None else EnrolmentLimits(shortest_speech_s=shortest_s)
        made = enrol(name, [Clip(audio) for _, audio in clips], PitchEmbedder(), limits=limits)
        return replace(made, sources=tuple(source for source, _ in clips))

    def talkers(self, audio: Waveform) -> list[Enrolment]:
        found: list[Enrolment] = []
        for number, second in enumerate(seconds_of(audio)):
            vector = vector_of(second)
            if vector is not None and all(float(vector @ one.vector) < ALIKE for one in found):
                found.append(Enrolment(f"talker {number}", "pitch", vector, 1.0, "", (), (), second))
        return found

    def start(self, wanted: Wanted) -> Job:
        return FakeJob(wanted)

    def live(self, voices: tuple[Enrolment, ...] | None, language: str | None, prompt_set: str | None) -> "FakeLive":
        return FakeLive(voices)

    def run(self, pieces: Sequence[Piece]) -> list[object]:
        assert all(isinstance(piece, FakePiece) for piece in pieces)
        assert len({piece.key for piece in pieces}) == 1
        self.batches.append(list(pieces))  # type: ignore[arg-type]
        if self.gate is not None:
            self.gate.wait()
        time.sleep(self.batch_s)
        if any(piece.job.wanted.language == "de" for piece in pieces):  # type: ignore[attr-defined]
            raise RuntimeError("German breaks it, at /a/secret/path")
        return [piece.job.hear(piece) for piece in pieces]  # type: ignore[attr-defined]


class FakeJob:
    """One recording, second by second."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._seconds = [] if wanted.voices == () else seconds_of(wanted.audio)
        self._next, self._taken = 0, 0

    @property
    def finished(self) -> bool:
        return self._taken == len(self._seconds)

    @property
    def done_s(self) -> float:
        return float(self._next)

    def next_piece(self) -> FakePiece | None:
        if self._next == len(self._seconds):
            return None
        number = self._next
        self._next += 1
        rows = 1 if self.wanted.voices is None else len(self.wanted.voices)
        return FakePiece(
            self, number, self._seconds[number], rows, ("plain" if self.wanted.voices is None else "voices")
        )

    def hear(self, piece: FakePiece) -> list[Spoken]:
        vector = vector_of(piece.audio)
        start_s = float(piece.number)
        if vector is None:
            return []
        text = f"word{piece.number}"
        words = (Word(start_s + 0.1, start_s + 0.4, text, 1.0),) if self.wanted.words else ()
        said = Spoken(start_s, start_s + 0.5, text, None, start_s, (1, 2), -0.25, 0.01, 0.0, words)
        if self.wanted.voices is None:
            return [said]
        return [
            replace(said, speaker=voice.name) for voice in self.wanted.voices if float(vector @ voice.vector) >= ALIKE
        ]

    def take(self, piece: Piece, answer: object) -> list[Spoken]:
        self._taken += 1
        assert isinstance(answer, list)
        return answer


class FakeLive:
    """A word for every second of sound, confirmed when the next one begins; silence ends a stretch."""

    def __init__(self, voices: tuple[Enrolment, ...] | None) -> None:
        self._voices = voices
        self._held = np.zeros(0, np.float32)
        self._second = 0
        self._said: dict[str | None, list[tuple[str, float]]] = {}

    def feed(self, samples: Waveform) -> list[LiveEvent]:
        self._held = np.concatenate([self._held, samples])
        events: list[LiveEvent] = []
        while self._held.size >= SAMPLE_RATE_HZ:
            events += self._heard(self._held[:SAMPLE_RATE_HZ])
            self._held = self._held[SAMPLE_RATE_HZ:]
        return events

    def finish(self) -> list[LiveEvent]:
        events: list[LiveEvent] = []
        for name, words in self._said.items():
            text = " ".join(word for word, _ in words)
            events += [Partial(name, ""), Said(name, text, words[0][1], words[-1][1] + 1.0)]
        self._said = {}
        return events

    def _heard(self, second: np.ndarray) -> list[LiveEvent]:
        number, self._second = self._second, self._second + 1
        vector = vector_of(second)
        if vector is None:
            return self.finish()
        names: list[str | None] = [None]
        if self._voices is not None:
            names = [voice.name for voice in self._voices if float(vector @ voice.vector) >= ALIKE]
        events: list[LiveEvent] = []
        for name in names:
            self._said.setdefault(name, []).append((f"word{number}", float(number)))
            events += [Confirmed(name, f"word{number}", float(number), number + 1.0), Partial(name, "and")]
        return events


def seconds_of(audio: np.ndarray) -> list[np.ndarray]:
    return [audio[at : at + SAMPLE_RATE_HZ] for at in range(0, audio.size - SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ)]


def vector_of(audio: np.ndarray) -> np.ndarray | None:
    """None for silence."""
    return PitchEmbedder().embed(audio) if np.abs(audio).max() > 0.01 else None
