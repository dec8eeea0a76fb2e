"""Search on random small backbones: batched is single, cached is uncached, a beam of one is greedy."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from tiny import tiny_backbone, tone

from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.rules import Rules
from softspoken.decoding.search import compression_ratio, decode_batch
from softspoken.decoding.strategies import Limits, beam, sample
from softspoken.engines import EncodedAudio, Engine, TorchEngine
from softspoken.engines.cache import Prefill
from softspoken.errors import ConfigError
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt, inject

SECONDS = (1.3, 2.9, 2.1, 0.4)
GREEDY = DecodingOptions(temperatures=(0.0,), repeat_limit=None, no_speech_threshold=None, max_tokens=20)
ALL = range(len(SECONDS))


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return TorchEngine(tiny_backbone(3))


CONFIG = PromptConfig(
    encoder=StackPrompt(length=3),
    decoder=StackPrompt(length=6),
    speaker=SpeakerPrompt(dimension=8, into="both"),
    frames=FramePrompt(keyed=2),
)
"""Deep prompts in both stacks, the voice in both, frame prompts: every row its own voice and activity."""


def trained() -> tuple[SoftPrompts, torch.Tensor, torch.Tensor]:
    """Prompts, voices and activity of all rows."""
    state = torch.random.get_rng_state()
    torch.manual_seed(7)
    prompts = SoftPrompts(CONFIG, 32, {"encoder": 2, "decoder": 2}).eval()
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.normal_(std=0.5)
    found = prompts, torch.randn(len(SECONDS), 8), torch.rand(len(SECONDS), 200)
    torch.random.set_rng_state(state)
    return found


def encode(engine: Engine, rows: list[int], prompts: bool = False) -> EncodedAudio:
    features = engine.features([tone(SECONDS[row], row) for row in rows])
    if not prompts:
        return engine.encode(features)
    made, voices, activity = trained()
    with torch.no_grad():
        compiled = engine.compile_rows(made(voices[rows]))
    return engine.encode(features, compiled, activity[rows].numpy())


def decode(engine: Engine, rows: list[int], options: DecodingOptions, prompts: bool = False) -> list[tuple[int, ...]]:
    window_s = [SECONDS[row] for row in rows]
    windows = decode_batch(encode(engine, rows, prompts), options, window_s=window_s, seeds=rows)
    return [window.tokens for window in windows]


@pytest.mark.parametrize("prompts", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        GREEDY,
        GREEDY.model_copy(update={"timestamps": False}),
        GREEDY.model_copy(update={"beam_size": 3}),
        GREEDY.model_copy(update={"temperatures": (0.7,)}),
        DecodingOptions(beam_size=2, temperatures=(0.0, 0.6), logprob_threshold=-1.2, repeat_limit=3, max_tokens=20),
    ],
    ids=["greedy", "no timestamps", "beam", "sampled", "fallback"],
)
def test_a_batch_is_its_rows(engine: TorchEngine, options: DecodingOptions, prompts: bool) -> None:
    together = decode(engine, list(ALL), options, prompts)
    assert together == [decode(engine, [row], options, prompts)[0] for row in ALL]
    assert together[::-1] == decode(engine, list(ALL)[::-1], options, prompts)
    assert len(set(together)) > 1


@pytest.mark.parametrize("prompts", [False, True])
@pytest.mark.parametrize("beam", [1, 3])
def test_what_is_written_already_is_gone_on_with(engine: TorchEngine, prompts: bool, beam: int) -> None:
    options = GREEDY.model_copy(update={"beam_size": beam, "repeat_limit": None})
    whole = decode(engine, list(ALL), options, prompts)
    begun = [tokens[: row * len(tokens) // 4] for row, tokens in enumerate(whole)]
    asked: list[float] = []

    def speaks(empty: Sequence[float]) -> list[bool | None]:
        asked.extend(empty)
        return [None, False, False, False]

    window_s = [SECONDS[row] for row in ALL]
    found = decode_batch(
        encode(engine, list(ALL), prompts), options, window_s=window_s, seeds=ALL, speaks=speaks, prefixes=begun
    )
    # A greedy search takes the same way again; a beam may find a better one, but begins the same.
    if beam == 1:
        assert [window.tokens for window in found] == whole
    assert all(window.tokens[: len(prefix)] == prefix for window, prefix in zip(found, begun, strict=True))
    # Whether anybody speaks is asked of rows that have written nothing.
    assert [window.empty_logprob is None for window in found] == [bool(prefix) for prefix in begun]
    assert asked


@pytest.mark.parametrize("prompts", [False, True])
def test_cached_is_uncached(engine: TorchEngine, prompts: bool) -> None:
    rows, backbone = [0, 1], engine.backbone
    start = engine.tokens.start(timestamps=False)
    state = encode(engine, rows, prompts).prefill(start)
    live = state.live(rows)
    text = torch.randint(0, 256, (2, 12), generator=torch.Generator().manual_seed(1))
    cached = [state.logits] + [live.step(column.tolist()) for column in text.T]
    made, voices, activity = trained()
    with (
        torch.no_grad(),
        inject(backbone, made, voices[rows], activity[rows]) if prompts else nullcontext(),
    ):
        encoded = backbone.encode(backbone.features([tone(SECONDS[row], row) for row in rows]))
        whole = backbone.decode(torch.cat([torch.tensor([start] * 2), text], dim=1), encoded)
    slots = 1 + 6 + 1 if prompts else 0
    assert state.positions == len(start) + slots
    np.testing.assert_allclose(np.stack(cached, axis=1), whole[:, len(start) - 1 :].numpy(), atol=1e-4, rtol=1e-4)


def test_greedy_takes_the_likeliest_token_of_the_uncached_model(engine: TorchEngine) -> None:
    options = GREEDY.model_copy(update={"timestamps": False, "max_tokens": 12})
    found = decode(engine, [1], options)[0]
    rules = Rules(engine.tokens, options)
    tokens = engine.tokens.start(timestamps=False)
    written: list[int] = []
    with torch.no_grad():
        encoded = engine.backbone.encode(engine.backbone.features([tone(SECONDS[1], 1)]))
        while len(written) < 12:
            logits = engine.backbone.decode(torch.tensor([tokens + written]), encoded)[:, -1].numpy()
            token = int(rules(logits, [written], [100]).argmax())
            if token == engine.tokens.end_of_text:
                break
            written.append(token)
    assert found == tuple(written)
    assert len(found) > 3


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_one_is_greedy(seed: int, limit: int | None) -> None:
    engine = TorchEngine(tiny_backbone(seed))
    options = GREEDY.model_copy(update={"repeat_limit": limit, "beam_size": 1})
    state = encode(engine, list(ALL)).prefill(engine.tokens.start(timestamps=True))
    rules = Rules(engine.tokens, options)
    limits = Limits([30] * 4, [100] * 4, [()] * 4)
    one, other = sample(state, ALL, rules, limits), beam(state, ALL, rules, limits, options)
    for row in ALL:
        assert one[row].tokens == other[row].tokens
        assert one[row].looped == other[row].looped
        assert one[row].logprob == pytest.approx(other[row].logprob, abs=1e-3)


def test_a_wider_beam_finds_likelier_text(engine: TorchEngine) -> None:
    def mean(size: int) -> float:
        options = GREEDY.model_copy(update={"beam_size": size, "timestamps": False, "length_penalty": 0.0})
        options = options.model_copy(update={"max_tokens": 5})
        windows = decode_batch(encode(engine, list(ALL)), options, window_s=SECONDS)
        return sum(window.avg_logprob * (len(window.tokens) + 1) for window in windows)

    assert mean(8) > mean(1)


class Written:
    """Rows of a model by hand: what comes next depends on what is written."""

    def __init__(self, scores: Callable[[tuple[int, ...]], np.ndarray]) -> None:
        self.scores, self.written, self.steps = scores, [()], 0

    def keep(self, parents: Sequence[int], owners: Sequence[int]) -> None:
        self.written = [self.written[parent] for parent in parents]

    def step(self, tokens: Sequence[int]) -> np.ndarray:
        self.steps += 1
        self.written = [(*before, token) for before, token in zip(self.written, tokens, strict=True)]
        return np.stack([self.scores(one) for one in self.written])


@pytest.mark.parametrize("size", [2, 3, 5])
def test_loops_do_not_keep_a_beam_from_ending(size: int) -> None:
    """There are two ways: a loop, and a text that may end after eight tokens or go on for ever."""
    end, loop, text = 7, 1, 2

    def scores(written: tuple[int, ...]) -> np.ndarray:
        found = np.full(8, -20.0, np.float32)
        if not written:
            found[[loop, text]] = 1.0, 0.9
        elif set(written) == {loop}:
            found[[loop, 3]] = 3.0, -1.0
        else:
            found[4 + len(written) % 2] = 1.0
        found[end] = {8: 3.0}.get(len(written), -2.0 if len(written) > 8 else -np.inf)
        return found

    rows = Written(scores)
    prefilled = Mock(spec=Prefill, logits=scores(())[None], live=lambda _: rows)
    rules = Mock(spec=Rules, side_effect=lambda logits, *_: logits, tokens=SimpleNamespace(end_of_text=end))
    rules.looping = lambda written: len(written) >= 6 and len(set(written)) == 1
    found = beam(prefilled, [0], rules, Limits([60], [1500], [()]), DecodingOptions(beam_size=size))[0]
    assert (len(found.tokens), found.looped) == (8, False)
    assert rows.steps < 40


def test_an_attempt_leaves_the_prefill_as_it_was(engine: TorchEngine) -> None:
    state = encode(engine, list(ALL)).prefill(engine.tokens.start(timestamps=True))
    rules = Rules(engine.tokens, GREEDY)
    limits = Limits([20] * 4, [100] * 4, [()] * 4)
    before = state.positions
    first = sample(state, ALL, rules, limits)
    beam(state, [1, 3], rules, limits, GREEDY.model_copy(update={"beam_size": 3}))
    assert state.positions == before
    assert sample(state, ALL, rules, limits) == first


def test_beams_of_one_window_share_its_audio_and_dropped_rows_leave_the_batch(engine: TorchEngine) -> None:
    state = encode(engine, list(ALL)).prefill(engine.tokens.start())
    rows = state.live(ALL)
    rows.keep([2, 2, 2], [2, 2, 2])
    assert rows._cross[0].shape[0] == 1
    assert rows._cross[0].data_ptr() == state.cross[0][2].data_ptr()
    logits = rows.step([65, 65, 66])
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-6)
    assert not np.array_equal(logits[0], logits[2])


def test_only_failed_rows_are_tried_again(engine: TorchEngine) -> None:
    first = decode_batch(encode(engine, list(ALL)), GREEDY, window_s=SECONDS)
    middle = sorted(window.avg_logprob for window in first)[2]
    options = GREEDY.model_copy(
        update={"temperatures": (0.0, 0.5), "logprob_threshold": middle, "compression_ratio_threshold": None}
    )
    second = decode_batch(encode(engine, list(ALL)), options, window_s=SECONDS)
    for before, after in zip(first, second, strict=True):
        if before.avg_logprob >= middle:
            assert after == before
        else:
            # The better of both attempts is kept.
            assert after.avg_logprob >= before.avg_logprob
    assert any(window.avg_logprob < middle for window in first)


def test_limits_of_tokens_hold(engine: TorchEngine) -> None:
    never_ends = tuple({*engine.tokens.suppressed, engine.tokens.end_of_text})
    endless = GREEDY.model_copy(update={"suppress": never_ends, "timestamps": False})
    capped = endless.model_copy(update={"max_tokens": 7, "beam_size": 2})
    assert [len(tokens) for tokens in decode(engine, list(ALL), capped)] == [7] * 4
    by_time = decode(engine, list(ALL), endless.model_copy(update={"max_tokens": None}))
    assert [len(tokens) for tokens in by_time] == [
        min(round(seconds * 12) + 16, engine.max_tokens - 2) for seconds in SECONDS
    ]
    greedy = endless.model_copy(update={"max_tokens": 10_000})
    assert len(decode(engine, [0], greedy)[0]) == engine.max_tokens - 2
    assert len(decode(engine, [0], greedy, prompts=True)[0]) == engine.max_tokens - 2 - 8


def test_timestamps_lie_within_each_rows_window(engine: TorchEngine) -> None:
    for tokens, seconds in zip(decode(engine, list(ALL), GREEDY), SECONDS, strict=True):
        times = [engine.tokens.seconds(token) for token in tokens if token >= engine.tokens.timestamp_begin]
        assert times
        assert max(times) <= seconds + 1e-6
        assert times == sorted(times)


def test_no_speech_comes_from_the_start_of_transcript(engine: TorchEngine) -> None:
    encoded = encode(engine, [0, 1])
    windows = decode_batch(encoded, GREEDY, window_s=SECONDS[:2])
    backbone = engine.backbone
    with torch.no_grad():
        states = backbone.encode(backbone.features([tone(SECONDS[row], row) for row in (0, 1)]))
        logits = backbone.decode(torch.tensor([[engine.tokens.start_of_transcript]] * 2), states)
    expected = logits[:, 0].softmax(-1)[:, engine.tokens.no_speech]
    assert [window.no_speech_prob for window in windows] == pytest.approx(expected.tolist(), rel=1e-4)
    sure = GREEDY.model_copy(update={"no_speech_threshold": 0.0, "logprob_threshold": 0.0})
    assert all(window.silent for window in decode_batch(encoded, sure, window_s=SECONDS[:2]))


def test_a_loop_falls_back_and_is_cut_if_nothing_helps(engine: TorchEngine) -> None:
    only = tuple(i for i in range(engine.tokens.end_of_text + 1) if i != 65)
    options = DecodingOptions(suppress=only, timestamps=False, logprob_threshold=None, temperatures=(0.0, 0.4))
    window = decode_batch(encode(engine, [0]), options, window_s=[1.3])[0]
    assert window.looped
    assert window.tokens == (65,)
    assert window.text == "A"


def test_sampling_follows_its_seed(engine: TorchEngine) -> None:
    options = GREEDY.model_copy(update={"temperatures": (1.0,)})
    same = [decode(engine, [0, 1], options) for _ in range(2)]
    assert same[0] == same[1]
    assert decode(engine, [0, 1], options.model_copy(update={"seed": 5})) != same[0]


def test_impossible_requests_are_refused(engine: TorchEngine) -> None:
    encoded = encode(engine, [0])
    with pytest.raises(ConfigError, match="one a row"):
        decode_batch(encoded, GREEDY, window_s=[1.0, 2.0])
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        DecodingOptions(seed=-1)
    with pytest.raises(ConfigError, match="multilingual"):
        decode_batch(encoded, DecodingOptions(language="de"), window_s=[1.0])
    small = TorchEngine(tiny_backbone(0, max_tokens=8))
    with pytest.raises((ConfigError, Exception), match="positions"):
        decode_batch(encode(small, [0], prompts=True), GREEDY, window_s=[1.3])


def test_a_language_is_part_of_the_start() -> None:
    engine = TorchEngine(tiny_backbone(1, multilingual=True, width=16))
    start = [encode(engine, [0]).prefill(engine.tokens.start(code)).logits for code in ("en", "de")]
    assert not np.array_equal(*start)


def test_repetitive_text_compresses_well() -> None:
    assert compression_ratio("la " * 60) > 5
    assert compression_ratio("a frozen model, many small prompts") < 1.2
    assert compression_ratio("") == 1.0
