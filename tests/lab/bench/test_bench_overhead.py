"""Forced text: prompts change what is heard, not how much is written."""

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_backbone, tone
from voices import PitchEmbedder, voice

from softspoken.engines import LiveRows, TorchEngine
from softspoken.prompts import EnrolmentPrompt, FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt
from softspoken.prompts.checkpoint import load_prompts, save_prompts
from softspoken.prompts.short import short_window_prompts
from softspoken_lab.bench.contract import Item
from softspoken_lab.bench.overhead import Forced
from softspoken_lab.bench.specs import engine_names, forced


@pytest.mark.parametrize("prompted", [False, True])
def test_as_many_steps_as_tokens(prompted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(tiny_backbone(3))
    contender = Forced(engine, short_window_prompts(engine) if prompted else None)
    steps = []
    step = LiveRows.step

    def counted(self: LiveRows, tokens: list[int]) -> np.ndarray:
        steps.append(tokens)
        return step(self, tokens)

    monkeypatch.setattr(LiveRows, "step", counted)
    item = Item(tone(2.0).astype(np.float32), tokens=(9,))
    assert list(contender.hear(contender.prepare(item))) == [(0, "")]
    assert len(steps) == 9


@pytest.mark.parametrize("measured", [False, True])
def test_where_the_voice_sounds_is_measured_within_the_time_if_wanted(
    measured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, embedder = tiny_backbone(3), PitchEmbedder()
    config = PromptConfig(
        speaker=SpeakerPrompt(dimension=8), frames=FramePrompt(), enrolment=EnrolmentPrompt(clip_s=1.0)
    )
    stacks = {name: len(backbone.stacks[name].layers) for name in ("encoder", "decoder")}
    prompts = SoftPrompts(config, backbone.stacks["encoder"].width, stacks)
    save_prompts(prompts, tmp_path / "prompt", backbone=backbone)
    stored = load_prompts(tmp_path / "prompt", backbone)
    contender = Forced(TorchEngine(backbone), stored, embedder if measured else None)
    prepared = contender.prepare(Item(voice(2.0), tokens=(2,)))
    calls = []
    embed = embedder.embed_windows
    monkeypatch.setattr(embedder, "embed_windows", lambda *given: calls.append(given) or embed(*given))
    assert list(contender.hear(prepared)) == [(0, "")]
    assert len(calls) == measured


def test_every_engine_with_and_without() -> None:
    names = {spec.name for spec in forced()}
    prompts = ("", "-short", "-target", "-target-measured")
    for engine in engine_names():
        assert {f"softspoken-{engine}-forced{prompt}" for prompt in prompts} <= names
