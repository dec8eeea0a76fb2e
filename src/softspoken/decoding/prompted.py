"""Everybody's words in windows as long as the audio, under a prompt that makes these enough for Whisper.

Whisper always encodes 30 s and breaks down on less. A prompt of task 'transcription' stands for what is missing (see
`prompts.short`), so that 5 s of audio cost 5 s of encoder frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones.features import MAX_WINDOW_S
from softspoken.decoding.journal import Step
from softspoken.decoding.longform import Reader, Window, cut_windows
from softspoken.decoding.options import DecodingOptions, options_under
from softspoken.decoding.plain import EverybodyTranscriber
from softspoken.decoding.result import Segment, VoiceWindow
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.decoding.segments import window_segments
from softspoken.decoding.words import with_words
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.engines.base import EncodedAudio, Engine, Precision
from softspoken.engines.load import EngineName, load_engine
from softspoken.errors import ConfigError
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts
from softspoken.prompts.fit import require_fit
from softspoken.prompts.short import SHORT, short_window_prompts

SHORTEST_S = 1.5
"""A shorter rest of a window holds no sentence that Whisper would have left out."""
QUIETER_DB = 20.0
"""A rest whose loudest moment is so much below the window's is silence."""
FRAME_S = 0.3


class PromptedTranscriber(EverybodyTranscriber):
    """Transcribes what everybody says in a recording, window by window. Safe to share between threads."""

    def __init__(self, engine: Engine, prompts: LoadedPrompts) -> None:
        """`engine`: see `load_engine`; `prompts`: checked against its backbone (PromptMismatch).

        Raises ConfigError for prompts of another task.
        """
        prompts.check(engine.backbone)
        if prompts.info.task != "transcription":
            raise ConfigError(
                f"the prompt was trained for '{prompts.info.task}', expected 'transcription'; choose another prompt, "
                f"such as '{SHORT}'"
            )
        self.info = prompts.info
        self.engine = engine
        self._compiled = engine.compile(prompts)

    @classmethod
    def from_pretrained(
        cls,
        prompt: str | Path = SHORT,
        backbone: str | None = None,
        device: str = "cpu",
        engine: EngineName = "auto",
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> "PromptedTranscriber":
        """Load everything by name.

        Args:
            prompt: 'short' (read off the backbone's own weights), a folder, or a hub repository.
            backbone: a reference for `read_whisper`; None: the one the prompt was trained on, for 'short' tiny.en.
            engine: see `load_engine`, as for the next two.
            precision: of the weights.
            threads: of the processor; None: all.

        Raises:
            PromptError, BackboneError: something is missing, damaged, or does not fit.
            ConfigError, MissingExtra: the engine cannot run like that, or is not installed.
        """
        prompts = None if prompt == SHORT else load_prompts(prompt)
        if prompts is not None:
            require_fit(prompts.info, backbone)
        trained_on = DEFAULT_BACKBONE if prompts is None else prompts.info.backbone.name
        loaded = load_engine(trained_on if backbone is None else backbone, engine, precision, device, threads)
        return cls(loaded, short_window_prompts(loaded) if prompts is None else prompts)

    @property
    def identity(self) -> str:
        """See `Transcriber`."""
        return f"{self.engine.identity} {self.info.digest} {self.info.model_dump_json()}"

    def texts(self, clips: Sequence[np.ndarray], options: DecodingOptions | None = None) -> list[str]:
        """The words of each of some clips (mono, 16 kHz), a window each, all in one batch."""
        options = self.resolved(options)
        windows = [Window(0.0, clip) for clip in clips]
        return [found.text.strip() for found in self._decode(windows, options, range(len(windows)))]

    def _steps(self, reader: Reader, options: DecodingOptions, batch: int, last: Step | None = None) -> Iterator[Step]:
        number = 0 if last is None else last.windows
        windows = islice(cut_windows(reader, options.windows), number, None)
        while group := list(islice(windows, batch)):
            seeds = range(number, number + len(group))
            said = tuple((VoiceWindow(tuple(segments)),) for segments in self.written(group, options, seeds))
            number += len(group)
            yield Step(number, round(reader.position_s * SAMPLE_RATE_HZ), said)

    def written(self, windows: Sequence[Window], options: DecodingOptions, seeds: Sequence[int]) -> list[list[Segment]]:
        """The segments of each window, of any recordings, as one batch (`options`: see `resolved`). The seed is the
        window's place in its recording, whatever else is in the batch.

        What a window goes on with behind its last sentence is heard again, as a window of its own.
        """
        segments: list[list[Segment]] = []
        rests: list[Window | None] = []
        for window, found in zip(windows, self._decode(windows, options, seeds), strict=True):
            place = {"offset_s": window.start_s, "window_s": window.duration_s}
            segments.append(window_segments(found, self.engine.tokens, **place))
            # By the model's own times: words may end earlier, and what is heard shall not depend on who asks for them.
            written = window_segments(replace(found, words=()), self.engine.tokens, **place)
            rests.append(_rest(window, written) if options.timestamps else None)
        behind = [index for index, rest in enumerate(rests) if rest is not None]
        if behind:
            left = [rest for rest in rests if rest is not None]
            for index, more in zip(
                behind, self.written(left, options, [seeds[index] for index in behind]), strict=True
            ):
                segments[index] += more
        return segments

    def resolved(self, options: DecodingOptions | None) -> DecodingOptions:
        """The options as they count for this prompt."""
        return options_under(self.info, self.engine.max_frames, options)

    def encode(self, audio: Sequence[np.ndarray]) -> EncodedAudio:
        """Windows (mono, 16 kHz) under the prompt."""
        padded_s = MAX_WINDOW_S if self.info.window == "30s" else None
        return self.engine.encode(self.engine.features(audio, padded_s), self._compiled.rows())

    def _decode(self, windows: Sequence[Window], options: DecodingOptions, seeds: Sequence[int]) -> list[DecodedWindow]:
        window_s = [window.duration_s for window in windows]
        heard = self.encode([window.audio for window in windows])
        found = decode_batch(heard, options, window_s=window_s, seeds=seeds)
        return with_words(heard, found, [window.audio for window in windows], options)


def _rest(window: Window, segments: list[Segment]) -> Window | None:
    """What stands behind the last sentence, if there is a sentence and the rest is long and loud enough for another.

    Whisper, whose next window would begin where this one broke off, now and then ends one early.
    """
    if not segments:
        return None
    start_s = segments[-1].end_s
    size = round(FRAME_S * SAMPLE_RATE_HZ)
    rest = window.audio[round((start_s - window.start_s) * SAMPLE_RATE_HZ) :]
    if rest.size < SHORTEST_S * SAMPLE_RATE_HZ or start_s <= window.start_s:
        return None
    loudest, here = (_loudest(part, size) for part in (window.audio, rest))
    return Window(start_s, rest) if here > loudest * 10 ** (-QUIETER_DB / 10) else None


def _loudest(audio: np.ndarray, size: int) -> float:
    """Power of the loudest stretch of `size` samples."""
    frames = audio[: audio.size // size * size].reshape(-1, size).astype(np.float64)
    return float((frames**2).mean(axis=1).max())
