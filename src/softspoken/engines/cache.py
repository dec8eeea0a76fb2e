"""The decoder's memory of a batch: keys and values made once, then branched, shrunk and reordered.

The keys and values are arrays of the engine's own kind; scores and everything that is counted are numpy's. Shapes: B
windows of the prefill, R rows being written, C columns of the cache, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int

BUCKET = 32
"""Widths of the cache are multiples of this."""


@runtime_checkable
class Decoder(Protocol):
    """What of an engine a cache needs; see `Engine`."""

    unseen: float

    def embed(self, tokens: np.ndarray, first: np.ndarray) -> Any: ...

    def decode(
        self, hidden: Any, mask: Any, cross_mask: Any, past: Sequence[Any], cross: Sequence[Any]
    ) -> tuple[Any, tuple[Any, ...]]: ...

    def array(self, values: np.ndarray) -> Any: ...

    def numpy(self, values: Any) -> np.ndarray: ...

    def padded(self, values: Any, front: int, behind: int, axis: int) -> Any: ...


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
