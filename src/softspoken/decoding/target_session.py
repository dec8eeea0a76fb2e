"""Target voices in a recording: windows are prepared for all of them, decoded as one batch, and turned into segments.

Rows of a batch are pairs of a window and a voice. They may be of several recordings, and under prompts of their own.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones.features import MAX_WINDOW_S
from softspoken.decoding.conditioning import (
    Target,
    activity,
    score_voices,
    target_of,
    verdict,
    window_features,
)
from softspoken.decoding.journal import Step
from softspoken.decoding.longform import Reader, Window, cut_windows
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.result import VoiceWindow, WindowEvidence
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.decoding.segments import edged, window_segments
from softspoken.decoding.settlement import settled
from softspoken.decoding.words import with_words
from softspoken.engines.base import Engine
from softspoken.errors import EnrolmentError
from softspoken.prompts.arrays import fitted_clips
from softspoken.prompts.compiled import CompiledPrompts, CompiledRows, join
from softspoken.prompts.config import FramePrompt
from softspoken.prompts.info import PromptInfo
from softspoken.prompts.silence import SilenceModel
from softspoken.speakers import Enrolment, FrameScores, SpeakerEmbedder
from softspoken.speakers.speech import is_telephone

logger = logging.getLogger("softspoken.decoding")


@dataclass(frozen=True)
class PreparedWindows:
    """Some windows of a recording, ready to be decoded for some voices."""

    windows: Sequence[Window]
    targets: Sequence[Target]
    pairs: Sequence[tuple[int, int]]
    """Window and voice of each row."""
    padded_s: float | None
    """Seconds in which each window is heard; None: its own."""
    prompts: CompiledRows
    """One set a row."""
    activity: Float32[np.ndarray, "B _"] | None
    silence: SilenceModel | None
    number: int
    """Place of the first window in the recording."""

    @property
    def scores(self) -> list[Float32[np.ndarray, " frames"]]:
        return [self.targets[window].scores[voice] for window, voice in self.pairs]


class TargetSession:
    """K voices in one recording, under one set of prompts."""

    def __init__(
        self,
        engine: Engine,
        prompts: CompiledPrompts,
        info: PromptInfo,
        embedder: SpeakerEmbedder,
        voices: Sequence[Enrolment],
    ) -> None:
        """Raises EnrolmentError for a voice without a clip, where the prompt hears that."""
        self.engine = engine
        self.voices = list(voices)
        self.info, self.embedder = info, embedder
        self.vectors = np.stack([voice.vector for voice in voices])
        self._told_of_line = False
        self._by_telephone = [voice.clip is not None and is_telephone(voice.clip) for voice in voices]
        speaker = self.vectors if info.prompts.speaker is not None else None
        # No window changes what the voices make of the prompts.
        self._rows = prompts.rows(speaker, self._heard_clips())

    def prepare(self, windows: Sequence[Window], number: int) -> PreparedWindows:
        """Measure the windows for all voices, one row a pair; `number`: place of the first one in the recording."""
        targets = [self.score(window.audio) for window in windows]
        pairs = [(index, voice) for index in range(len(windows)) for voice in range(len(self.voices))]
        return self.prepared(windows, targets, pairs, number)

    def score(self, audio: Float32[np.ndarray, " N"]) -> Target:
        """How much a window sounds like each voice."""
        self._tell_of_line(audio)
        return score_voices(self.embedder, audio, self.vectors, self.info.prompts.frames, self._by_telephone)

    def target(self, measured: FrameScores, audio: Float32[np.ndarray, " N"]) -> Target:
        """The same for a window whose vectors are there already."""
        self._tell_of_line(audio)
        frames = self.info.prompts.frames
        frames = FramePrompt() if frames is None else frames
        return target_of(self.embedder, measured, self.vectors, audio, frames, self._by_telephone)

    def _tell_of_line(self, audio: Float32[np.ndarray, " N"]) -> None:
        """Say once that a recording came over a telephone."""
        if not self._told_of_line and is_telephone(audio):
            self._told_of_line = True
            logger.warning("the recording holds nothing above 4 kHz, as over a telephone: expect more errors")

    def prepared(
        self, windows: Sequence[Window], targets: Sequence[Target], pairs: Sequence[tuple[int, int]], number: int
    ) -> PreparedWindows:
        """These pairs of a window and a voice, as rows."""
        info = self.info
        padded_s = MAX_WINDOW_S if info.window == "30s" else None
        prompts = self._rows.repeated([voice for _, voice in pairs])
        scores = [targets[index].scores[voice] for index, voice in pairs]
        frames = info.prompts.frames
        active = activity(scores, frames) if frames is not None else None
        return PreparedWindows(windows, targets, pairs, padded_s, prompts, active, info.silence, number)

    def _heard_clips(self) -> Float32[np.ndarray, "L K F D"] | None:
        """What the frozen encoder hears in each voice's clip, for prompts that want to know: once for a recording."""
        config = self.info.prompts.enrolment
        if config is None:
            return None
        for voice in self.voices:
            if voice.clip is None:
                raise EnrolmentError(
                    f"this prompt hears the enrolment clip itself, of '{voice.name}' only the embedding is stored; "
                    "enrol the voice again with its clip, or give a clip instead of its name"
                )
        clips = [voice.clip for voice in self.voices if voice.clip is not None]
        return self.engine.layer_states(fitted_clips(clips, config), config.clip_s)


