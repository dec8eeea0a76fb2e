"""The decoder's memory of a batch in an engine: keys and values made once, then branched, shrunk and reordered.

Shapes: B windows of the prefill, R rows being written, C columns of the cache, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from softspoken.engines.masks import additive

BUCKET = 32
"""Widths of the cache are multiples of this."""


@runtime_checkable
class Decoder(Protocol):
    """What of an engine a search needs; see `Engine`."""

    def embed(self, tokens: Tensor, first: Tensor) -> Tensor: ...

    def decode(
        self, hidden: Tensor, mask: Tensor, cross_mask: Tensor, past: Sequence[Tensor], cross: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]: ...


@dataclass(frozen=True)
class EnginePrefill:
    """What the forced start leaves behind, for all B windows; every attempt branches from it."""

    engine: Decoder
    cross: tuple[Tensor, ...]
    """Keys and values of the audio, as in `EncodedAudio`."""
    cross_mask: Float[Tensor, "B 1 1 S"]
    cache: tuple[Tensor, ...]
    logits: Float[Tensor, "B V"]
    """Scores of the first free token."""
    no_speech: Float[Tensor, "B"]
    """Probability of the no-speech token, at the start-of-transcript position."""
    columns: Bool[Tensor, "B C"]
    """Which of the cache's columns are no padding of a mixed batch."""
    places: Int[Tensor, "B"]
    """Position of the next token, by row."""

    @property
    def positions(self) -> int:
        """Decoder positions taken: prompt slots and start tokens."""
        return int(self.places.max())

    def live(self, windows: Sequence[int]) -> "EngineRows":
        """Rows to write on with, each belonging to a window."""
        return EngineRows(self, windows)


class EngineRows:
    """Rows still being written, each belonging to a window of the prefill; rows of one window share its audio.

    The cache is as wide as the next bucket: a runtime prepares itself for each new shape, so that few of them save more
    than the hidden columns cost.
    """

    def __init__(self, prefilled: EnginePrefill, windows: Sequence[int]) -> None:
        self._prefilled = prefilled
        self._used = prefilled.columns.shape[1]
        self._written = 0
        room = _bucket(self._used + 1) - self._used
        chosen = _rows_of(prefilled.cache, list(windows), prefilled.logits.shape[0])
        # Padding copies: what this branch writes, no other branch sees.
        self._cache = tuple(functional.pad(part, (0, 0, 0, room)) for part in chosen)
        self._mask: Float[Tensor, "R 1 1 _"]
        self._share_audio(windows)

    @torch.no_grad()
    def step(self, tokens: Sequence[int]) -> Float[Tensor, "R V"]:
        """Append one token a row; the scores of the next."""
        engine = self._prefilled.engine
        column = torch.tensor(list(tokens), device=self._places.device)[:, None]
        hidden = engine.embed(column, self._places + self._written).to(self._cross_mask.dtype)
        logits, written = engine.decode(hidden, self._mask, self._cross_mask, self._cache, self._cross)
        for part, new in zip(self._cache, written, strict=True):
            part[:, :, self._used] = new[:, :, 0]
        self._mask[..., self._used] = 0.0
        self._used += 1
        self._written += 1
        if self._used == self._cache[0].shape[2]:
            room = _bucket(self._used + 1) - self._used
            self._cache = tuple(functional.pad(part, (0, 0, 0, room)) for part in self._cache)
            self._mask = self._new_mask()
        return logits[:, -1]

    def keep(self, rows: Sequence[int], windows: Sequence[int]) -> None:
        """Go on with these rows (dropped, reordered or repeated), which belong to these windows."""
        if list(rows) != list(range(len(self._windows))):
            index = torch.tensor(list(rows), device=self._places.device)
            self._cache = tuple(part.index_select(0, index) for part in self._cache)
        # The audio's keys and values are by far the larger part and move only when a window is done.
        if list(windows) != self._windows:
            self._share_audio(windows)

    def _share_audio(self, windows: Sequence[int]) -> None:
        self._windows = list(windows)
        prefilled = self._prefilled
        index = torch.tensor(self._windows, device=prefilled.logits.device)
        if len(set(self._windows)) == 1:
            # Beams of a single window: all of them see the one copy.
            only = self._windows[0]
            self._cross = tuple(part[only : only + 1] for part in prefilled.cross)
        else:
            self._cross = _rows_of(prefilled.cross, self._windows, len(prefilled.cross_mask))
        self._cross_mask = prefilled.cross_mask[index]
        self._places = prefilled.places[index]
        self._columns = prefilled.columns[index]
        self._mask = self._new_mask()

    def _new_mask(self) -> Float[Tensor, "R 1 1 _"]:
        """Shows the columns in use and the one that is being written, which stands behind all."""
        size, behind = self._cache[0].shape[2], self._used - self._columns.shape[1]
        seen = functional.pad(self._columns, (0, behind), value=True)
        seen = functional.pad(functional.pad(seen, (0, size - self._used)), (0, 1), value=True)
        return additive(seen, self._cross_mask.dtype)[:, None, None]


def _bucket(columns: int) -> int:
    return -(-columns // BUCKET) * BUCKET


def _rows_of(parts: Sequence[Tensor], rows: list[int], count: int) -> tuple[Tensor, ...]:
    if rows == list(range(count)):
        return tuple(parts)
    index = torch.tensor(rows, device=parts[0].device)
    return tuple(part.index_select(0, index) for part in parts)
