"""Our own contenders, with and without prompts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from softspoken.decoding import (
    DecodingOptions,
    PlainTranscriber,
    PromptedTranscriber,
    TargetSpeakerTranscriber,
    decode_batch,
)
from softspoken.engines import Engine, EngineName, Precision, load_engine
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts
from softspoken.prompts.short import short_window_prompts
from softspoken.speakers import DEFAULT_EMBEDDER, Enrolment, load_embedder
from softspoken_lab.bench.contract import SAMPLE_RATE_HZ, AbsentError, Contender, Item, samples_of


def make_engine(backbone: str, engine: EngineName, precision: Precision, threads: int) -> Engine:
    """The one place that makes our engines; `specs.ENGINES` names those that take part."""
    if engine == "torch":
        import torch

        torch.set_num_threads(threads)
    return load_engine(backbone, engine, precision, threads=threads)


class Plain(Contender):
    """Whisper without a prompt, on 30 s windows."""

    def __init__(self, engine: Engine) -> None:
        self._transcriber = PlainTranscriber(engine)

    def hear(self, prepared: Item) -> Iterator[tuple[int, str]]:
        return ((0, segment.text) for segment in self._transcriber.stream(prepared.audio))


class Short(Contender):
    """A prompt that makes windows as long as their audio enough."""

    def __init__(self, engine: Engine, prompts: LoadedPrompts) -> None:
        self._engine = engine
        self._info = prompts.info
        self._transcriber = PromptedTranscriber(engine, prompts)
        self._rows = engine.compile(prompts).rows()

    def hear(self, prepared: Item) -> Iterator[tuple[int, str]]:
        if isinstance(prepared.audio, Path):
            # Of a long recording several windows run as one batch; `stream` waits for none.
            yield 0, self._transcriber.transcribe(prepared.audio).text
            return
        for segment in self._transcriber.stream(prepared.audio):
            yield 0, segment.text

    def hear_together(self, prepared: Sequence[Item]) -> list[str]:
        if self._info.window == "30s":
            raise AbsentError("its prompt is for windows of 30 s")
        audio = [samples_of(item.audio) for item in prepared]
        heard = self._engine.encode(self._engine.features(audio), self._rows)
        options = DecodingOptions(start="any", timestamps=self._info.timestamps)
        window_s = [samples.size / SAMPLE_RATE_HZ for samples in audio]
        return [found.text for found in decode_batch(heard, options, window_s=window_s)]


class Target(Contender):
    """Enrolled voices in one recording; several as one batch."""

    def __init__(self, transcriber: TargetSpeakerTranscriber) -> None:
        self._transcriber = transcriber

    def prepare(self, item: Item) -> tuple[Item, list[Enrolment]]:
        return item, [self._transcriber.voice(clip) for clip in item.voices]

    def hear(self, prepared: tuple[Item, list[Enrolment]]) -> Iterator[tuple[int, str]]:
        item, voices = prepared
        transcripts = self._transcriber.transcribe_many(item.audio, voices)
        return ((voice, transcript.text) for voice, transcript in enumerate(transcripts))


def plain(backbone: str, engine: EngineName, precision: Precision, threads: int) -> Contender:
    """Factory: no prompt."""
    return Plain(make_engine(backbone, engine, precision, threads))


def short(backbone: str, engine: EngineName, precision: Precision, threads: int) -> Contender:
    """Factory: the prompt for short windows of this backbone."""
    made = make_engine(backbone, engine, precision, threads)
    return Short(made, short_window_prompts(made))


def target(backbone: str, engine: EngineName, precision: Precision, threads: int) -> Contender:
    """Factory: the target-speaker prompt that is shipped for this backbone."""
    prompts = load_prompts(backbone)
    made = make_engine(backbone, engine, precision, threads)
    embedder = load_embedder(DEFAULT_EMBEDDER if prompts.info.embedder is None else prompts.info.embedder)
    return Target(TargetSpeakerTranscriber(made, prompts, embedder))
