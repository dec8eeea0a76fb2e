"""The decoder's memory of a batch: keys and values made once, then branched, shrunk and reordered.

The keys and values are arrays of the engine's own kind; scores and everything that is counted are numpy's. Shapes: B
windows of the prefill, R rows being written, C columns of the cache, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from softspoken.backbones.tokens import WhisperTokens
from softspoken.prompts.compiled import CompiledStack

BUCKET = 32
"""Widths of the cache are multiples of this."""
PREFIX_BUCKET = 16
"""The same of what rows have written already."""


@runtime_checkable
class Decoder(Protocol):
    """What of an engine a cache needs; see `Engine`."""

    unseen: float
    tokens: WhisperTokens

    def embed(self, tokens: np.ndarray, first: np.ndarray) -> Any: ...

    def decode(
        self, hidden: Any, mask: Any, cross_mask: Any, past: Sequence[Any], cross: Sequence[Any]
    ) -> tuple[Any, tuple[Any, ...]]: ...

    def array(self, values: np.ndarray) -> Any: ...

    def numpy(self, values: Any) -> np.ndarray: ...

    def padded(self, values: Any, front: int, behind: int, axis: int) -> Any: ...

    def joined(self, parts: Sequence[Any], axis: int) -> Any: ...

    def additive(self, seen: np.ndarray) -> Any: ...


@dataclass(frozen=True)
class Prefill:
    """What the forced start leaves behind, for all B windows; every attempt branches from it."""

    engine: Decoder
    cross: tuple[Any, ...]
    """Keys and values of the audio, as in `EncodedAudio`."""
    cross_mask: Any
    cache: tuple[Any, ...]
    logits: Float32[np.ndarray, "B V"]
    """Scores of the first free token."""
    no_speech: Float32[np.ndarray, "B"]
    """Probability of the no-speech token, at the start-of-transcript position."""
    columns: Bool[np.ndarray, "B C"]
    """Which of the cache's columns are no padding of a mixed batch."""
    places: Int[np.ndarray, "B"]
    """Position of the next token, by row."""

    @property
    def positions(self) -> int:
        """Decoder positions taken: prompt slots and start tokens."""
        return int(self.places.max())

    def live(self, windows: Sequence[int]) -> "LiveRows":
        """Rows to write on with, each belonging to a window."""
        return LiveRows(self, windows)


@dataclass(frozen=True)
class ForcedInputs:
    """What the decoder gets for tokens that are known, under its prompts and on top of nothing."""

    hidden: Any
    """Shallow vectors, then the tokens (B, F + U, D)."""
    mask: Any
    past: tuple[Any, ...]
    columns: Bool[np.ndarray, "B _"]
    """Which rows and shallow vectors are no padding of a mixed batch."""
    offsets: Int[np.ndarray, "B"]
    """Positions in front of the tokens."""


def forced_inputs(
    engine: Decoder, heard: Any, tokens: Int[np.ndarray, "B U"], rows: Sequence[int] | None = None
) -> ForcedInputs:
    """Tokens behind the decoder's prompts, for rows of an `EncodedAudio` (None: all of them)."""
    batch = heard.rows
    stack = heard.prompts.decoder if rows is None else heard.prompts.spread(batch).repeated(rows).decoder
    count = batch if rows is None else len(rows)
    offsets = spread(stack.positions, 0, count)
    shallow = engine.array(spread(stack.shallow, 0, count))
    hidden = engine.joined([shallow, engine.embed(tokens, offsets)], 1)
    parts = spread(stack.keys, 1, count), spread(stack.values, 1, count)
    past = tuple(engine.array(part) for part in _as_cache(*parts, heard.cross[0].shape[1]))
    mask = engine.additive(_prefill_mask(stack, count, tokens.shape[1]))[:, None]
    prompted = np.concatenate([spread(stack.valid, 0, count), spread(stack.shallow_valid, 0, count)], axis=1)
    return ForcedInputs(hidden, mask, past, prompted, offsets)


def prefill(
    engine: Decoder, heard: Any, start: Sequence[int], prefixes: Sequence[Sequence[int]] | None = None
) -> Prefill:
    """Run a decoder's prompts, the start tokens and each row's prefix for all rows of an `EncodedAudio`."""
    tokens, count = _forced(start, [()] * heard.rows if prefixes is None else prefixes)
    given = forced_inputs(engine, heard, tokens)
    logits, written = engine.decode(given.hidden, given.mask, heard.mask, given.past, heard.cross)
    cache = tuple(engine.joined(list(pair), 2) for pair in zip(given.past, written, strict=True))
    front = given.hidden.shape[1] - tokens.shape[1]
    place = front + list(start).index(engine.tokens.start_of_transcript)
    no_speech = _softmax(engine.numpy(logits[:, place]))[:, engine.tokens.no_speech]
    columns = np.concatenate([given.columns, np.arange(tokens.shape[1])[None] < count[:, None]], axis=1)
    first = engine.numpy(logits[list(range(heard.rows)), (front + count - 1).tolist()])
    return Prefill(engine, heard.cross, heard.mask, cache, first, no_speech, columns, given.offsets + count)


