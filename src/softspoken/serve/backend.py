"""softspoken's own engine as a backend: the only file of the server that touches it.

Windows of any recording, for any voices, under any of the loaded prompts, are rows of one batch, as in
`decoding.transcribe_together`; so are the windows of requests for everybody's words. These are as long as their audio
(see `PromptedTranscriber`): of a batch of 30 s windows the encoder takes two thirds, which no batch makes shorter.
"""

from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from softspoken.decoding import DecodingOptions, PromptedTranscriber, TargetSpeakerTranscriber
from softspoken.decoding.longform import Reader, Window, audio_blocks, cut_windows
from softspoken.decoding.result import Segment, VoiceWindow
from softspoken.decoding.settlement import Verification
from softspoken.decoding.target_session import PreparedWindows, decode_prepared, settle
from softspoken.engines import EngineName, Precision
from softspoken.errors import ConfigError
from softspoken.live import LiveOptions, LiveTranscriber
from softspoken.prompts.checkpoint import load_prompts
from softspoken.prompts.short import short_window_prompts
from softspoken.serve.work import Backend, Job, Live, Piece, Spoken, Wanted, Waveform
from softspoken.speakers import Clip, Enrolment, EnrolmentLimits
from softspoken.speakers.discovery import talkers
from softspoken.speakers.enrolment import enrol

_LENGTHS_S = (4.0, 7.0, 12.0)


class EngineBackend(Backend):
    """A frozen Whisper under one or several sets of prompts, on one engine."""

    translates = False

    def __init__(self, transcribers: dict[str, TargetSpeakerTranscriber]) -> None:
        """`transcribers`: by the names of their prompts, on one engine; the first one is the default.

        Raises ConfigError for none, or for different engines or embedders.
        """
        if not transcribers:
            raise ConfigError("no prompt to serve; name at least one")
        self._transcribers = transcribers
        first = next(iter(transcribers.values()))
        if any(each.engine is not first.engine for each in transcribers.values()):
            raise ConfigError("prompts on different engines; load them with one engine to serve them together")
        if len({each.embedder.name for each in transcribers.values()}) > 1:
            raise ConfigError("prompts with different speaker embedders; serve those with one embedder together")
        self._first, self._engine = first, first.engine
        self.model = first.engine.backbone.name
        self.prompt_sets = tuple(transcribers)
        self.languages = tuple(first.engine.tokens.languages) or ("en",)

    @classmethod
    def load(
        cls,
        prompts: Sequence[str] = ("shipped",),
        backbone: str | None = None,
        device: str = "cpu",
        engine: EngineName = "auto",
        precision: Precision | None = None,
    ) -> "EngineBackend":
        """Load prompts by their names or folders onto one engine; see `TargetSpeakerTranscriber.from_pretrained`."""
        first = TargetSpeakerTranscriber.from_pretrained(
            prompts[0], backbone, device, engine=engine, precision=precision
        )
        loaded = {Path(prompts[0]).name: first}
        for name in prompts[1:]:
            loaded[Path(name).name] = TargetSpeakerTranscriber(
                first.engine, load_prompts(name), first.embedder, first.store
            )
        return cls(loaded)

    def enrol(self, name: str, clips: Sequence[tuple[str, Waveform]], shortest_s: float | None = None) -> Enrolment:
        limits = None if shortest_s is None else EnrolmentLimits(shortest_speech_s=shortest_s)
        made = enrol(name, [Clip(audio) for _, audio in clips], self._first.embedder, limits=limits)
        return replace(made, sources=tuple(source for source, _ in clips))

    def talkers(self, audio: Waveform) -> list[Enrolment]:
        return talkers(audio, self._first.embedder)

    def start(self, wanted: Wanted) -> Job:
        temperatures = DecodingOptions().temperatures if wanted.temperature == 0.0 else (wanted.temperature,)
        options = DecodingOptions(language=wanted.language, temperatures=temperatures, words=wanted.words)
        if wanted.voices is None:
            return _PlainJob(wanted.audio, self._everybody.resolved(options))
        return _VoicesJob(self._prompted(wanted.prompt_set), wanted.audio, wanted.voices, options)

    def live(self, voices: tuple[Enrolment, ...] | None, language: str | None, prompt_set: str | None) -> Live:
        options = LiveOptions()
        decoding = options.decoding.model_copy(update={"language": language})
        options = options.model_copy(update={"decoding": decoding})
        if voices is None:
            return LiveTranscriber.of(self._everybody, (), options)
        return LiveTranscriber.of(self._prompted(prompt_set), voices, options)

    @cached_property
    def _everybody(self) -> PromptedTranscriber:
        return PromptedTranscriber(self._engine, short_window_prompts(self._engine))

    def _prompted(self, prompt_set: str | None) -> TargetSpeakerTranscriber:
        name = self.prompt_sets[0] if prompt_set is None else prompt_set
        if name not in self._transcribers:
            raise ConfigError(f"no prompt set '{name}' here; this server has {', '.join(self.prompt_sets)}")
        return self._transcribers[name]

    def run(self, pieces: Sequence[Piece]) -> list[object]:
        """All `pieces` are of this backend's own jobs."""
        if isinstance(pieces[0], _PlainPiece):
            plain = [piece for piece in pieces if isinstance(piece, _PlainPiece)]
            seeds = [piece.number for piece in plain]
            return list(self._everybody.written([piece.window for piece in plain], plain[0].options, seeds))
        chosen = [piece for piece in pieces if isinstance(piece, _VoicesPiece)]
        return list(decode_prepared(self._engine, [piece.prepared for piece in chosen], chosen[0].options))


