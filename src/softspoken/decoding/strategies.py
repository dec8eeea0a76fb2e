"""Greedy search, sampling and beam search, each from a prefill to one hypothesis a window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int

from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.rules import Rules, log_softmax, logsumexp
from softspoken.engines.cache import Prefill


@dataclass(frozen=True)
class Hypothesis:
    """Tokens written for a window (the end left out), and the sum of their log-probabilities (the end's included)."""

    tokens: tuple[int, ...]
    logprob: float
    looped: bool = False

    @property
    def avg_logprob(self) -> float:
        return self.logprob / (len(self.tokens) + 1)

    def score(self, length_penalty: float | None) -> float:
        if length_penalty is None:
            return self.avg_logprob
        return self.logprob / float(((5 + len(self.tokens) + 1) / 6) ** length_penalty)


@dataclass(frozen=True)
class Limits:
    """By window: the most tokens, and the last timestamp (in steps) that lies in it."""

    max_tokens: Sequence[int]
    last_times: Sequence[int]
    prefixes: Sequence[tuple[int, ...]]
    """What has been written already, and counts among the tokens."""


def sample(
    prefilled: Prefill,
    windows: Sequence[int],
    rules: Rules,
    limits: Limits,
    temperature: float = 0.0,
    seeds: Sequence[int] | None = None,
) -> dict[int, Hypothesis]:
    """The likeliest token at each step, or at a temperature above 0 a drawn one. By window of the prefill.

    Every window draws from its own generator, so its company in the batch does not matter.
    """
    draw = {} if temperature == 0.0 or seeds is None else _generators(windows, seeds)
    end = rules.tokens.end_of_text
    live = list(windows)
    slots = list(windows)
    """Window of each row of the batch; rows of windows that have ended stay until enough of them have."""
    rows = prefilled.live(live)
    histories: dict[int, list[int]] = {window: list(limits.prefixes[window]) for window in windows}
    sums = dict.fromkeys(windows, 0.0)
    done: dict[int, Hypothesis] = {}
    logits = prefilled.logits[live]
    while True:
        logits = rules(logits, [histories[w] for w in slots], [limits.last_times[w] for w in slots])
        chosen = _choose(logits, slots, temperature, draw)
        gained = (logits[np.arange(len(chosen)), chosen] - logsumexp(logits)).tolist()
        for window, token, logprob in zip(slots, chosen, gained, strict=True):
            if window in done:
                histories[window].append(end)
                continue
            sums[window] += logprob
            history = histories[window]
            if token != end:
                history.append(token)
            looped = token != end and rules.looping(history)
            if token == end or looped or len(history) >= limits.max_tokens[window]:
                done[window] = Hypothesis(tuple(history), sums[window], looped)
                history.append(end)
        if len(done) == len(windows):
            return done
        # Moving keys and values costs about a step, so the batch shrinks by a quarter or more at a time.
        ended = sum(window in done for window in slots)
        if 4 * ended >= len(slots):
            kept = [row for row, window in enumerate(slots) if window not in done]
            chosen = [chosen[row] for row in kept]
            slots = [slots[row] for row in kept]
            rows.keep(kept, slots)
        logits = rows.step(chosen)


def _generators(windows: Sequence[int], seeds: Sequence[int]) -> dict[int, np.random.Generator]:
    return {window: np.random.default_rng(seeds[window]) for window in windows}


def _choose(
    logits: Float32[np.ndarray, "R V"],
    windows: Sequence[int],
    temperature: float,
    draw: Mapping[int, np.random.Generator],
) -> list[int]:
    if not draw:
        greedy: list[int] = logits.argmax(axis=-1).tolist()
        return greedy
    # The highest score plus Gumbel noise is a draw from the probabilities.
    return [
        int((row / temperature + draw[window].gumbel(size=row.size)).argmax())
        for row, window in zip(logits, windows, strict=True)
    ]


@dataclass
class _Beams:
    """The hypotheses of one window."""

    live: list[Hypothesis]
    ended: list[Hypothesis] = field(default_factory=list)

    @property
    def complete(self) -> int:
        """How many have ended by themselves; the others that have ended are loops."""
        return sum(not one.looped for one in self.ended)

    def advance(self, candidates: Sequence[tuple[float, int, int]], rules: Rules, size: int, wanted: int) -> list[int]:
        """Take the best (log-probability, beam, token); returns the beam that each new one continues."""
        end = rules.tokens.end_of_text
        grown: list[Hypothesis] = []
        parents: list[int] = []
        taken = 0
        for logprob, parent, token in sorted(candidates, key=lambda candidate: -candidate[0]):
            if taken == size:
                break
            before = self.live[parent].tokens
            if token == end:
                if self.complete < wanted:
                    self.ended.append(Hypothesis(before, logprob))
                continue
            taken += 1
            hypothesis = Hypothesis((*before, token), logprob, rules.looping((*before, token)))
            if hypothesis.looped:
                self.ended.append(hypothesis)
                continue
            grown.append(hypothesis)
            parents.append(parent)
        self.live = grown
        return parents

    def best(self, length_penalty: float | None) -> Hypothesis:
        return max(self.ended, key=lambda one: (not one.looped, one.score(length_penalty)))


def beam(
    prefilled: Prefill, windows: Sequence[int], rules: Rules, limits: Limits, options: DecodingOptions
) -> dict[int, Hypothesis]:
    """Beam search with `options.beam_size` hypotheses a window; with 1 it is greedy search. By window."""
    size = options.beam_size
    wanted = max(1, round(size * options.patience))
    searches = {window: _Beams([Hypothesis(limits.prefixes[window], 0.0)]) for window in windows}
    slots = list(windows)
    rows = prefilled.live(slots)
    logits = prefilled.logits[slots]
    done: dict[int, Hypothesis] = {}
    while True:
        histories = [one.tokens for window in dict.fromkeys(slots) for one in searches[window].live]
        logprobs = log_softmax(rules(logits, histories, [limits.last_times[window] for window in slots]))
        best, tokens = highest(logprobs, size + 1)
        parents: list[int] = []
        owners: list[int] = []
        first = 0
        for window in dict.fromkeys(slots):
            search = searches[window]
            count = len(search.live)
            candidates = _candidates(search.live, best[first : first + count], tokens[first : first + count])
            came_from = search.advance(candidates, rules, size, wanted)
            full = bool(search.live) and len(search.live[0].tokens) >= limits.max_tokens[window]
            if full or not search.live or search.complete >= wanted:
                if full and not search.complete:
                    search.ended += search.live
                done[window] = search.best(options.length_penalty)
            else:
                parents += [first + row for row in came_from]
                owners += [window] * len(came_from)
            first += count
        if not owners:
            return done
        rows.keep(parents, owners)
        slots = owners
        logits = rows.step([one.tokens[-1] for window in dict.fromkeys(slots) for one in searches[window].live])


def _candidates(
    live: Sequence[Hypothesis], logprobs: Float32[np.ndarray, "K C"], tokens: Int[np.ndarray, "K C"]
) -> list[tuple[float, int, int]]:
    return [
        (hypothesis.logprob + logprob, index, token)
        for index, (hypothesis, row, ids) in enumerate(zip(live, logprobs.tolist(), tokens.tolist(), strict=True))
        for logprob, token in zip(row, ids, strict=True)
        if logprob > float("-inf")
    ]


def highest(
    scores: Float32[np.ndarray, "R V"], count: int
) -> tuple[Float32[np.ndarray, "R _"], Int[np.ndarray, "R _"]]:
    """The `count` highest of each row, the highest first, and where they stand."""
    count = min(count, scores.shape[-1])
    places = np.argpartition(-scores, count - 1, axis=-1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, places, -1), axis=-1, kind="stable")
    places = np.take_along_axis(places, order, -1)
    return np.take_along_axis(scores, places, -1), places
