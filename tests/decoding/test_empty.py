"""How likely nothing is: against enumeration on random small backbones, and what is written once that is decided."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tiny import tiny_backbone, tone

from softspoken.backbones import Encoded, WhisperBackbone
from softspoken.backbones.tokens import TIMESTAMP_COUNT
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.rules import Rules
from softspoken.decoding.search import DecodedWindow, decode_batch, empty_logprobs
from softspoken.decoding.strategies import Limits, sample
from softspoken.engines import EncodedAudio, TorchEngine

SECONDS = (0.3, 0.5, 0.2)
LAST = [15, 25, 10]
TIMED = DecodingOptions(temperatures=(0.0,), start="any", max_tokens=8)
UNTIMED = TIMED.model_copy(update={"timestamps": False})


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(tiny_backbone(3))


def encode(engine: TorchEngine, rows: Sequence[int] = (0, 1, 2)) -> EncodedAudio:
    return engine.encode(engine.features([tone(SECONDS[row], row) for row in rows], 0.5))


def states(engine: TorchEngine, row: int) -> Encoded:
    """The reference's."""
    with torch.no_grad():
        return engine.backbone.encode(engine.backbone.features([tone(SECONDS[row], row)], 0.5))


def measured(
    engine: TorchEngine, options: DecodingOptions, rows: Sequence[int] = (0, 1, 2), followed: int = 2
) -> np.ndarray:
    state = encode(engine, rows).prefill(engine.tokens.start(timestamps=options.timestamps))
    rules = Rules(engine.tokens, options)
    return empty_logprobs(state, rules, [LAST[row] for row in rows], followed)


def enumerated(engine: TorchEngine, row: int) -> tuple[float, float]:
    """Probabilities of all that begins a transcript with timestamps: without text, with text."""
    tokens = engine.tokens
    times = [tokens.timestamp_begin + step for step in range(LAST[row] + 1)]
    start = tokens.start(timestamps=True)
    text = [token for token in range(tokens.end_of_text) if token not in tokens.suppressed]
    encoded = states(engine, row)

    def after(written: list[int], allowed: list[int]) -> dict[int, float]:
        with torch.no_grad():
            logits = engine.backbone.decode(torch.tensor([start + written]), encoded)[0, -1]
        return dict(zip(allowed, logits[torch.tensor(allowed)].softmax(-1).tolist(), strict=True))

    first = after([], [tokens.end_of_text, *times])
    nothing, something = first[tokens.end_of_text], 0.0
    for time in times:
        second = after([time], [tokens.end_of_text, *text])
        nothing += first[time] * second[tokens.end_of_text]
        something += first[time] * sum(second[token] for token in text)
    return nothing, something


def test_without_timestamps_it_is_the_end_at_the_first_free_position(engine: TorchEngine) -> None:
    tokens = engine.tokens
    allowed = [token for token in range(tokens.end_of_text + 1) if token not in tokens.suppressed]
    found = np.exp(measured(engine, UNTIMED))
    for row in range(3):
        with torch.no_grad():
            logits = engine.backbone.decode(torch.tensor([tokens.start()]), states(engine, row))[0, -1]
        expected = logits[torch.tensor(allowed)].softmax(-1)[allowed.index(tokens.end_of_text)]
        assert float(found[row]) == pytest.approx(float(expected), rel=1e-4)


