"""Where prompt rows and audio frames stand in an encoder's sequence, row by row of a batch.

Shapes: B batch, T audio frames, N prompt rows, S = T + N, D width. Whatever stands behind a row's valid positions is
hidden by the backbone's padding mask, which is made of lengths: so a row's valid positions always come first.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from softspoken.prompts.config import Placement


@dataclass(frozen=True)
class Layout:
    """Prompt rows at `starts[b] .. starts[b] + counts[b]`, the audio in front of or behind them."""

    starts: Int[Tensor, "B"]
    counts: Int[Tensor, "B"]
    slots: int
    """N: prompt rows of the longest set."""
    size: int
    """S: positions in all."""

    @classmethod
    def of(
        cls, placement: Placement, frames: int, lengths: Int[Tensor, "B"], slots: Int[Tensor, "B"], most: int
    ) -> "Layout":
        """For `frames` audio frames of which `lengths` are valid, and `slots` prompt rows, `most` at the most."""
        starts = lengths if placement == "appended" else torch.zeros_like(lengths)
        return cls(starts, slots, most, frames + most)

    def _gather(self, source: Float[Tensor, "B R D"], index: Int[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
        return source.gather(1, index[:, :, None].expand(-1, -1, source.shape[-1]))

    def _positions(self) -> Int[Tensor, "1 S"]:
        return torch.arange(self.size, device=self.starts.device)[None]

    def place(self, frames: Float[Tensor, "B T D"], rows: Float[Tensor, "B N D"]) -> Float[Tensor, "B S D"]:
        """Frames and prompt rows in their order."""
        position, start, count = self._positions(), self.starts[:, None], self.counts[:, None]
        inside = (position >= start) & (position < start + count)
        # In `[rows, frames]`, the frame at position p is entry N + p before the prompts, N + p - count behind them.
        frame = self.slots + position - count * (position >= start + count)
        index = torch.where(inside, position - start, frame.clamp(max=self.size - 1))
        return self._gather(torch.cat([rows, frames], dim=1), index)

    def overwrite(
        self, hidden: Float[Tensor, "B S D"], rows: Float[Tensor, "B M D"], first: int
    ) -> Float[Tensor, "B S D"]:
        """Put `rows` where the prompts from number `first` on stand."""
        position, start = self._positions(), (self.starts + first)[:, None]
        inside = (position >= start) & (position < (self.starts + self.counts)[:, None])
        index = torch.where(inside, position - start, rows.shape[1] + position)
        return self._gather(torch.cat([rows, hidden], dim=1), index)
