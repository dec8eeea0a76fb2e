"""The decoder of the SUPERB speech recognition task on the states of a frozen encoder.

Yang et al., "SUPERB: speech processing universal performance benchmark" (2021); section 3 of the noise paper
(arXiv 2309.09413) trains it together with prompts.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.errors import ConfigError
from softspoken.frozen import Frozen


class HeadConfig(Frozen):
    """Sizes of the decoder. The defaults are SUPERB's."""

    states: Literal["weighted", "last"] = "weighted"
    """`weighted`: a learned weighted sum of what enters the first layer and what every layer gives; or the last one."""
    joined: int = Field(default=1, ge=1)
    """Frames of the encoder side by side in one step of the LSTMs: at 2 the head writes every 40 ms, in half the time.
    Not in SUPERB."""
    projection: int = Field(default=1024, ge=1)
    """Width between the encoder and the LSTMs."""
    layers: int = Field(default=2, ge=1)
    hidden: int = Field(default=1024, ge=1)
    """Width of each direction of an LSTM."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """After each LSTM."""
    time_masks: int = Field(default=2, ge=0)
    """Stretches of frames set to zero in each row while training (SpecAugment, Park et al. 2019)."""
    time_mask_max: int = Field(default=40, ge=0)
    """Frames in the longest."""
    feature_masks: int = Field(default=4, ge=0)
    """Bands of features set to zero in each row while training."""
    feature_mask_max: int = Field(default=50, ge=0)
    """Features in the widest."""
    mask_share: float = Field(default=0.2, ge=0, le=1)
    """No mask covers more than this share of its row's frames or of the features, so that short rows and narrow
    encoders keep something. Not in SUPERB."""


class CTCHead(nn.Module):
    """Weighted sum of the states, projection, bidirectional LSTMs, one output a symbol of the dictionary.

    A row's result does not depend on the rows beside it, nor on their padding.
    """

    def __init__(self, config: HeadConfig, width: int, states: int, vocabulary: int) -> None:
        """`width` D and number of `states` of the encoder (1 + L; 'last' needs one), and the size of the dictionary."""
        super().__init__()
        self.config = config
        self.weights = nn.Parameter(torch.zeros(states)) if config.states == "weighted" else None
        """Their softmax weighs the states; equal at first."""
        self.projection = nn.Linear(config.joined * width, config.projection)
        inputs = [config.projection] + [2 * config.hidden] * (config.layers - 1)
        self.lstms = nn.ModuleList(Bidirectional(size, config.hidden) for size in inputs)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(2 * config.hidden, vocabulary)

    def forward(
        self, states: Sequence[Float[Tensor, "B T D"]], lengths: Int[Tensor, "B"]
    ) -> tuple[Float[Tensor, "B S V"], Int[Tensor, "B"]]:
        """Log-probabilities of the dictionary's symbols (float32) at every step, and valid steps of each row.

        A step is `joined` frames: S = T, or T over `joined`, rounded up. Steps at padding mean nothing.
        """
        features = self.summed(states)
        if self.training:
            features = features.masked_fill(spec_augment_mask(lengths, features.shape[1:], self.config), 0.0)
        features, lengths = joined_frames(features, lengths, self.config.joined)
        hidden = self.projection(features)
        kind = hidden.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.training and torch.is_autocast_enabled(kind)):
            # In bfloat16 it learns 2.5 times as fast; when it reads, rounding would add up over hundreds of frames.
            hidden = hidden.to(self.output.weight.dtype)
            for lstm in self.lstms:
                hidden = self.dropout(lstm(hidden, lengths))
            logits: Tensor = self.output(hidden).float()
        return logits.log_softmax(dim=-1), lengths

    def summed(self, states: Sequence[Float[Tensor, "B T D"]]) -> Float[Tensor, "B T D"]:
        """What the head listens to."""
        if self.weights is None:
            return states[-1]
        if len(states) != len(self.weights):
            raise ConfigError(
                f"{len(states)} hidden states for a head that weighs {len(self.weights)}; use the backbone it was "
                "trained on, or train one with states = 'last'"
            )
        total = torch.zeros_like(states[-1])
        # One after the other: a stack of all would be L times as large.
        for share, state in zip(self.weights.softmax(dim=0), states, strict=True):
            total = total + share.to(state.dtype) * state
        return total


def joined_frames(
    frames: Float[Tensor, "B T D"], lengths: Int[Tensor, "B"], joined: int
) -> tuple[Float[Tensor, "B S E"], Int[Tensor, "B"]]:
    """Every `joined` frames side by side (E = joined * D) and how many of a row are valid, zeros behind a row's end."""
    if joined == 1:
        return frames, lengths
    rows, size, width = frames.shape
    behind = torch.arange(size, device=lengths.device)[None, :, None] >= lengths[:, None, None]
    whole = F.pad(frames.masked_fill(behind, 0.0), (0, 0, 0, -size % joined))
    return whole.reshape(rows, -1, joined * width), (lengths + joined - 1) // joined


def spec_augment_mask(lengths: Int[Tensor, "B"], size: Sequence[int], config: HeadConfig) -> Bool[Tensor, "B T D"]:
    """True where SpecAugment hides a frame or a feature of rows of `size` (T, D); each row has masks of its own.

    Widths are uniform from 0 to the largest allowed, starts uniform within the row's valid frames. Drawn from torch's
    generator.
    """
    frames, width = size
    whole = torch.full_like(lengths, width)
    times = _masks(lengths, frames, config.time_masks, config.time_mask_max, config.mask_share)
    features = _masks(whole, width, config.feature_masks, config.feature_mask_max, config.mask_share)
    return times[:, :, None] | features[:, None, :]


def _masks(lengths: Int[Tensor, "B"], size: int, count: int, largest: int, share: float) -> Bool[Tensor, "B N"]:
    draws = torch.rand(2, len(lengths), count, device=lengths.device)
    limit = (lengths * share).floor().clamp(max=largest)[:, None]
    widths = (draws[0] * (limit + 1)).floor()
    starts = (draws[1] * (lengths[:, None] - widths + 1)).floor()
    places = torch.arange(size, device=lengths.device)
    inside = (places >= starts[..., None]) & (places < (starts + widths)[..., None])
    return inside.any(dim=1)


class Bidirectional(nn.Module):
    """An LSTM in each direction over the valid frames of each row.

    Rows are turned round within their own lengths rather than packed: torch runs packed sequences frame by frame on a
    CPU, six to ten times slower.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(inputs, hidden, batch_first=True)
        self.back = nn.LSTM(inputs, hidden, batch_first=True)

    def forward(self, hidden: Float[Tensor, "B T D"], lengths: Int[Tensor, "B"]) -> Float[Tensor, "B T H"]:
        """Both directions' states side by side, H = 2 * hidden."""
        turned = self.back(_turned(hidden, lengths))[0]
        return torch.cat([self.ahead(hidden)[0], _turned(turned, lengths)], dim=-1)


def _turned(rows: Float[Tensor, "B T D"], lengths: Int[Tensor, "B"]) -> Float[Tensor, "B T D"]:
    """The valid frames of each row in reverse; padding stays where it is, so that turning twice changes nothing."""
    places = torch.arange(rows.shape[1], device=lengths.device)
    mirrored = lengths[:, None] - 1 - places
    source = torch.where(mirrored >= 0, mirrored, places)
    return rows.gather(1, source[..., None].expand(-1, -1, rows.shape[2]))
