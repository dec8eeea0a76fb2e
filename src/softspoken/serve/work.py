"""What the server asks of a model, and what a model gives: the only shapes that both sides know.

A request is a *job*, a job is a series of *pieces* (a window with its voices), and pieces of different jobs with equal
keys are run as one batch. `backend.py` does this with softspoken's engine; tests do it without weights.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from softspoken.decoding import Word
from softspoken.live import LiveEvent
from softspoken.speakers import Enrolment

Waveform = Float32[np.ndarray, " samples"]


@dataclass(frozen=True)
class Spoken:
    """A stretch of speech of one talker. Times in seconds from the start of the recording."""

    start_s: float
    end_s: float
    text: str
    speaker: str | None = None
    """None: nobody asked who."""
    window_s: float = 0.0
    """Where the window begins that it was heard in."""
    tokens: tuple[int, ...] = ()
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    temperature: float = 0.0
    words: tuple[Word, ...] = ()
    """Where `Wanted.words` asks for them."""


@dataclass(frozen=True)
class Wanted:
    """What one request wants to know of a recording."""

    audio: Waveform
    voices: tuple[Enrolment, ...] | None = None
    """Whose words; None: everybody's, by the model without a prompt."""
    language: str | None = None
    temperature: float = 0.0
    """0: search, and sampling only where that fails."""
    prompt_set: str | None = None
    """None: the first one."""
    words: bool = False
    """With their times."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate`: into English, where the backend can."""


@runtime_checkable
class Piece(Protocol):
    """A part of a job that is ready to run."""

    @property
    def key(self) -> Hashable:
        """Pieces with equal keys may be rows of one batch."""
        ...

    @property
    def rows(self) -> int:
        """How many rows of a batch it takes; at least one is counted."""
        ...


@runtime_checkable
class Job(Protocol):
    """A recording being transcribed. All calls come from one thread."""

    @property
    def finished(self) -> bool:
        """Whether every piece has been handed out and taken back."""
        ...

    @property
    def done_s(self) -> float:
        """Seconds of the recording that have been handed out."""
        ...

    def next_piece(self) -> Piece | None:
        """Prepare the next piece; None: there is none, or it waits for the answer to the last one."""
        ...

    def take(self, piece: Piece, answer: object) -> list[Spoken]:
        """What a piece's answer means for this recording, in order of time."""
        ...


@runtime_checkable
class Live(Protocol):
    """A stream being followed, such as a `LiveTranscriber`. One call at a time, from any thread."""

    def feed(self, samples: Waveform) -> list[LiveEvent]:
        """What more sound (16 kHz) changes."""
        ...

    def finish(self) -> list[LiveEvent]:
        """Confirm what stands; more may follow."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A model that transcribes. Safe to share between threads."""

    model: str
    """Its own name, such as 'tiny.en'."""
    prompt_sets: tuple[str, ...]
    languages: tuple[str, ...]
    """Codes of the languages that it writes."""
    translates: bool

    def enrol(self, name: str, clips: Sequence[tuple[str, Waveform]], shortest_s: float | None = None) -> Enrolment:
        """A voice from clips (name and samples), checked; `shortest_s` of speech each (None: the usual least).

        Raises AudioError or EnrolmentError for what no voice can be learned from.
        """
        ...

    def talkers(self, audio: Waveform) -> list[Enrolment]:
        """The talkers of a recording, in the order in which they first speak, without names."""
        ...

    def live(self, voices: tuple[Enrolment, ...] | None, language: str | None, prompt_set: str | None) -> Live:
        """Follow a stream; arguments and errors: see `Wanted` and `start`."""
        ...

    def start(self, wanted: Wanted) -> Job:
        """Begin a job. Raises ConfigError or EnrolmentError for what cannot be."""
        ...

    def run(self, pieces: Sequence[Piece]) -> list[object]:
        """Answers to pieces with equal keys, run as one batch; a piece's answer does not depend on the others."""
        ...
