"""Plain Whisper, without a prompt, through the same search: 30 s windows, each beginning where the last one broke off.

Radford et al. (2022), section 3.8, without conditioning on the text before.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from softspoken.audio import SAMPLE_RATE_HZ, AudioLike
from softspoken.backbones.features import FRAME_RATE_HZ, MAX_WINDOW_S
from softspoken.decoding.journal import Journal, OnSegment, Step, run_through, segments_of
from softspoken.decoding.longform import Reader, audio_blocks
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.result import Segment, Transcript, VoiceWindow
from softspoken.decoding.search import decode_batch
from softspoken.decoding.segments import seek, window_segments
from softspoken.decoding.settlement import Verification
from softspoken.decoding.words import with_words
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.engines.base import Engine, Precision
from softspoken.engines.load import EngineName, load_engine

IGNORED_REST_S = 0.5
"""Less than this after the last sentence holds no further one."""


class EverybodyTranscriber(ABC):
    """Transcribes everything that is said in a recording, whoever says it."""

    @abstractmethod
    def resolved(self, options: DecodingOptions | None) -> DecodingOptions:
        """The options as they count here."""

    @abstractmethod
    def _steps(self, reader: Reader, options: DecodingOptions, batch: int, last: Step | None = None) -> Iterator[Step]:
        """Through a recording, behind `last`; `batch`: windows at the same time, where they do not depend on others."""

    def transcribe(
        self,
        audio: AudioLike,
        speaker: None = None,
        options: DecodingOptions | None = None,
        *,
        sample_rate: int | None = None,
        on_segment: OnSegment | None = None,
        journal: Journal | None = None,
    ) -> Transcript:
        """Everything that is heard in a recording. Arguments: see `Transcriber.transcribe`; there is no `speaker` here.

        Raises AudioError for a recording that cannot be used, ConfigError for options that are not possible.
        """
        options = self.resolved(options)
        reader, batch = Reader(audio_blocks(audio, sample_rate)), options.windows.batch

        def run(reader: Reader, last: Step | None) -> Iterator[Step]:
            return self._steps(reader, options, batch, last)

        heard = run_through(run, reader, Verification(1), journal, on_segment)
        segments = tuple(segment for (one,) in heard for segment in one.segments)
        return Transcript(segments, language_of(options), duration_s=round(reader.position_s, 3))

    def stream(
        self,
        audio: AudioLike,
        speaker: None = None,
        options: DecodingOptions | None = None,
        *,
        sample_rate: int | None = None,
    ) -> Iterator[Segment]:
        """`transcribe`, segment by segment as they are found, in order."""
        reader = Reader(audio_blocks(audio, sample_rate))
        steps = self._steps(reader, self.resolved(options), batch=1)
        return segments_of(steps, reader, Verification(1))


class PlainTranscriber(EverybodyTranscriber):
    """Transcribes everything that is said in a recording, without a prompt. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        """`engine`: see `load_engine`."""
        self.engine = engine

    @classmethod
    def from_pretrained(
        cls,
        backbone: str = DEFAULT_BACKBONE,
        device: str = "cpu",
        engine: EngineName = "auto",
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> "PlainTranscriber":
        """Load a backbone by its reference (see `load_backbone`) on an engine (see `load_engine`, with its errors)."""
        return cls(load_engine(backbone, engine, precision, device, threads))

    @property
    def identity(self) -> str:
        """See `Transcriber`."""
        return self.engine.identity

    def resolved(self, options: DecodingOptions | None) -> DecodingOptions:
        """The options as they count here."""
        return DecodingOptions() if options is None else options

    def _steps(self, reader: Reader, options: DecodingOptions, batch: int, last: Step | None = None) -> Iterator[Step]:
        longest_s = min(MAX_WINDOW_S, self.engine.max_frames / FRAME_RATE_HZ)
        number = 0
        if last is not None:
            number = last.windows
            reader.pass_over(last.position)
        while True:
            audio = reader.peek(round(longest_s * SAMPLE_RATE_HZ))
            window_s = audio.size / SAMPLE_RATE_HZ
            if audio.size == 0 or (number > 0 and window_s < IGNORED_REST_S):
                reader.skip(audio.size)
                return
            heard = self.engine.encode(self.engine.features([audio], longest_s))
            found = decode_batch(heard, options, window_s=[window_s], seeds=[number])
            (decoded,) = with_words(heard, found, [audio], options)
            place = {"offset_s": reader.position_s, "window_s": window_s}
            if options.timestamps:
                segments, advance_s = seek(decoded, self.engine.tokens, **place)
            else:
                segments, advance_s = window_segments(decoded, self.engine.tokens, **place), window_s
            passed = round(advance_s * SAMPLE_RATE_HZ)
            with_next = passed + round(IGNORED_REST_S * SAMPLE_RATE_HZ)
            if passed < audio.size and reader.peek(with_next).size < with_next:
                # No next window would hear the sentence that is left to it.
                segments, passed = window_segments(decoded, self.engine.tokens, **place), audio.size
            reader.skip(passed)
            number += 1
            yield Step(number, round(reader.position_s * SAMPLE_RATE_HZ), ((VoiceWindow(tuple(segments)),),))


def language_of(options: DecodingOptions) -> str:
    """The language that the transcript is in."""
    return "en" if options.language is None else options.language
