"""Engines under compiled prompts are the injected model, for every kind of prompt."""

import numpy as np
import pytest
from engine_samples import (
    KINDS,
    SECONDS,
    assert_close,
    engine_start,
    few_steps,
    injected_start,
    many_steps,
    sample,
    windows,
)

from softspoken.backbones import WhisperBackbone
from softspoken.decoding import DecodingOptions
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.engines import Engine
from softspoken.engines.cache import BUCKET

GREEDY = DecodingOptions(temperatures=(0.0,), repeat_limit=None, no_speech_threshold=None, max_tokens=40)
WAYS = {
    "greedy": GREEDY,
    "no timestamps": GREEDY.model_copy(update={"timestamps": False}),
    "beam": GREEDY.model_copy(update={"beam_size": 3}),
    "sampled": GREEDY.model_copy(update={"temperatures": (0.8,)}),
    "fallback": DecodingOptions(
        beam_size=2, temperatures=(0.0, 0.6), logprob_threshold=-1.2, repeat_limit=3, max_tokens=24
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_engine_is_the_injected_model(kind: str, engine: Engine, backbone: WhisperBackbone) -> None:
    given, features = sample(backbone, kind), windows()
    with given.injected(backbone):
        reference = injected_start(backbone, given, features)
        wanted = many_steps(reference)
    started = engine_start(engine, given, features)
    assert started.positions == reference.positions
    assert_close(many_steps(started), wanted)


def test_kinds_of_prompts_differ(engines: dict[str, Engine], backbone: WhisperBackbone) -> None:
    """Else the parity above would say nothing."""
    features = windows()
    scores = [engine_start(engines["torch"], sample(backbone, kind), features).logits for kind in KINDS]
    nearest = min(float(np.abs(one - other).max()) for at, one in enumerate(scores) for other in scores[:at])
    assert nearest > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_same_in_any_company(kind: str, engine: Engine, backbone: WhisperBackbone) -> None:
    given = sample(backbone, kind)
    together = few_steps(engine_start(engine, given, windows()))
    for row in range(len(SECONDS)):
        alone = few_steps(engine_start(engine, given.row(row), windows([row])))
        assert_close([scores[row : row + 1] for scores in together], alone)
    order = [2, 0]
    reordered = few_steps(engine_start(engine, given.rows(order), windows(order)))
    assert_close([scores[order] for scores in together], reordered)


def decoded(backbone: WhisperBackbone, engine: Engine, kind: str, options: DecodingOptions) -> list[DecodedWindow]:
    return decode_batch(sample(backbone, kind).heard(engine, windows()), options, window_s=SECONDS)


@pytest.mark.parametrize(
    ("way", "kind"), [*((way, "authors") for way in WAYS), ("beam", "keyed"), ("greedy", "input"), ("fallback", "none")]
)
def test_engines_write_the_same(way: str, kind: str, engines: dict[str, Engine], backbone: WhisperBackbone) -> None:
    wanted, found = (decoded(backbone, engine, kind, WAYS[way]) for engine in engines.values())
    assert [window.tokens for window in found] == [window.tokens for window in wanted]
    assert [window.temperature for window in found] == [window.temperature for window in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.avg_logprob == pytest.approx(other.avg_logprob, abs=1e-4)
        assert one.no_speech_prob == pytest.approx(other.no_speech_prob, abs=1e-4)
    assert len({window.tokens for window in wanted}) > 1
    if way == "greedy":
        # Long enough for the cache to grow.
        assert max(len(window.tokens) for window in wanted) > BUCKET