def _forced(
    start: Sequence[int], prefixes: Sequence[Sequence[int]]
) -> tuple[Int[np.ndarray, "B U"], Int[np.ndarray, "B"]]:
    """The start and each row's prefix, with padding that nothing sees, and how many tokens a row has."""
    rows = [[*start, *prefix] for prefix in prefixes]
    count = np.array([len(row) for row in rows])
    size = -(-count.max() // PREFIX_BUCKET) * PREFIX_BUCKET if any(prefixes) else len(start)
    return np.array([row + [0] * (size - len(row)) for row in rows]), count


def _as_cache(
    keys: Float[np.ndarray, "L B N D"], values: Float[np.ndarray, "L B N D"], heads: int
) -> list[Float[np.ndarray, "B H N E"]]:
    both = (part.reshape(*part.shape[:3], heads, part.shape[3] // heads).swapaxes(2, 3) for part in (keys, values))
    return [part for pair in zip(*both, strict=True) for part in pair]


def _prefill_mask(stack: CompiledStack, batch: int, tokens: int) -> Bool[np.ndarray, "B U _"]:
    """Shallow vectors stand before the rows and do not see them; tokens see all of both that is no padding."""
    shallow_valid, row_valid = stack.shallow_valid, stack.valid
    count, rows = shallow_valid.shape[1], row_valid.shape[1]
    size = count + tokens
    sees = np.ones((batch, size, rows + size), bool)
    sees[:, :count, :rows] = False
    sees[:, :, :rows] &= row_valid[:, None]
    sees[:, :, rows : rows + count] &= shallow_valid[:, None]
    sees[:, :, rows:] &= np.tri(size, dtype=bool)
    return sees


def _softmax(scores: Float[np.ndarray, "B V"]) -> Float[np.ndarray, "B V"]:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    found: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return found


def spread(part: np.ndarray, axis: int, size: int) -> np.ndarray:
    """One set for all rows, as one a row."""
    if part.shape[axis] == size:
        return part
    return np.broadcast_to(part, (*part.shape[:axis], size, *part.shape[axis + 1 :]))


class LiveRows:
    """Rows still being written, each belonging to a window of the prefill; rows of one window share its audio.

    The cache is as wide as the next bucket: a runtime prepares itself for each new shape, so that few of them save more
    than the hidden columns cost.
    """

    def __init__(self, prefilled: Prefill, windows: Sequence[int]) -> None:
        self._prefilled = prefilled
        self._used = prefilled.columns.shape[1]
        self._written = 0
        chosen = _rows_of(prefilled.cache, list(windows), prefilled.logits.shape[0])
        # Padding copies: what this branch writes, no other branch sees.
        self._cache = self._widened(chosen)
        self._mask: Any = None
        self._share_audio(windows)

    def step(self, tokens: Sequence[int]) -> Float32[np.ndarray, "R V"]:
        """Append one token a row; the scores of the next."""
        engine = self._prefilled.engine
        hidden = engine.embed(np.array(list(tokens))[:, None], self._places + self._written)
        logits, written = engine.decode(hidden, self._mask, self._cross_mask, self._cache, self._cross)
        for part, new in zip(self._cache, written, strict=True):
            part[:, :, self._used] = new[:, :, 0]
        self._mask[..., self._used] = 0.0
        self._used += 1
        self._written += 1
        if self._used == self._cache[0].shape[2]:
            self._cache = self._widened(self._cache)
            self._mask = self._new_mask()
        return engine.numpy(logits[:, -1])

    def keep(self, rows: Sequence[int], windows: Sequence[int]) -> None:
        """Go on with these rows (dropped, reordered or repeated), which belong to these windows."""
        index = list(rows)
        if index != list(range(len(self._windows))):
            self._cache = tuple(part[index] for part in self._cache)
        # The audio's keys and values are by far the larger part and move only when a window is done.
        if list(windows) != self._windows:
            self._share_audio(windows)

    def _share_audio(self, windows: Sequence[int]) -> None:
        self._windows = list(windows)
        prefilled, index = self._prefilled, self._windows
        if len(set(index)) == 1:
            # Beams of a single window: all of them see the one copy.
            self._cross = tuple(part[index[0] : index[0] + 1] for part in prefilled.cross)
        else:
            self._cross = _rows_of(prefilled.cross, index, len(prefilled.cross_mask))
        self._cross_mask = prefilled.cross_mask[index]
        self._places = prefilled.places[index]
        self._columns = prefilled.columns[index]
        self._mask = self._new_mask()

    def _new_mask(self) -> Any:
        """Shows the columns in use and the one that is being written, which stands behind all."""
        engine = self._prefilled.engine
        rows, first = self._columns.shape
        mask = np.full((rows, self._cache[0].shape[2] + 1), engine.unseen, np.float32)
        mask[:, :first][self._columns] = 0.0
        mask[:, first : self._used] = 0.0
        mask[:, -1] = 0.0
        return engine.array(mask)[:, None, None]

    def _widened(self, cache: Sequence[Any]) -> tuple[Any, ...]:
        room = -(-(self._used + 1) // BUCKET) * BUCKET - self._used
        return tuple(self._prefilled.engine.padded(part, 0, room, 2) for part in cache)


def _rows_of(parts: Sequence[Any], rows: list[int], count: int) -> tuple[Any, ...]:
    return tuple(parts) if rows == list(range(count)) else tuple(part[rows] for part in parts)
