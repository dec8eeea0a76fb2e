"""Frame prompts: vectors added to the audio frames themselves, by how likely the target speaks in each.

Shapes: B batch, L layers, T audio frames, D width, S speaker dimensions, R vectors in a bank, P sets (1 or B).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.prompts.config import FramePrompt
from softspoken.prompts.rows import Bank, FrameRows


def added_by(
    rows: FrameRows, layer: int, frames: Float[Tensor, "B T D"], activity: Float[Tensor, "B T"]
) -> Float[Tensor, "B T D"]:
    """What frame prompts add to `frames` before `layer`."""
    weight = activity[:, :, None]
    added = rows.rest[layer][:, None] + weight * (rows.active[layer] - rows.rest[layer])[:, None]
    bank = rows.bank
    if bank is not None:
        found = F.layer_norm(frames, frames.shape[-1:]) @ bank.keys[layer]
        found = found * bank.gate[layer][:, None] + bank.bias[layer][:, None]
        chosen = F.gelu(found + weight * bank.by_activity[layer][:, None])
        added = added + chosen @ bank.values[layer]
    found_here: Tensor = added
    return found_here


def activity_of(scores: Float[Tensor, "B T"], config: FramePrompt) -> Float[Tensor, "B T"]:
    """How likely the target speaks in each frame, of its cosine to the voice: sigmoid(slope * (score - threshold))."""
    return torch.sigmoid(config.slope * (scores - config.threshold))


class FramePrompts(nn.Module):
    """The vectors of `FramePrompt`. The bank starts at zero: at first it changes nothing."""

    def __init__(self, config: FramePrompt, speaker_dimension: int, layers: int, width: int) -> None:
        super().__init__()
        self.active = nn.Parameter(torch.zeros(layers, width))
        self.rest = nn.Parameter(torch.zeros(layers, width))
        self.rank, self.mute_db = config.keyed, config.mute_db
        if self.rank:
            self.keys = nn.Parameter(torch.randn(layers, width, self.rank) * width**-0.5)
            self.values = nn.Parameter(torch.zeros(layers, self.rank, width))
            self.voice = nn.Parameter(torch.randn(layers, speaker_dimension, self.rank) * speaker_dimension**-0.5)
            self.bias = nn.Parameter(torch.zeros(layers, self.rank))
            self.by_activity = nn.Parameter(torch.zeros(layers, self.rank))

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
            )
        return FrameRows(self.rest[:, None], self.active[:, None], bank, self.mute_db)
