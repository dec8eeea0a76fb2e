"""What a prompt costs in an engine: the same work on the same audio, with one and without.

The text is forced, so that all write the same number of tokens: what is compared is the work of a window, not how much
somebody happens to hear in it. Where the voice sounds is measured before the clock runs, or within the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from softspoken.backbones.features import FRAME_RATE_HZ
from softspoken.decoding.conditioning import activity, score_voices, window_embedder
from softspoken.engines import Engine, EngineName, Precision
from softspoken.prompts.arrays import fitted_clips
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts
from softspoken.prompts.compiled import CompiledRows
from softspoken.prompts.short import short_window_prompts
from softspoken.speakers import DEFAULT_EMBEDDER, SpeakerEmbedder, load_embedder
from softspoken_lab.bench.contract import SAMPLE_RATE_HZ, Contender, Item, Samples, samples_of
from softspoken_lab.bench.ours import make_engine


@dataclass(frozen=True)
class _Forced:
    samples: Samples
    voice: Float32[np.ndarray, "1 S"]
    rows: CompiledRows | None
    activity: Float32[np.ndarray, "1 _"] | None
    tokens: tuple[int, ...]


class Forced(Contender):
    """Encoder, prefill and a step a token, windows as long as the audio."""

    def __init__(
        self, engine: Engine, prompts: LoadedPrompts | None = None, embedder: SpeakerEmbedder | None = None
    ) -> None:
        """`embedder`: measures within the time where the voice sounds; None: that is known."""
        self._engine = engine
        self._info = None if prompts is None else prompts.info
        self._compiled = None if prompts is None else engine.compile(prompts)
        self._embedder = embedder
        config = None if prompts is None else prompts.info.prompts.speaker
        known = 0 if config is None else config.dimension
        self._dimension = known if embedder is None else embedder.dimension

    def prepare(self, item: Item) -> _Forced:
        rows, known = None, None
        samples, rng = samples_of(item.audio), np.random.default_rng(0)
        voice = rng.standard_normal((1, self._dimension), np.float32)
        if self._compiled is not None and self._info is not None:
            config = self._info.prompts
            heard = None
            if config.enrolment is not None:
                # Any sound will do, and it is heard before the clock runs: once a voice, not once a recording.
                clip = rng.standard_normal(SAMPLE_RATE_HZ, np.float32) / 10
                heard = self._engine.layer_states(fitted_clips([clip], config.enrolment), config.enrolment.clip_s)
            rows = self._compiled.rows(voice if config.speaker is not None else None, heard)
            frames = -(-samples.size * FRAME_RATE_HZ // SAMPLE_RATE_HZ)
            known = rng.random((1, frames), np.float32) if config.frames is not None else None
        return _Forced(samples, voice, rows, known, item.tokens)

    def hear(self, prepared: _Forced) -> Iterator[tuple[int, str]]:
        engine = self._engine
        features = engine.features([prepared.samples])
        start = engine.tokens.start(None, timestamps=True)
        heard = engine.encode(features, prepared.rows, self._activity(prepared))
        live = heard.prefill(start).live([0])
        for index in range(sum(prepared.tokens)):
            # Any text will do: a step costs the same whatever is written.
            live.step([engine.tokens.encode(" a")[0] + index % 50])
        yield 0, ""

    def _activity(self, prepared: _Forced) -> Float32[np.ndarray, "1 _"] | None:
        frames = None if self._info is None else self._info.prompts.frames
        if self._embedder is None or frames is None:
            return prepared.activity
        measured = score_voices(self._embedder, prepared.samples, prepared.voice, frames)
        return activity(list(measured.scores), frames)


def forced(backbone: str, engine: EngineName, precision: Precision, threads: int, prompt: str | None) -> Contender:
    """Factory. `prompt`: see `forced_in`."""
    return forced_in(make_engine(backbone, engine, precision, threads), backbone, prompt)


def forced_in(engine: Engine, backbone: str, prompt: str | None) -> Forced:
    """`prompt`: 'short', 'target' (the one shipped for this backbone), 'target-measured', or None."""
    if prompt is None:
        return Forced(engine)
    if prompt == "short":
        return Forced(engine, short_window_prompts(engine))
    loaded = load_prompts(backbone)
    if prompt == "target":
        return Forced(engine, loaded)
    return Forced(engine, loaded, window_embedder(load_embedder(loaded.info.embedder or DEFAULT_EMBEDDER), engine))
