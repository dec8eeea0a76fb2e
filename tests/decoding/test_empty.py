"""How likely nothing is: against enumeration on random small backbones, and what is written once that is decided."""

from collections.abc import Sequence

import pytest
import torch
from tiny import tiny_backbone, tone

from softspoken.backbones import Encoded, WhisperBackbone
from softspoken.backbones.tokens import TIMESTAMP_COUNT
from softspoken.decoding.empty import empty_logprobs
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.rules import Rules
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.decoding.state import prefill
from softspoken.decoding.strategies import Limits, sample

SECONDS = (0.3, 0.5, 0.2)
LAST = [15, 25, 10]
TIMED = DecodingOptions(temperatures=(0.0,), start="any", max_tokens=8)
UNTIMED = TIMED.model_copy(update={"timestamps": False})


@pytest.fixture(scope="module")
def backbone() -> WhisperBackbone:
    return tiny_backbone(3)


def encode(backbone: WhisperBackbone, rows: Sequence[int] = (0, 1, 2)) -> Encoded:
    with torch.no_grad():
        return backbone.encode(backbone.features([tone(SECONDS[row], row) for row in rows], 0.5))


def measured(
    backbone: WhisperBackbone, options: DecodingOptions, rows: Sequence[int] = (0, 1, 2), followed: int = 2
) -> torch.Tensor:
    with torch.no_grad():
        state = prefill(backbone, encode(backbone, rows), backbone.tokens.start(timestamps=options.timestamps))
    rules = Rules(backbone.tokens, options, torch.device("cpu"))
    return empty_logprobs(state, rules, [LAST[row] for row in rows], followed)


def enumerated(backbone: WhisperBackbone, row: int) -> tuple[float, float]:
    """Probabilities of all that begins a transcript with timestamps: without text, with text."""
    tokens = backbone.tokens
    times = [tokens.timestamp_begin + step for step in range(LAST[row] + 1)]
    start = tokens.start(timestamps=True)
    text = [token for token in range(tokens.end_of_text) if token not in tokens.suppressed]
    encoded = encode(backbone, [row])

    def after(written: list[int], allowed: list[int]) -> dict[int, float]:
        with torch.no_grad():
            logits = backbone.decode(torch.tensor([start + written]), encoded)[0, -1]
        return dict(zip(allowed, logits[torch.tensor(allowed)].softmax(-1).tolist(), strict=True))

    first = after([], [tokens.end_of_text, *times])
    nothing, something = first[tokens.end_of_text], 0.0
    for time in times:
        second = after([time], [tokens.end_of_text, *text])
        nothing += first[time] * second[tokens.end_of_text]
        something += first[time] * sum(second[token] for token in text)
    return nothing, something


def test_without_timestamps_it_is_the_end_at_the_first_free_position(backbone: WhisperBackbone) -> None:
    tokens = backbone.tokens
    allowed = [token for token in range(tokens.end_of_text + 1) if token not in tokens.suppressed]
    found = measured(backbone, UNTIMED).exp()
    for row in range(3):
        with torch.no_grad():
            logits = backbone.decode(torch.tensor([tokens.start()]), encode(backbone, [row]))[0, -1]
        expected = logits[torch.tensor(allowed)].softmax(-1)[allowed.index(tokens.end_of_text)]
        assert float(found[row]) == pytest.approx(float(expected), rel=1e-4)


def test_with_timestamps_it_is_the_sum_over_every_way_to_write_nothing(backbone: WhisperBackbone) -> None:
    exact = measured(backbone, TIMED, followed=TIMESTAMP_COUNT // 30).exp()
    for row in range(3):
        nothing, something = enumerated(backbone, row)
        assert nothing + something == pytest.approx(1.0, abs=1e-5)
        assert float(exact[row]) == pytest.approx(nothing, rel=1e-3)
    assert len(set(exact.tolist())) == 3


def test_a_few_followed_timestamps_are_between_all_and_none_of_the_mass_behind_them(backbone: WhisperBackbone) -> None:
    first = measured(backbone, TIMED, followed=1)
    exact = measured(backbone, TIMED, followed=50)
    assert torch.isfinite(first).all()
    assert (first < 0).all()
    # More of them come nearer.
    error = [(measured(backbone, TIMED, followed=count) - exact).abs().max() for count in (1, 13, 26)]
    assert error[-1] < 1e-4
    assert error[1] < error[0]


@pytest.mark.parametrize("options", [TIMED, UNTIMED], ids=["timestamps", "no timestamps"])
def test_rows_do_not_depend_on_each_other_nor_on_what_may_be_written(
    backbone: WhisperBackbone, options: DecodingOptions
) -> None:
    together = measured(backbone, options)
    for row in range(3):
        torch.testing.assert_close(measured(backbone, options, [row]), together[row : row + 1], atol=1e-4, rtol=1e-4)
    speech = measured(backbone, options.model_copy(update={"start": "speech"}))
    assert torch.equal(speech, together)
    assert all(w.empty_logprob is None for w in decode_batch(backbone, encode(backbone), options, window_s=SECONDS))
    windows = decoded(backbone, [None] * 3, options)
    assert [window.empty_logprob for window in windows] == pytest.approx(together.tolist(), abs=1e-4)


def test_it_is_how_often_nothing_is_drawn(backbone: WhisperBackbone) -> None:
    """The end made likely: of transcripts sampled without timestamps that share is empty."""
    bias = torch.zeros(backbone.tokens.vocabulary_size)
    bias[backbone.tokens.end_of_text] = 6.0
    with torch.no_grad():
        state = prefill(backbone, encode(backbone), backbone.tokens.start())
    object.__setattr__(state, "logits", state.logits + bias)
    rules = Rules(backbone.tokens, UNTIMED, torch.device("cpu"))
    expected = empty_logprobs(state, rules, LAST).exp()
    drawn = torch.zeros(3)
    for seed in range(150):
        found = sample(state, range(3), rules, Limits([1] * 3, LAST), 1.0, [seed, seed + 1000, seed + 2000])
        drawn += torch.tensor([float(not found[row].tokens) for row in range(3)])
    assert float(expected.max()) > 0.05
    torch.testing.assert_close(drawn / 150, expected, atol=0.13, rtol=0.0)


def decoded(backbone: WhisperBackbone, decided: list[bool | None], options: DecodingOptions) -> list[DecodedWindow]:
    return decode_batch(backbone, encode(backbone), options, window_s=SECONDS, speaks=lambda empty: decided)


@pytest.mark.parametrize("beam_size", [1, 2])
@pytest.mark.parametrize("options", [TIMED, UNTIMED], ids=["timestamps", "no timestamps"])
def test_what_is_decided_beforehand_is_what_happens(
    backbone: WhisperBackbone, options: DecodingOptions, beam_size: int
) -> None:
    options = options.model_copy(update={"beam_size": beam_size})
    unasked = decode_batch(backbone, encode(backbone), options, window_s=SECONDS)
    free = decoded(backbone, [None] * 3, options)
    assert [window.tokens for window in free] == [window.tokens for window in unasked]
    mixed = decoded(backbone, [False, None, True], options)
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
    free = decoded(backbone, [None] * 3, options)
    assert all(window.text == "" for window in free)
    insisted = decoded(backbone, [True] * 3, options)
    assert all(window.text.strip() for window in insisted)
    # They may begin late all the same.
    times = [window.tokens[0] >= backbone.tokens.timestamp_begin for window in insisted]
    assert all(times) == options.timestamps
