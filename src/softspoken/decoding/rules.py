"""What may be written next: Whisper's rules, as pure functions on the scores of a step.

R rows (of a batch, or its beams), V vocabulary. A row's history are the tokens it has written itself, without the
forced start. Rules after Radford et al. (2022), sections 2.3 and 4.5, and the released decoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int

from softspoken.backbones.tokens import TIMESTAMP_COUNT, TIMESTAMP_STEP_S, WhisperTokens
from softspoken.decoding.options import DecodingOptions

NEVER = float("-inf")
LONGEST_REPEAT = 12
"""Tokens in the longest phrase whose repetition is looked for."""


@dataclass(frozen=True)
class Allowed:
    """What kinds of token may follow a history: text, the end, and the timestamps `first` to `last` (may be none)."""

    text: bool
    end: bool
    first: int
    last: int


def allowed_next(
    history: Sequence[int], timestamp_begin: int, last: int, last_initial: int, *, empty: bool = False
) -> Allowed:
    """Timestamps come in pairs around text, the first at once, never decrease, and no segment is without length.

    `last` and `last_initial`: the highest timestamp (in steps) allowed at all and as the first token; `empty`: the
    end may come first.
    """
    if not history:
        return Allowed(text=False, end=empty, first=0, last=min(last, last_initial))
    after_time = history[-1] >= timestamp_begin
    opened = after_time and (len(history) < 2 or history[-2] >= timestamp_begin)
    if opened:
        return Allowed(text=True, end=True, first=0, last=-1)
    latest = max((token - timestamp_begin for token in history if token >= timestamp_begin), default=-1)
    # A segment may begin where the one before it ended, but may not end where it began.
    return Allowed(text=not after_time, end=True, first=latest if after_time else latest + 1, last=last)


def apply_allowed(
    logits: Float32[np.ndarray, "R V"], allowed: Sequence[Allowed], timestamp_begin: int, end_of_text: int
) -> Float32[np.ndarray, "R V"]:
    """Scores with everything that is not allowed at minus infinity."""
    return _forbid(logits.copy(), allowed, timestamp_begin, end_of_text)


def _forbid(
    logits: Float32[np.ndarray, "R V"], allowed: Sequence[Allowed], timestamp_begin: int, end_of_text: int
) -> Float32[np.ndarray, "R V"]:
    """In place, row by row: most rows lose a stretch or two, and a pass over the vocabulary costs more than that."""
    for row, kinds in zip(logits, allowed, strict=True):
        if not kinds.text:
            row[:end_of_text] = NEVER
        if not kinds.end:
            row[end_of_text] = NEVER
        row[timestamp_begin : timestamp_begin + kinds.first] = NEVER
        row[timestamp_begin + max(kinds.last + 1, kinds.first) :] = NEVER
    return logits


def prefer_timestamps(logits: Float32[np.ndarray, "R V"], timestamp_begin: int) -> Float32[np.ndarray, "R V"]:
    """Where all timestamps together are likelier than the likeliest other token, only they remain."""
    return _prefer(logits.copy(), timestamp_begin)


def _prefer(logits: Float32[np.ndarray, "R V"], timestamp_begin: int) -> Float32[np.ndarray, "R V"]:
    """In place."""
    times = logsumexp(logits[:, timestamp_begin:])
    others = logits[:, :timestamp_begin].max(axis=-1)
    for row in np.flatnonzero(times > others).tolist():
        logits[row, :timestamp_begin] = NEVER
    return logits


def suppress(logits: Float32[np.ndarray, "R V"], ids: Int[np.ndarray, "K"]) -> Float32[np.ndarray, "R V"]:
    """Scores with these tokens at minus infinity."""
    left = logits.copy()
    left[:, ids] = NEVER
    return left


def logsumexp(scores: Float32[np.ndarray, "R N"]) -> Float32[np.ndarray, "R"]:
    """Logarithm of the sum of e to the scores; minus infinity where there is nothing to sum."""
    highest = scores.max(axis=-1, initial=NEVER)
    shift = np.where(np.isfinite(highest), highest, np.float32(0.0))
    with np.errstate(divide="ignore"):
        found: np.ndarray = shift + np.log(np.exp(scores - shift[:, None]).sum(axis=-1))
    return found


def log_softmax(scores: Float32[np.ndarray, "R V"]) -> Float32[np.ndarray, "R V"]:
    """Log-probabilities of a row's scores."""
    found: np.ndarray = scores - logsumexp(scores)[:, None]
    return found


