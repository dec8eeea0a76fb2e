"""softspoken's own engine as a backend: the only file of the server that touches it.

Windows of any recording, for any voices, under any of the loaded prompts, are rows of one batch, as in
`decoding.transcribe_together`; so are the windows of requests for everybody's words.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones.features import FRAME_RATE_HZ, MAX_WINDOW_S
from softspoken.decoding import DecodingOptions, PromptedTranscriber, TargetSpeakerTranscriber
from softspoken.decoding.live import LiveOptions, LiveTranscriber
from softspoken.decoding.longform import Reader, Window, audio_blocks, cut_windows
from softspoken.decoding.plain import IGNORED_REST_S
from softspoken.decoding.result import Segment, VoiceWindow
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.decoding.segments import seek
from softspoken.decoding.target_session import PreparedWindows, decode_prepared
from softspoken.decoding.words import with_words
from softspoken.engines import EngineName, Precision
from softspoken.errors import ConfigError
from softspoken.prompts.checkpoint import load_prompts
from softspoken.prompts.short import short_window_prompts
from softspoken.serve.work import Backend, Job, Live, Piece, Spoken, Wanted, Waveform
from softspoken.speakers import Clip, Enrolment, EnrolmentLimits
from softspoken.speakers.diarisation import Diarisation, diarise
from softspoken.speakers.enrolment import enrol

_LONGEST_CLIP_S = 30.0
_DIARISED_FRAME = SAMPLE_RATE_HZ // 50


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
        return _talkers(audio, diarise(audio, self._first.embedder), self._first.embedder.name)

    def start(self, wanted: Wanted) -> Job:
        temperatures = DecodingOptions().temperatures if wanted.temperature == 0.0 else (wanted.temperature,)
        options = DecodingOptions(language=wanted.language, temperatures=temperatures, words=wanted.words)
        if wanted.voices is None:
            return _PlainJob(self, wanted.audio, options)
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
            return self._run_plain([piece for piece in pieces if isinstance(piece, _PlainPiece)])
        chosen = [piece for piece in pieces if isinstance(piece, _VoicesPiece)]
        return list(decode_prepared(self._engine, [piece.prepared for piece in chosen], chosen[0].options))

    @property
    def plain_window_s(self) -> float:
        return min(MAX_WINDOW_S, self._engine.max_frames / FRAME_RATE_HZ)

    def segments(self, piece: "_PlainPiece", decoded: DecodedWindow) -> tuple[list[Segment], float]:
        """The segments of a window, and after how many seconds the next one begins."""
        window = piece.window
        return seek(decoded, self._engine.tokens, offset_s=window.start_s, window_s=window.duration_s)

    def _run_plain(self, pieces: Sequence["_PlainPiece"]) -> list[object]:
        audio = [piece.window.audio for piece in pieces]
        heard = self._engine.encode(self._engine.features(audio, self.plain_window_s))
        lengths = [piece.window.duration_s for piece in pieces]
        seeds = [piece.number for piece in pieces]
        options = pieces[0].options
        return list(with_words(heard, decode_batch(heard, options, window_s=lengths, seeds=seeds), audio, options))


@dataclass(frozen=True)
class _PlainPiece:
    window: Window
    number: int
    options: DecodingOptions
    rows: int = 1

    @property
    def key(self) -> Hashable:
        return "plain", self.options


class _PlainJob:
    """Everybody's words: each window begins where the last one broke off."""

    def __init__(self, backend: EngineBackend, audio: Waveform, options: DecodingOptions) -> None:
        self._backend, self._options = backend, options
        self._reader = Reader(audio_blocks(audio))
        self._number, self._out, self.finished = 0, False, False

    @property
    def done_s(self) -> float:
        return self._reader.position_s

    def next_piece(self) -> _PlainPiece | None:
        if self._out or self.finished:
            return None
        audio = self._reader.peek(round(self._backend.plain_window_s * SAMPLE_RATE_HZ))
        if audio.size == 0 or (self._number > 0 and audio.size < IGNORED_REST_S * SAMPLE_RATE_HZ):
            self.finished = True
            return None
        self._out = True
        return _PlainPiece(Window(self._reader.position_s, audio), self._number, self._options)

    def take(self, piece: Piece, answer: object) -> list[Spoken]:
        assert isinstance(piece, _PlainPiece)
        assert isinstance(answer, DecodedWindow)
        found, advance_s = self._backend.segments(piece, answer)
        self._reader.skip(round(advance_s * SAMPLE_RATE_HZ))
        self._number += 1
        self._out = False
        return [_spoken(segment, piece.window.start_s) for segment in found]


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


class _VoicesJob:
    """The words of some voices: windows cut at quiet places, each for all voices that may speak in it."""

    def __init__(
        self,
        transcriber: TargetSpeakerTranscriber,
        audio: Waveform,
        voices: Sequence[Enrolment],
        options: DecodingOptions,
    ) -> None:
        self._transcriber, self._options = transcriber, transcriber.resolved(options)
        self._reader = Reader(audio_blocks(audio))
        self._windows = cut_windows(self._reader, self._options.windows)
        self._names = [voice.name for voice in voices]
        self._session = transcriber.session([transcriber.voice(voice) for voice in voices]) if voices else None
        self._number, self._out = 0, 0
        self._exhausted = not voices

    @property
    def finished(self) -> bool:
        return self._exhausted and self._out == 0

    @property
    def done_s(self) -> float:
        return self._reader.position_s

    def next_piece(self) -> _VoicesPiece | None:
        window = None if self._session is None else next(self._windows, None)
        if window is None or self._session is None:
            self._exhausted = True
            return None
        prepared = self._session.prepare([window], self._number)
        self._number += 1
        self._out += 1
        return _VoicesPiece(prepared, self._options, self._transcriber.batch_key)

    def take(self, piece: Piece, answer: object) -> list[Spoken]:
        assert isinstance(piece, _VoicesPiece)
        self._out -= 1
        (heard,) = _windows_of(answer)
        start_s = piece.prepared.windows[0].start_s
        spoken = [
            _spoken(segment, start_s, name)
            for name, one in zip(self._names, heard, strict=True)
            for segment in one.segments
        ]
        return sorted(spoken, key=lambda one: one.start_s)


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


def _talkers(audio: Waveform, found: Diarisation, embedder: str) -> list[Enrolment]:
    """Talkers as voices: their vectors, and up to half a minute of what each says alone."""
    alone = found.speaks & (found.speaks.sum(axis=0, keepdims=True) == 1)
    talkers = []
    for number, (vector, clear, speaks) in enumerate(zip(found.voices, alone, found.speaks, strict=True)):
        frames = np.flatnonzero(clear if clear.sum() >= 50 else speaks)
        samples = (frames[:, None] * _DIARISED_FRAME + np.arange(_DIARISED_FRAME)).ravel()
        clip = audio[samples[samples < audio.size]][: round(_LONGEST_CLIP_S * SAMPLE_RATE_HZ)]
        speech_s = float(speaks.sum()) / 50
        talkers.append(Enrolment(f"talker {number + 1}", embedder, vector, speech_s, "", (), (), clip))
    return talkers
