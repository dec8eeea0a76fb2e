"""Forced text: prompts change what is heard, not how much is written."""

import numpy as np
import pytest
import torch
from tiny import tiny_backbone, tone

from softspoken.bench.contract import Item
from softspoken.bench.overhead import Forced
from softspoken.bench.specs import engine_names, forced
from softspoken.engines import TorchEngine
from softspoken.engines.rows import EngineRows
from softspoken.prompts.short import short_window_prompts


@pytest.mark.parametrize("prompted", [False, True])
def test_as_many_steps_as_tokens(prompted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchEngine(tiny_backbone(3))
    contender = Forced(engine, short_window_prompts(engine.backbone) if prompted else None)
    steps = []
    step = EngineRows.step

    def counted(self: EngineRows, tokens: list[int]) -> torch.Tensor:
        steps.append(tokens)
        return step(self, tokens)

    monkeypatch.setattr(EngineRows, "step", counted)
    item = Item(tone(2.0).astype(np.float32), tokens=(9,))
    assert list(contender.hear(contender.prepare(item))) == [(0, "")]
    assert len(steps) == 9


def test_every_engine_with_and_without() -> None:
    names = {spec.name for spec in forced()}
    for engine in engine_names():
        assert {f"softspoken-{engine}-forced{prompt}" for prompt in ("", "-short", "-target")} <= names