def repeats(history: Sequence[int], limit: int, longest: int = LONGEST_REPEAT) -> int:
    """Length of the shortest phrase that the history ends with `limit` times in a row; 0 where there is none."""
    for size in range(1, min(longest, len(history) // limit) + 1):
        tail = history[len(history) - size * limit :]
        if all(tail[index] == tail[index - size] for index in range(size, len(tail))):
            return size
    return 0


class Rules:
    """The rules that one set of options asks for, joined."""

    def __init__(self, tokens: WhisperTokens, options: DecodingOptions, *, insist: bool = False) -> None:
        """`options.start` 'auto' counts as 'speech': who knows of a target says 'any'.

        `insist`: there is text to write; it may begin as late as `options.start` lets it, but it may not be none.
        """
        self.tokens = tokens
        self.timestamps = options.timestamps
        self.empty = options.start == "any"
        initial_s = options.max_initial_timestamp_s
        self.last_initial = TIMESTAMP_COUNT - 1 if self.empty else int(initial_s / TIMESTAMP_STEP_S + 1e-6)
        self.repeat_limit = options.repeat_limit
        special = range(tokens.end_of_text + 1, tokens.timestamp_begin)
        never = set(tokens.suppressed) if options.suppress == "default" else set(options.suppress)
        never |= set(special)
        if not self.timestamps:
            never |= set(range(tokens.timestamp_begin, tokens.vocabulary_size))
        self.never = np.array(sorted(never), np.int64)
        blank = [] if self.empty and not insist else [tokens.end_of_text, *tokens.encode(" ")]
        self.never_first = np.array(blank, np.int64)
        # Adding them makes a copy as cheaply as copying does.
        later = np.zeros((1, tokens.vocabulary_size), np.float32)
        self._later = suppress(later, self.never)
        self._first = suppress(self._later, self.never_first)
        # With timestamps the first text comes behind the first of them.
        self.opening = 2 if insist and self.timestamps else 1

    def __call__(
        self, logits: Float32[np.ndarray, "R V"], histories: Sequence[Sequence[int]], last_times: Sequence[int]
    ) -> Float32[np.ndarray, "R V"]:
        """Scores of the next token after `histories`; `last_times`: each row's last timestamp within its window."""
        opens = [len(history) < self.opening for history in histories]
        if all(opens) or not any(opens):
            logits = logits + (self._first if opens[0] else self._later)
        else:
            logits = logits + np.where(np.array(opens)[:, None], self._first, self._later)
        if not self.timestamps:
            return logits
        begin = self.tokens.timestamp_begin
        allowed = [
            allowed_next(history, begin, last, self.last_initial, empty=self.empty)
            for history, last in zip(histories, last_times, strict=True)
        ]
        return _prefer(_forbid(logits, allowed, begin, self.tokens.end_of_text), begin)

    def looping(self, history: Sequence[int]) -> bool:
        """Whether the history's text ends in a phrase repeated `repeat_limit` times."""
        if self.repeat_limit is None or not history or history[-1] >= self.tokens.end_of_text:
            return False
        text = [token for token in history if token < self.tokens.end_of_text]
        return repeats(text, self.repeat_limit) > 0

    def without_loop(self, history: Sequence[int]) -> list[int]:
        """The history up to the end of the first of its last phrase's repetitions."""
        begin = self.tokens.end_of_text
        places = [index for index, token in enumerate(history) if token < begin]
        limit = self.repeat_limit
        size = repeats([history[place] for place in places], limit) if limit is not None else 0
        if limit is None or size == 0:
            return list(history)
        return list(history[: places[len(places) - size * (limit - 1)]])
