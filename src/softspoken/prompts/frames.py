"""Frame prompts: vectors added to the audio frames themselves, by how likely the target speaks in each.

Shapes: B batch, L layers, T audio frames, D width, S speaker dimensions, R vectors in a bank, P sets (1 or B).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.prompts.config import FramePrompt

_SUREST = 1e-4
"""Activities are taken as this far from 0 and 1 at least, so that what refines them can still move them."""


@dataclass(frozen=True)
class Bank:
    """The keyed vectors: `h + V gelu((K norm(h)) * gate + a c + b)`, and the read-out that refines the activity a."""

    keys: Float[Tensor, "L P D R"]
    values: Float[Tensor, "L P R D"]
    gate: Float[Tensor, "L B R"]
    """1 + the voice's projection: which of the R keys this voice listens to."""
    bias: Float[Tensor, "L P R"]
    by_activity: Float[Tensor, "L P R"]
    readout: Float[Tensor, "L P R"] | None = None

    def to(self, dtype: torch.dtype) -> "Bank":
        given: dict[str, Any] = {name: None if v is None else v.to(dtype) for name, v in vars(self).items()}
        return Bank(**given)

    def matched(
        self, layer: int, frames: Float[Tensor, "B T D"], activity: Float[Tensor, "B T"]
    ) -> Float[Tensor, "B T R"]:
        """How strongly each of the bank's vectors is chosen by each frame."""
        found = F.layer_norm(frames, frames.shape[-1:]) @ self.keys[layer]
        found = found * self.gate[layer][:, None] + self.bias[layer][:, None]
        return F.gelu(found + activity[:, :, None] * self.by_activity[layer][:, None])


@dataclass(frozen=True)
class FrameRows:
    """What is added to the encoder's audio frames before each layer. P is 1 for one prompt on all rows, else B."""

    rest: Float[Tensor, "L P D"]
    active: Float[Tensor, "L P D"]
    bank: Bank | None = None
    mute_db: float = 0.0
    """How much quieter the encoder hears frames without the target."""

    def to(self, dtype: torch.dtype) -> "FrameRows":
        """The same vectors for a backbone of another precision."""
        bank = None if self.bank is None else self.bank.to(dtype)
        return replace(self, rest=self.rest.to(dtype), active=self.active.to(dtype), bank=bank)

    def at(
        self, layer: int, frames: Float[Tensor, "B T D"], activity: Float[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B T"]]:
        """The vectors to add to `frames` before `layer`, and the activity as this layer sees it, for the next one."""
        chosen = None
        if self.bank is not None:
            chosen = self.bank.matched(layer, frames, activity)
            if self.bank.readout is not None:
                moved = (chosen * self.bank.readout[layer][:, None]).sum(dim=-1)
                sure = activity.float().clamp(_SUREST, 1 - _SUREST)
                activity = torch.sigmoid(torch.log(sure / (1 - sure)) + moved).to(frames.dtype)
        weight = activity[:, :, None]
        added = self.rest[layer][:, None] + weight * (self.active[layer] - self.rest[layer])[:, None]
        if self.bank is not None and chosen is not None:
            added = added + chosen @ self.bank.values[layer]
        return added, activity


def activity_of(scores: Float[Tensor, "B T"], config: FramePrompt) -> Float[Tensor, "B T"]:
    """How likely the target speaks in each frame, of its cosine to the voice: sigmoid(slope * (score - threshold))."""
    return torch.sigmoid(config.slope * (scores - config.threshold))


class FramePrompts(nn.Module):
    """The vectors of `FramePrompt`. The bank starts at zero: at first it changes nothing."""

    def __init__(self, config: FramePrompt, speaker_dimension: int, layers: int, width: int) -> None:
        super().__init__()
        self.active = nn.Parameter(torch.zeros(layers, width))
        self.rest = nn.Parameter(torch.zeros(layers, width))
        self.rank, self.refined, self.mute_db = config.keyed, config.refined, config.mute_db
        if self.rank:
            self.keys = nn.Parameter(torch.randn(layers, width, self.rank) * width**-0.5)
            self.values = nn.Parameter(torch.zeros(layers, self.rank, width))
            self.voice = nn.Parameter(torch.randn(layers, speaker_dimension, self.rank) * speaker_dimension**-0.5)
            self.bias = nn.Parameter(torch.zeros(layers, self.rank))
            self.by_activity = nn.Parameter(torch.zeros(layers, self.rank))
        if self.refined:
            self.readout = nn.Parameter(torch.zeros(layers, self.rank))

    def forward(self, speaker: Float[Tensor, "B S"] | None) -> FrameRows:
        bank = None
        if self.rank:
            assert speaker is not None
            bank = Bank(
                keys=self.keys[:, None],
                values=self.values[:, None],
                gate=1.0 + torch.einsum("bs,lsr->lbr", speaker, self.voice),
                bias=self.bias[:, None],
                by_activity=self.by_activity[:, None],
                readout=self.readout[:, None] if self.refined else None,
            )
        return FrameRows(self.rest[:, None], self.active[:, None], bank, self.mute_db)