def test_with_timestamps_it_is_the_sum_over_every_way_to_write_nothing(engine: TorchEngine) -> None:
    exact = np.exp(measured(engine, TIMED, followed=TIMESTAMP_COUNT // 30))
    for row in range(3):
        nothing, something = enumerated(engine, row)
        assert nothing + something == pytest.approx(1.0, abs=1e-5)
        assert float(exact[row]) == pytest.approx(nothing, rel=1e-3)
    assert len(set(exact.tolist())) == 3


def test_a_few_followed_timestamps_are_between_all_and_none_of_the_mass_behind_them(engine: TorchEngine) -> None:
    first = measured(engine, TIMED, followed=1)
    exact = measured(engine, TIMED, followed=50)
    assert np.isfinite(first).all()
    assert (first < 0).all()
    # More of them come nearer.
    error = [np.abs(measured(engine, TIMED, followed=count) - exact).max() for count in (1, 13, 26)]
    assert error[-1] < 1e-4
    assert error[1] < error[0]


@pytest.mark.parametrize("options", [TIMED, UNTIMED], ids=["timestamps", "no timestamps"])
def test_rows_do_not_depend_on_each_other_nor_on_what_may_be_written(
    engine: TorchEngine, options: DecodingOptions
) -> None:
    together = measured(engine, options)
    for row in range(3):
        np.testing.assert_allclose(measured(engine, options, [row]), together[row : row + 1], atol=1e-4, rtol=1e-4)
    speech = measured(engine, options.model_copy(update={"start": "speech"}))
    assert np.array_equal(speech, together)
    assert all(w.empty_logprob is None for w in decode_batch(encode(engine), options, window_s=SECONDS))
    windows = decoded(engine, [None] * 3, options)
    assert [window.empty_logprob for window in windows] == pytest.approx(together.tolist(), abs=1e-4)


def test_it_is_how_often_nothing_is_drawn(engine: TorchEngine) -> None:
    """The end made likely: of transcripts sampled without timestamps that share is empty."""
    bias = np.zeros(engine.tokens.vocabulary_size, np.float32)
    bias[engine.tokens.end_of_text] = 6.0
    state = encode(engine).prefill(engine.tokens.start())
    object.__setattr__(state, "logits", state.logits + bias)
    rules = Rules(engine.tokens, UNTIMED)
    expected = np.exp(empty_logprobs(state, rules, LAST))
    drawn = np.zeros(3)
    for seed in range(150):
        found = sample(state, range(3), rules, Limits([1] * 3, LAST, [()] * 3), 1.0, [seed, seed + 1000, seed + 2000])
        drawn += [float(not found[row].tokens) for row in range(3)]
    assert float(expected.max()) > 0.05
    np.testing.assert_allclose(drawn / 150, expected, atol=0.13, rtol=0.0)


def decoded(engine: TorchEngine, decided: list[bool | None], options: DecodingOptions) -> list[DecodedWindow]:
    return decode_batch(encode(engine), options, window_s=SECONDS, speaks=lambda empty: decided)


@pytest.mark.parametrize("beam_size", [1, 2])
@pytest.mark.parametrize("options", [TIMED, UNTIMED], ids=["timestamps", "no timestamps"])
def test_what_is_decided_beforehand_is_what_happens(
    engine: TorchEngine, options: DecodingOptions, beam_size: int
) -> None:
    options = options.model_copy(update={"beam_size": beam_size})
    unasked = decode_batch(encode(engine), options, window_s=SECONDS)
    free = decoded(engine, [None] * 3, options)
    assert [window.tokens for window in free] == [window.tokens for window in unasked]
    mixed = decoded(engine, [False, None, True], options)
    assert (mixed[0].tokens, mixed[0].text, mixed[0].silent) == ((), "", True)
    assert mixed[0].empty_logprob == pytest.approx(free[0].empty_logprob, abs=1e-4)
    assert mixed[1].tokens == free[1].tokens
    assert mixed[2].text.strip()
    assert not mixed[2].silent


def eager(backbone: WhisperBackbone) -> None:
    """Nothing at all becomes the likeliest transcript."""
    with torch.no_grad():
        weight = backbone.module.get_output_embeddings().weight
        mean = backbone.stacks["decoder"].norm.bias
        weight[backbone.tokens.end_of_text] += 3.0 * torch.ones_like(weight[0])
        mean += 1.0


@pytest.mark.parametrize("options", [TIMED, UNTIMED], ids=["timestamps", "no timestamps"])
def test_who_is_known_to_speak_has_words_where_search_would_write_none(options: DecodingOptions) -> None:
    backbone = tiny_backbone(3)
    eager(backbone)
    engine = TorchEngine(backbone)
    free = decoded(engine, [None] * 3, options)
    assert all(window.text == "" for window in free)
    insisted = decoded(engine, [True] * 3, options)
    assert all(window.text.strip() for window in insisted)
    # They may begin late all the same.
    times = [window.tokens[0] >= engine.tokens.timestamp_begin for window in insisted]
    assert all(times) == options.timestamps
