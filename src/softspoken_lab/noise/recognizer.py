"""Speech in noise to text: a frozen encoder, its soft prompts and their CTC head joined.

"Soft prompts as zero-shot learners" (arXiv 2309.09413), section 2: the encoder hears [X, P], the head the audio's
frames alone. The prompts may be left out without training anything again (section 3.2, table 3).
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeVar, overload

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from softspoken.audio import SAMPLE_RATE_HZ, SHORTEST_S
from softspoken.backbones import Backbone, WhisperBackbone
from softspoken.backbones.features import FRAME_RATE_HZ, TRAILING_SILENCE_S
from softspoken.decoding.longform import Reader, Window, audio_blocks, quiet_windows
from softspoken.decoding.options import WindowOptions
from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import AudioError, ConfigError
from softspoken.frozen import Frozen
from softspoken_lab.noise.characters import BLANK, SPACE, Characters
from softspoken_lab.noise.encoders import load_encoder
from softspoken_lab.noise.folder import LoadedRecognizer, load_recognizer
from softspoken_lab.noise.model import prompted_states
from softspoken_lab.noise.search import BeamSearch, greedy
from softspoken_lab.noise.ssl import SSLBackbone

UsedPrompts = Literal["own", "none"]
"""`own`: those the head was trained with, if it has any; `none`: the frozen encoder as it is."""

Recording = str | Path | np.ndarray
_R = TypeVar("_R", bound=Recording)
_POOL_BATCHES = 8
"""Windows of so many batches are held at once and sorted by length."""


class RecognizerOptions(Frozen):
    """How recordings are cut and run together. The text hardly depends on any of this."""

    longest_s: float = Field(default=28.0, ge=1.0, le=30.0)
    """No window is longer; nor than the encoder has positions for."""
    search_s: float = Field(default=8.0, ge=0.0)
    """A window ends at the quietest place in this many last seconds of the longest one."""
    batch_s: float = Field(default=60.0, gt=0.0)
    """Audio in one batch at most, padding included; one window at least."""
    pause_s: float = Field(default=0.6, gt=0.0)
    """A segment ends where nothing is written for so long (in greedy search)."""


@dataclass(frozen=True)
class TimedWord:
    """A word, and from the first to the last frame of the path in which a letter of it stands. Times in seconds."""

    text: str
    start_s: float
    end_s: float


class NoiseRobustRecognizer:
    """Transcribes recordings, noisy ones too. Safe to share between threads."""

    def __init__(self, loaded: LoadedRecognizer, backbone: Backbone, options: RecognizerOptions | None = None) -> None:
        """`loaded`: see `load_recognizer`; moved to the backbone's device. Raises PromptMismatch for another backbone
        than its own."""
        loaded.check(backbone)
        self.backbone = backbone
        self.model = loaded.model.to(backbone.device).eval()
        self.characters: Characters = loaded.characters
        self.info = loaded.info
        self.prompts = loaded.prompts
        """What is known about its prompts; None: a frozen baseline."""
        self.options = RecognizerOptions() if options is None else options
        # A backbone runs under one prompt at a time.
        self._turn = threading.Lock()

    @classmethod
    def load(
        cls,
        folder: str | Path,
        backbone: str | Backbone | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        options: RecognizerOptions | None = None,
    ) -> "NoiseRobustRecognizer":
        """A stored recogniser, verified, and the backbone it was trained on.

        Args:
            folder: what training wrote.
            backbone: a reference for `load_encoder`, or one that is loaded (then `device` and `dtype` are its own);
                None: the one whose name is stored.
            dtype: of the backbone; prompts and head stay in float32.

        Raises:
            PromptError, BackboneError: something is missing, damaged, or does not belong together.
        """
        loaded = load_recognizer(folder)
        if not isinstance(backbone, Backbone):
            backbone = load_encoder(loaded.info.backbone.name if backbone is None else backbone, device, dtype)
        return cls(loaded, backbone, options)

    @overload
    def transcribe(self, audio: Recording, *, prompts: UsedPrompts = ..., search: BeamSearch | None = ...) -> str: ...

    @overload
    def transcribe(
        self, audio: list[_R] | tuple[_R, ...], *, prompts: UsedPrompts = ..., search: BeamSearch | None = ...
    ) -> list[str]: ...

    def transcribe(
        self,
        audio: Recording | list[_R] | tuple[_R, ...],
        *,
        prompts: UsedPrompts = "own",
        search: BeamSearch | None = None,
    ) -> str | list[str]:
        """The words of a recording (a file of any length, or mono samples at 16 kHz); of several, in their order.

        `search`: None is greedy. Raises AudioError for a recording that cannot be used, ConfigError for a search over
        another dictionary.
        """
        if isinstance(audio, list | tuple):
            return [transcript.text for transcript in self.recognize(audio, prompts=prompts, search=search)]
        return self.recognize([audio], prompts=prompts, search=search)[0].text

    def recognize(
        self, recordings: Sequence[Recording], *, prompts: UsedPrompts = "own", search: BeamSearch | None = None
    ) -> list[Transcript]:
        """`transcribe` with times: of each recording its segments, and how long it is.

        Segments end at pauses; with a `search` there is one a window. Times are those of the best path, good to about
        a tenth of a second. Windows of all recordings run together in batches of similar length.
        """
        if isinstance(recordings, str):
            raise ConfigError(f"'{recordings}' is one recording; give a list, or use `transcribe`")
        if search is not None and search.characters != self.characters:
            raise ConfigError(
                f"a search over {search.characters.size} symbols, the recogniser writes {self.characters.size} others; "
                "make it with the recogniser's `characters`"
            )
        durations_s = [0.0] * len(recordings)
        found: list[list[tuple[Segment, ...]]] = [[] for _ in recordings]
        windows = self._windows(recordings, durations_s, prompts)
        for pool in _taken(windows, _POOL_BATCHES * self.options.batch_s):
            segments = self._decode([window for _, window in pool], prompts, search)
            # Windows of one recording are in order within a pool and from pool to pool.
            for (index, _), some in zip(pool, segments, strict=True):
                found[index].append(some)
        return [
            Transcript(tuple(segment for some in parts for segment in some), duration_s=round(duration_s, 3))
            for parts, duration_s in zip(found, durations_s, strict=True)
        ]

    def _windows(
        self, recordings: Sequence[Recording], durations_s: list[float], prompts: UsedPrompts
    ) -> Iterator[tuple[int, Window]]:
        """(recording's number, window); notes how long each recording is once it has been read."""
        limits = WindowOptions(
            longest_s=min(self.options.longest_s, self._room_s(prompts)), search_s=self.options.search_s
        )
        for index, recording in enumerate(recordings):
            if isinstance(recording, np.ndarray) and recording.size < SHORTEST_S * SAMPLE_RATE_HZ:
                raise AudioError(
                    f"recording {index + 1} of {len(recordings)} has {recording.size} samples at 16 kHz; "
                    f"expected at least {SHORTEST_S} s of audio"
                )
            reader = Reader(audio_blocks(recording))
            for window in quiet_windows(reader, limits):
                yield index, window
            durations_s[index] = reader.position_s

    def _room_s(self, prompts: UsedPrompts) -> float:
        """Seconds of audio that the encoder has positions for, with the silence that it puts behind them."""
        if not isinstance(self.backbone, WhisperBackbone):
            return self.options.longest_s
        frames, config = self.backbone.max_frames, self.prompts.prompts if self.prompts is not None else None
        if prompts == "own" and config is not None and config.placement == "shifted" and config.encoder is not None:
            frames -= config.encoder.length
        return frames / FRAME_RATE_HZ - TRAILING_SILENCE_S

    def _decode(
        self, windows: Sequence[Window], prompts: UsedPrompts, search: BeamSearch | None
    ) -> list[tuple[Segment, ...]]:
        """The segments of each window, in the order of the windows."""
        results: list[tuple[Segment, ...]] = [() for _ in windows]
        for batch in similar([window.duration_s for window in windows], self.options.batch_s):
            chosen = [windows[index] for index in batch]
            log_probs, lengths = self.log_probs([window.audio for window in chosen], prompts)
            if search is not None:
                texts = search.decode(log_probs, lengths)
            else:
                texts = greedy(log_probs, lengths, self.characters)
            paths = log_probs.argmax(dim=-1).cpu()
            for index, window, text, path, length in zip(batch, chosen, texts, paths, lengths.tolist(), strict=True):
                words = timed_words(path[:length], self.characters, window.start_s, self._frame_s)
                pause_s = self.options.pause_s if search is None else None
                results[index] = tuple(_segments(text, words, window, pause_s))
        return results

    @torch.no_grad()
    def log_probs(
        self, audio: Sequence[np.ndarray], prompts: UsedPrompts = "own"
    ) -> tuple[Float[Tensor, "B T V"], Int[Tensor, "B"]]:
        """Log-probabilities of the dictionary's symbols at each step of the head, and how many of each row are valid.

        `audio`: mono waveforms at 16 kHz, each short enough for the encoder, as one batch.
        """
        features = self.backbone.features(audio)
        rows = self.model.rows() if prompts == "own" else None
        with self._turn:
            found = prompted_states(self.backbone, features, rows)
        # A backbone in half precision gives half-precision states.
        kind = self.model.head.output.weight.dtype
        log_probs, lengths = self.model.head([state.to(kind) for state in found.states], found.lengths)
        return log_probs, lengths

    @property
    def _frame_s(self) -> float:
        """Seconds of audio that one step of the head covers."""
        joined = self.model.head.config.joined
        if isinstance(self.backbone, SSLBackbone):
            return joined * float(np.prod(self.backbone.frontend.strides)) / SAMPLE_RATE_HZ
        return joined / FRAME_RATE_HZ


def timed_words(
    path: Int[Tensor, "T"], characters: Characters, offset_s: float = 0.0, frame_s: float = 1.0 / FRAME_RATE_HZ
) -> list[TimedWord]:
    """The words of a CTC path (a symbol a frame), with times; joined by spaces they are what `greedy` writes."""
    words: list[TimedWord] = []
    letters, first, last = "", 0, 0
    place = 0
    for symbol, run in groupby(path.tolist()):
        start, place = place, place + len(list(run))
        if symbol == BLANK:
            continue
        if characters.symbols[symbol] != SPACE:
            first = start if not letters else first
            letters, last = letters + characters.symbols[symbol], place
        elif letters:
            words.append(TimedWord(letters, offset_s + first * frame_s, offset_s + last * frame_s))
            letters = ""
    if letters:
        words.append(TimedWord(letters, offset_s + first * frame_s, offset_s + last * frame_s))
    return words


def _segments(text: str, words: Sequence[TimedWord], window: Window, pause_s: float | None) -> Iterator[Segment]:
    """A window's text as segments. `pause_s` None: the text is not that of `words`, which only say when."""
    if not text:
        return
    end_s = window.start_s + window.duration_s
    if pause_s is None or not words:
        # A beam may write where the best path is all blanks.
        times = (words[0].start_s, words[-1].end_s) if words else (window.start_s, end_s)
        yield Segment(round(times[0], 3), round(min(times[1], end_s), 3), text)
        return
    group = [words[0]]
    for word in [*words[1:], None]:
        if word is not None and word.start_s - group[-1].end_s < pause_s:
            group.append(word)
            continue
        # The encoder hears some silence behind the audio, and may write the last letter there.
        start_s, until_s = min(group[0].start_s, end_s), min(group[-1].end_s, end_s)
        yield Segment(round(start_s, 3), round(until_s, 3), " ".join(one.text for one in group))
        group = [word] if word is not None else []


def similar(durations_s: Sequence[float], batch_s: float) -> Iterator[list[int]]:
    """Numbers of all items in batches of similar length, the longest first: count times longest is at most `batch_s`
    (one item where that alone is longer)."""
    order = sorted(range(len(durations_s)), key=lambda index: -durations_s[index])
    while order:
        size = max(int(batch_s / max(durations_s[order[0]], SHORTEST_S)), 1)
        yield order[:size]
        order = order[size:]


def _taken(windows: Iterable[tuple[int, Window]], pool_s: float) -> Iterator[list[tuple[int, Window]]]:
    """Windows in groups of about `pool_s` seconds, so that memory does not grow with the recordings."""
    pool: list[tuple[int, Window]] = []
    held_s = 0.0
    for index, window in windows:
        pool.append((index, window))
        held_s += window.duration_s
        if held_s >= pool_s:
            yield pool
            pool, held_s = [], 0.0
    if pool:
        yield pool