@dataclass(frozen=True)
class _PlainPiece:
    window: Window
    number: int
    options: DecodingOptions
    rows: int = 1

    @property
    def key(self) -> Hashable:
        """A batch is as long as its longest row, so that rows are of nearly one length."""
        return "plain", self.options, bisect(_LENGTHS_S, self.window.duration_s)


class _Job(ABC):
    """A recording, window by window, cut at quiet places; all of them may be out at once."""

    def __init__(self, audio: Waveform, options: DecodingOptions) -> None:
        self._options = options
        self._windows = cut_windows(Reader(audio_blocks(audio)), options.windows)
        self._ahead = next(self._windows, None)
        """The next window: who takes the last piece back must know that it is the last."""
        self._number, self._out, self._done_s = 0, 0, 0.0

    @abstractmethod
    def _piece(self, window: Window, number: int) -> Piece:
        """The window, ready to run."""

    @property
    def finished(self) -> bool:
        return self._ahead is None and self._out == 0

    @property
    def done_s(self) -> float:
        return self._done_s

    def next_piece(self) -> Piece | None:
        window = self._ahead
        if window is None:
            return None
        self._ahead = next(self._windows, None)
        self._done_s = window.start_s + window.duration_s
        self._number += 1
        self._out += 1
        return self._piece(window, self._number - 1)


class _PlainJob(_Job):
    """Everybody's words."""

    def _piece(self, window: Window, number: int) -> Piece:
        return _PlainPiece(window, number, self._options)

    def take(self, piece: Piece, answer: object) -> list[Spoken]:
        assert isinstance(piece, _PlainPiece)
        assert isinstance(answer, list)
        self._out -= 1
        return [_spoken(segment, piece.window.start_s) for segment in answer]


@dataclass(frozen=True)
class _VoicesPiece:
    prepared: PreparedWindows
    options: DecodingOptions
    batch_key: Hashable

    @property
    def rows(self) -> int:
        return len(self.prepared.pairs)

    @property
    def key(self) -> Hashable:
        return "voices", self.batch_key, self.options


class _VoicesJob(_Job):
    """The words of some voices: each window for all of them.

    A word that two of them claim is one's, for which the times of words are found whether or not they are wanted.
    """

    def __init__(
        self,
        transcriber: TargetSpeakerTranscriber,
        audio: Waveform,
        voices: Sequence[Enrolment],
        options: DecodingOptions,
    ) -> None:
        several = len(voices) > 1
        asked = options.model_copy(update={"words": options.words or several})
        super().__init__(audio, transcriber.resolved(asked))
        self._words, self._several = options.words, several
        self._transcriber = transcriber
        self._names = [voice.name for voice in voices]
        self._session = transcriber.session([transcriber.voice(voice) for voice in voices]) if voices else None
        self._held = Verification(len(voices))
        self._starts_s: list[float] = []
        self._ahead = self._ahead if voices else None

    def _piece(self, window: Window, number: int) -> Piece:
        assert self._session is not None
        self._starts_s.append(window.start_s)
        return _VoicesPiece(self._session.prepare([window], number), self._options, self._transcriber.batch_key)

    def take(self, piece: Piece, answer: object) -> list[Spoken]:
        assert isinstance(piece, _VoicesPiece)
        self._out -= 1
        (heard,) = _windows_of(answer)
        heard = settle(heard, self._options.language) if self._several else heard
        told = [self._held.passed(heard), *([self._held.rest(self.done_s)] if self.finished else [])]
        spoken = [
            _spoken(segment if self._words else replace(segment, words=()), self._window_s(segment), name)
            for some in told
            for name, segments in zip(self._names, some, strict=True)
            for segment in segments
        ]
        return sorted(spoken, key=lambda one: one.start_s)

    def _window_s(self, segment: Segment) -> float:
        """Where the window begins that a segment was heard in, which may have been held back since."""
        return self._starts_s[max(bisect(self._starts_s, segment.start_s + 1e-3) - 1, 0)]


def _windows_of(answer: object) -> list[list[VoiceWindow]]:
    assert isinstance(answer, list)
    return answer


def _spoken(segment: Segment, window_s: float, speaker: str | None = None) -> Spoken:
    return Spoken(
        segment.start_s,
        segment.end_s,
        segment.text,
        speaker,
        window_s,
        segment.tokens,
        segment.avg_logprob,
        segment.no_speech_prob,
        segment.temperature,
        segment.words,
    )
