"""What may be written next, on random scores and on random walks through the rules."""

import random

import numpy as np
import pytest
import torch
from tiny import tiny_backbone

from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.rules import (
    NEVER,
    Rules,
    allowed_next,
    apply_allowed,
    log_softmax,
    logsumexp,
    prefer_timestamps,
    repeats,
    suppress,
)

TOKENS = tiny_backbone().tokens
BEGIN, END = TOKENS.timestamp_begin, TOKENS.end_of_text


def scores(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, TOKENS.vocabulary_size), np.float32)


def walk(rules: Rules, last: int, seed: int, steps: int = 80) -> list[int]:
    """A text written by the rules alone, with random preferences."""
    history: list[int] = []
    rng = np.random.default_rng(seed)
    for step in range(steps):
        logits = np.float32(3.0) * scores(1, seed * 1000 + step)
        logits[:, END] -= 8.0
        # Soon after the last one, as a model's are, and a little less likely than text.
        latest = max((token - BEGIN for token in history if token >= BEGIN), default=0)
        logits[:, BEGIN:] = 7.0 - 0.2 * np.abs(np.arange(logits.shape[1] - BEGIN) - latest)
        allowed = rules(logits, [history], [last])[0]
        assert bool((allowed > NEVER).any())
        token = int((allowed + rng.gumbel(size=allowed.size)).argmax())
        if token == END:
            break
        history.append(token)
    return history


@pytest.mark.parametrize("seed", range(6))
def test_timestamps_come_in_growing_pairs_within_the_window(seed: int) -> None:
    rules = Rules(TOKENS, DecodingOptions(repeat_limit=None))
    last = 150
    history = walk(rules, last, seed)
    times = [token - BEGIN for token in history if token >= BEGIN]
    assert len(times) > 3
    assert times == sorted(times)
    assert all(0 <= time <= last for time in times)
    assert history[0] >= BEGIN
    assert times[0] <= 50
    # Runs of timestamps: one at the start, then pairs; a text stands between them.
    runs = "".join("t" if token >= BEGIN else "w" for token in history).replace("w", " ").split()
    assert all(len(run) <= 2 for run in runs)
    assert len(runs[0]) == 1
    assert all(len(run) == 2 for run in runs[1:-1])
    starts, ends = times[0::2], times[1::2]
    assert all(start < end for start, end in zip(starts, ends, strict=False))


def test_nothing_suppressed_is_ever_written() -> None:
    never = (70, 71, 72)
    rules = Rules(TOKENS, DecodingOptions(timestamps=False, suppress=never))
    out = rules(scores(8, 1), [[65]] * 8, [100] * 8)
    forbidden = [*never, *range(END + 1, TOKENS.vocabulary_size)]
    assert bool((out[:, forbidden] == NEVER).all())
    assert bool((out[:, [65, 73, END]] > NEVER).all())


def test_default_suppression_covers_notation_and_special_tokens() -> None:
    rules = Rules(TOKENS, DecodingOptions())
    out = rules(scores(1, 2), [[BEGIN, 65]], [100])
    assert bool((out[0, list(TOKENS.suppressed)] == NEVER).all())
    assert ord("[") in TOKENS.suppressed


def test_blank_and_end_may_not_come_first_unless_the_window_may_be_empty() -> None:
    space = TOKENS.encode(" ")[0]
    for timestamps in (True, False):
        speech = Rules(TOKENS, DecodingOptions(timestamps=timestamps, start="speech"))
        empty = Rules(TOKENS, DecodingOptions(timestamps=timestamps, start="any"))
        favoured = scores(1, 3)
        favoured[0, END] = 50.0
        favoured[0, space] = 49.0
        assert bool((speech(favoured, [[]], [100])[0, [END, space]] == NEVER).all())
        assert int(empty(favoured, [[]], [100]).argmax()) == END
        assert int(speech(favoured, [[65]], [100]).argmax()) == END


def test_a_target_may_begin_late() -> None:
    late = scores(1, 4)
    late[0, BEGIN + 140] = 50.0
    assert int(Rules(TOKENS, DecodingOptions(start="any"))(late, [[]], [200]).argmax()) == BEGIN + 140
    first = int(Rules(TOKENS, DecodingOptions(start="speech"))(late, [[]], [200]).argmax())
    assert BEGIN <= first <= BEGIN + 50


def test_allowed_after_an_opened_a_closed_and_a_running_segment() -> None:
    opened = allowed_next([BEGIN + 3], BEGIN, 100, 50)
    assert opened.text
    assert opened.last < opened.first
    running = allowed_next([BEGIN + 3, 65], BEGIN, 100, 50)
    assert running.text
    assert (running.first, running.last) == (4, 100)
    closed = allowed_next([BEGIN + 3, 65, BEGIN + 9], BEGIN, 100, 50)
    assert not closed.text
    assert closed.end
    assert (closed.first, closed.last) == (9, 100)


def test_timestamps_win_by_their_sum() -> None:
    logits = np.zeros((2, TOKENS.vocabulary_size), np.float32)
    logits[0, 65] = 1.0
    logits[1, 65] = 20.0
    out = prefer_timestamps(logits, BEGIN)
    assert bool((out[0, :BEGIN] == NEVER).all())
    assert np.array_equal(out[0, BEGIN:], logits[0, BEGIN:])
    assert np.array_equal(out[1], logits[1])


def test_rules_leave_their_input_and_the_other_rows_alone() -> None:
    logits = scores(2, 5)
    before = logits.copy()
    allowed = [allowed_next([], BEGIN, 100, 50), allowed_next([BEGIN, 65], BEGIN, 100, 50)]
    both = apply_allowed(logits, allowed, BEGIN, END)
    suppress(logits, np.array([1, 2]))
    assert np.array_equal(logits, before)
    for row in range(2):
        single = apply_allowed(logits[row : row + 1], allowed[row : row + 1], BEGIN, END)
        assert np.array_equal(both[row], single[0])


@pytest.mark.parametrize("size", [1, 3, 12])
def test_a_loop_is_seen_at_its_last_repetition_and_cut_to_one(size: int) -> None:
    rng = random.Random(size)
    phrase = rng.sample(range(64, 200), size)
    before = [1, 2, 3]
    rules = Rules(TOKENS, DecodingOptions(repeat_limit=4))
    looped = before + phrase * 4
    assert rules.looping(looped)
    assert not rules.looping(looped[:-1])
    assert rules.without_loop(looped) == before + phrase
    assert repeats(looped, 4) == size
    assert repeats(list(range(100)), 4) == 0


def test_a_loop_is_seen_through_timestamps() -> None:
    rules = Rules(TOKENS, DecodingOptions(repeat_limit=3))
    looped = [BEGIN, 65, 66, BEGIN + 10, BEGIN + 10, 65, 66, BEGIN + 20, BEGIN + 20, 65, 66]
    assert rules.looping(looped)
    assert rules.without_loop(looped)[:3] == [BEGIN, 65, 66]
    assert [t for t in rules.without_loop(looped) if t < END] == [65, 66]


def test_sums_of_scores_are_the_libraries() -> None:
    given = scores(3, 9)
    given[0, 5:] = NEVER
    expected = torch.from_numpy(given)
    np.testing.assert_allclose(logsumexp(given), expected.logsumexp(-1).numpy(), rtol=1e-5)
    np.testing.assert_allclose(log_softmax(given), expected.log_softmax(-1).numpy(), rtol=1e-5, atol=1e-5)
    assert logsumexp(np.full((1, 4), NEVER, np.float32))[0] == NEVER
