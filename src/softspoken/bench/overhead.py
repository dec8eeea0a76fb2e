"""What a prompt costs in an engine: the same work on the same audio, with one and without.

The text is forced, so that all write the same number of tokens: what is compared is the work of a window, not how much
somebody happens to hear in it. The voice is measured before the clock runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from softspoken.backbones.whisper import FRAME_RATE_HZ
from softspoken.bench.contract import SAMPLE_RATE_HZ, Contender, Item, Samples, samples_of
from softspoken.bench.ours import make_engine
from softspoken.engines import Engine, EngineName, Precision
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts
from softspoken.prompts.compiled import CompiledRows
from softspoken.prompts.short import short_window_prompts


@dataclass(frozen=True)
class _Forced:
    samples: Samples
    rows: CompiledRows | None
    activity: torch.Tensor | None
    tokens: tuple[int, ...]


class Forced(Contender):
    """Encoder, prefill and a step a token, windows as long as the audio."""

    def __init__(self, engine: Engine, prompts: LoadedPrompts | None) -> None:
        self._engine = engine
        self._info = None if prompts is None else prompts.info
        self._compiled = None if prompts is None else engine.compile(prompts.prompts)

    def prepare(self, item: Item) -> _Forced:
        rows, activity = None, None
        samples = samples_of(item.audio)
        if self._compiled is not None and self._info is not None:
            config, seed = self._info.prompts, torch.Generator().manual_seed(0)
            voice = config.speaker
            speaker = None if voice is None else torch.randn(1, voice.dimension, generator=seed)
            rows = self._compiled.rows(speaker)
            frames = -(-samples.size * FRAME_RATE_HZ // SAMPLE_RATE_HZ)
            activity = torch.rand(1, frames, generator=seed) if config.frames is not None else None
        return _Forced(samples, rows, activity, item.tokens)

    @torch.no_grad()
    def hear(self, prepared: _Forced) -> Iterator[tuple[int, str]]:
        engine, backbone = self._engine, self._engine.backbone
        features = backbone.features([prepared.samples])
        start = backbone.tokens.start(None, timestamps=True)
        with engine.searching():
            live = engine.hear(features, prepared.rows, prepared.activity).prefill(start).live([0])
            for index in range(sum(prepared.tokens)):
                # Any text will do: a step costs the same whatever is written.
                live.step([backbone.tokens.encode(" a")[0] + index % 50])
        yield 0, ""


def forced(backbone: str, engine: EngineName, precision: Precision, threads: int, prompt: str | None) -> Contender:
    """Factory. `prompt`: 'short', 'target' (the one shipped for this backbone), or None."""
    made = make_engine(backbone, engine, precision, threads)
    loaded = None
    if prompt is not None:
        loaded = short_window_prompts(made.backbone) if prompt == "short" else load_prompts(backbone)
    return Forced(made, loaded)
