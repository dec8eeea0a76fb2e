"""What decodes the windows of a live recording: of some voices under their prompt, or of everybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones.tokens import WhisperTokens
from softspoken.decoding.conditioning import Target
from softspoken.decoding.longform import Window
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.prompted import PromptedTranscriber
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.decoding.settlement import needed_likeness
from softspoken.decoding.target_session import TargetSession, run_prepared
from softspoken.decoding.transcriber import TargetSpeakerTranscriber
from softspoken.decoding.words import with_words
from softspoken.prompts.config import FramePrompt
from softspoken.speakers import Enrolment, FrameScores, SpeakerEmbedder


@dataclass(frozen=True)
class LiveRow:
    """A window that grows: where it begins in the stream, its samples so far, and what is written of it for good."""

    line: int
    """Whose words: the voice's number; 0 for everybody's."""
    first: int
    audio: Float32[np.ndarray, " N"]
    prefix: tuple[int, ...]


@runtime_checkable
class LiveRows(Protocol):
    """Decodes such windows, for one stream."""

    tokens: WhisperTokens

    @property
    def names(self) -> Sequence[str | None]:
        """By line; None: everybody."""
        ...

    def decode(self, rows: Sequence[LiveRow]) -> list[DecodedWindow | None]:
        """What is written, by row; None: nobody whose words are wanted."""
        ...

    def forget(self, before: int) -> None:
        """No window will begin before this sample again."""
        ...


class EverybodyRows:
    """Everybody's words, under a prompt that makes short windows enough."""

    names: Sequence[str | None] = (None,)

    def __init__(self, transcriber: PromptedTranscriber, options: DecodingOptions) -> None:
        self._transcriber, self._options = transcriber, transcriber.resolved(options)
        self.tokens = transcriber.engine.tokens

    def decode(self, rows: Sequence[LiveRow]) -> list[DecodedWindow | None]:
        audio = [row.audio for row in rows]
        heard = self._transcriber.encode(audio)
        window_s = [part.size / SAMPLE_RATE_HZ for part in audio]
        found = decode_batch(heard, self._options, window_s=window_s, prefixes=[row.prefix for row in rows])
        return list(with_words(heard, found, audio, self._options))

    def forget(self, before: int) -> None:
        pass


class VoicesRows:
    """The words of some voices. What a voice is compared with is measured once, however often a window is decoded."""

    def __init__(
        self, transcriber: TargetSpeakerTranscriber, voices: Sequence[Enrolment], options: DecodingOptions
    ) -> None:
        self._session = transcriber.session(voices)
        self._options = transcriber.resolved(options)
        self.tokens = transcriber.engine.tokens
        self.names: Sequence[str | None] = [voice.name for voice in voices]
        self._scores = _StreamScores(self._session)
        self._highest = [1.0 if options.insist else -1.0 for _ in voices]
        """Likeness of each voice so far."""

    def decode(self, rows: Sequence[LiveRow]) -> list[DecodedWindow | None]:
        windows = [Window(row.first / SAMPLE_RATE_HZ, row.audio) for row in rows]
        targets = [self._scores(row.first, row.audio) for row in rows]
        pairs = [
            (index, row.line) for index, row in enumerate(rows) if row.prefix or self._is_there(row, targets[index])
        ]
        found: list[DecodedWindow | None] = [None] * len(rows)
        if pairs:
            prepared = self._session.prepared(windows, targets, pairs, 0)
            prefixes = [rows[index].prefix for index, _ in pairs]
            written = run_prepared(self._session.engine, [prepared], self._options, prefixes)
            for (index, _), window in zip(pairs, written, strict=True):
                found[index] = window
        return found

    def _is_there(self, row: LiveRow, target: Target) -> bool:
        """Whether the voice has shown by now that it is there at all (see `needed_likeness`)."""
        self._highest[row.line] = max(self._highest[row.line], target.likeness[row.line])
        return self._highest[row.line] >= needed_likeness((row.first + row.audio.size) / SAMPLE_RATE_HZ)

    def forget(self, before: int) -> None:
        self._scores.forget(before)


class _StreamScores:
    """`TargetSession.score` for any window of a stream; the windows of the embedder lie on one grid and are kept."""

    def __init__(self, session: TargetSession) -> None:
        self._session = session
        frames = session.info.prompts.frames
        frames = FramePrompt() if frames is None else frames
        self._hop, self._size = (round(part * SAMPLE_RATE_HZ) for part in (frames.hop_s, frames.window_s))
        self._frames = frames
        self._vectors: dict[int, Float32[np.ndarray, " S"]] = {}

    def __call__(self, first: int, audio: Float32[np.ndarray, " N"]) -> Target:
        if audio.size < self._size + self._hop:
            return self._session.score(audio)
        places = range(-(-first // self._hop) * self._hop, first + audio.size - self._size + 1, self._hop)
        missing = [place for place in places if place not in self._vectors]
        # What the grid does not reach: the last window ends with the audio.
        rest = first + audio.size - self._size
        begin = min([*missing[:1], rest])
        made, starts_s = self._embedder.embed_windows(audio[begin - first :], self._frames.window_s, self._frames.hop_s)
        starts = [begin + round(float(start) * SAMPLE_RATE_HZ) for start in starts_s]
        new = dict(zip(starts, made, strict=True))
        self._vectors |= {place: vector for place, vector in new.items() if place % self._hop == 0}
        used = {place: self._vectors[place] for place in places} | {starts[-1]: made[-1]}
        measured = FrameScores(
            audio.size,
            self._frames.window_s,
            np.stack(list(used.values())),
            np.array([(place - first) / SAMPLE_RATE_HZ for place in used], np.float32),
        )
        return self._session.target(measured, audio)

    @property
    def _embedder(self) -> SpeakerEmbedder:
        return self._session.embedder

    def forget(self, before: int) -> None:
        self._vectors = {place: vector for place, vector in self._vectors.items() if place >= before}
