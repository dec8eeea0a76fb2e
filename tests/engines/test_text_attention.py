"""Where the decoder looks while it writes a known text, on every engine and under every kind of prompt."""

import numpy as np
import pytest
from engine_samples import KINDS, sample, windows

from softspoken.backbones import WhisperBackbone
from softspoken.engines import Engine
from softspoken.engines.attention import ALIGNMENT_HEADS, TextAttention, alignment_heads

TEXTS = ([5, 260, 7, 100, 101], [8], [20, 21, 22, 300, 301, 302, 9])


def attended(engine: Engine, backbone: WhisperBackbone, kind: str) -> list[TextAttention]:
    heard = sample(backbone, kind).heard(engine, windows())
    return heard.attention(engine.tokens.start(timestamps=True), TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_are_those_of_the_search(kind: str, engine: Engine, backbone: WhisperBackbone) -> None:
    start = engine.tokens.start(timestamps=True)
    heard = sample(backbone, kind).heard(engine, windows())
    prefilled = heard.prefill(start)
    found = heard.attention(start, TEXTS)
    for row, text in enumerate(TEXTS):
        live, logits, wanted = prefilled.live([row]), prefilled.logits[row], []
        for token in text:
            scores = logits.astype(np.float64)
            wanted.append(scores[token] - np.logaddexp.reduce(scores))
            logits = live.step([token])[0]
        np.testing.assert_allclose(found[row].logprobs, wanted, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_it_looks_at_the_audio_of_its_row(kind: str, engine: Engine, backbone: WhisperBackbone) -> None:
    heads = len(alignment_heads(backbone.config))
    frames = engine.features(windows()).lengths // 2
    for text, own, found in zip(TEXTS, frames, attended(engine, backbone, kind), strict=True):
        assert found.weights.shape[:2] == (heads, len(text) + 1)
        assert found.weights.shape[2] == max(frames)
        sums = found.weights.sum(axis=2)
        assert ((sums > 0) & (sums < 1 + 1e-5)).all()
        if kind == "none":
            np.testing.assert_allclose(sums, 1.0, atol=1e-5)
        assert found.weights[:, :, own:].max(initial=0.0) == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_engines_look_at_the_same(kind: str, engines: dict[str, Engine], backbone: WhisperBackbone) -> None:
    for one, other in zip(*(attended(engine, backbone, kind) for engine in engines.values()), strict=True):
        np.testing.assert_allclose(one.weights, other.weights, atol=1e-4)
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)


def test_a_row_is_the_same_in_any_company(engine: Engine, backbone: WhisperBackbone) -> None:
    start = engine.tokens.start(timestamps=True)
    heard = sample(backbone, "authors").heard(engine, windows())
    together = heard.attention(start, TEXTS)
    turned = heard.attention(start, [TEXTS[2], TEXTS[0]], [2, 0])
    for row, other in ((2, turned[0]), (0, turned[1])):
        np.testing.assert_allclose(other.weights, together[row].weights, atol=1e-5)
        np.testing.assert_allclose(other.logprobs, together[row].logprobs, atol=1e-4)


def test_heads_are_those_of_their_model() -> None:
    for (layers, _, _), heads in ALIGNMENT_HEADS.items():
        assert list(heads) == sorted(set(heads))
        assert max(layer for layer, _ in heads) < layers