def decode_session(
    session: TargetSession,
    reader: Reader,
    options: DecodingOptions,
    batch: int,
    last: Step | None = None,
    exclusive: bool = False,
) -> Iterator[Step]:
    """What each voice said in the windows behind step `last` (None: in all); `batch` windows are run together.

    `options`: see `options_under`; `exclusive`: a word that two voices claim is one's, for which `options` must ask for
    words.
    """
    number = 0 if last is None else last.windows
    windows = islice(cut_windows(reader, options.windows), number, None)
    while group := list(islice(windows, batch)):
        (heard,) = decode_prepared(session.engine, [session.prepare(group, number)], options)
        heard = [settle(window, options.language) for window in heard] if exclusive else heard
        number += len(group)
        yield Step(number, round(reader.position_s * SAMPLE_RATE_HZ), tuple(tuple(window) for window in heard))


def decode_prepared(
    engine: Engine, prepared: Sequence[PreparedWindows], options: DecodingOptions
) -> list[list[list[VoiceWindow]]]:
    """Decode all prepared windows as one batch. By item of `prepared`, window and voice: what was said.

    Raises ConfigError for prompts that cannot be rows of one batch (see `join`).
    """
    found = iter(run_prepared(engine, prepared, options))
    return [_answers(engine, one, found) for one in prepared]


def run_prepared(
    engine: Engine,
    prepared: Sequence[PreparedWindows],
    options: DecodingOptions,
    prefixes: Sequence[tuple[int, ...]] | None = None,
) -> list[DecodedWindow]:
    """What is written for all pairs, in order, each behind its prefix (see `decode_batch`)."""
    scores = [score for one in prepared for score in one.scores]
    models = [one.silence for one in prepared for _ in one.pairs]

    def speaks(empty: Sequence[float]) -> list[bool | None]:
        if options.insist:
            return [True] * len(models)
        return [verdict(model, row, logprob) for model, row, logprob in zip(models, scores, empty, strict=True)]

    windows = [(window.audio, one.padded_s) for one in prepared for window in one.windows]
    features = engine.features([audio for audio, _ in windows], [padded_s for _, padded_s in windows])
    rows = _rows(prepared)
    audio = [windows[row][0] for row in rows]
    sets = [one.prompts.spread(len(one.pairs)) for one in prepared]
    heard = engine.encode_rows(features, rows, join(sets), _activity(prepared))
    found = decode_batch(
        heard,
        options,
        window_s=[one.windows[window].duration_s for one in prepared for window, _ in one.pairs],
        # The seed is the window's place in its recording, whatever else is in the batch.
        seeds=[one.number + window for one in prepared for window, _ in one.pairs],
        speaks=speaks,
        prefixes=prefixes,
    )
    return with_words(heard, found, audio, options)


def _rows(prepared: Sequence[PreparedWindows]) -> list[int]:
    """The window of each row, counted through all that is prepared."""
    rows: list[int] = []
    before = 0
    for one in prepared:
        rows += [before + window for window, _ in one.pairs]
        before += len(one.windows)
    return rows


def _activity(prepared: Sequence[PreparedWindows]) -> Float32[np.ndarray, "B _"] | None:
    """Of every row; 0 for prompts that do not ask for it."""
    size = max((one.activity.shape[1] for one in prepared if one.activity is not None), default=None)
    if size is None:
        return None
    found = np.zeros((sum(len(one.pairs) for one in prepared), size), np.float32)
    first = 0
    for one in prepared:
        if one.activity is not None:
            found[first : first + len(one.pairs), : one.activity.shape[1]] = one.activity
        first += len(one.pairs)
    return found


def _answers(engine: Engine, prepared: PreparedWindows, found: Iterator[DecodedWindow]) -> list[list[VoiceWindow]]:
    """By window and voice; takes as many of `found` as there are pairs."""
    answers: list[list[VoiceWindow]] = [[] for _ in prepared.windows]
    for (index, voice), decoded in zip(prepared.pairs, found, strict=False):
        window = prepared.windows[index]
        place = {"offset_s": window.start_s, "window_s": window.duration_s}
        segments = map(edged, window_segments(decoded, engine.tokens, **place))
        answers[index].append(VoiceWindow(tuple(segments), _evidence(prepared, index, voice, decoded)))
    return answers


def settle(said: Sequence[VoiceWindow], language: str | None) -> list[VoiceWindow]:
    """What some voices said in one window, without the words that were another's (see `settled`)."""
    kept = settled([one.segments for one in said], language)
    return [replace(one, segments=segments) for one, segments in zip(said, kept, strict=True)]


def _evidence(prepared: PreparedWindows, index: int, voice: int, found: DecodedWindow) -> WindowEvidence:
    assert found.empty_logprob is not None
    window, target = prepared.windows[index], prepared.targets[index]
    features = window_features(target.scores[voice], found.empty_logprob)
    return WindowEvidence(
        window.start_s,
        round(window.start_s + window.duration_s, 3),
        target.presence[voice],
        target.likeness[voice],
        found.empty_logprob,
        found.avg_logprob,
        {name: round(value, 5) for name, value in features.items()},
        None if prepared.silence is None else prepared.silence.probability(features),
    )
