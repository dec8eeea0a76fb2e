"""The enrolment clip itself as prompt rows: what the frozen encoder hears in it, layer by layer.

The idea of SQ-Whisper (Guo et al. 2024), here with a frozen Whisper and before every layer. Shapes: B batch, L layers,
F frames of the clip, D width, N rows.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones.base import Backbone
from softspoken.errors import PromptMismatch
from softspoken.prompts.config import EnrolmentPrompt
from softspoken.waveforms import Waveforms


@torch.no_grad()
def clip_states(backbone: Backbone, clips: Sequence[np.ndarray], config: EnrolmentPrompt) -> Float[Tensor, "L B F D"]:
    """What enters each encoder layer while the frozen backbone hears each clip (16 kHz), `config.clip_s` of it.

    Not to be called under a prompt. Raises PromptMismatch for an empty clip.
    """
    if any(len(clip) == 0 for clip in ([] if isinstance(clips, Waveforms) else clips)):
        raise PromptMismatch("an enrolment clip without samples; give a few seconds of the voice")
    heard = Waveforms.of(clips).fitted(round(config.clip_s * SAMPLE_RATE_HZ))
    return torch.stack(backbone.encode_layers(backbone.features(heard, config.clip_s)).states[:-1])


class EnrolmentPrompts(nn.Module):
    """Clip states to rows. They begin as the states themselves, so the frozen encoder knows what it sees."""

    def __init__(self, config: EnrolmentPrompt, layers: int, width: int) -> None:
        super().__init__()
        self.config = config
        rows = 1 if config.form == "frames" else config.queries
        self.mark = nn.Parameter(torch.zeros(layers, rows, width))
        if config.form == "queries":
            self.queries = nn.Parameter(torch.randn(layers, config.queries, width) * width**-0.5)

    def forward(self, states: Float[Tensor, "L B F D"]) -> Float[Tensor, "L B N D"]:
        states = states.to(self.mark.dtype)
        if self.config.form == "frames":
            size = states.shape[2] // self.config.stride * self.config.stride
            layers, batch, _, width = states.shape
            rows = states[:, :, :size].reshape(layers, batch, -1, self.config.stride, width).mean(dim=3)
        else:
            normed = nn.functional.layer_norm(states, states.shape[-1:])
            weights = torch.softmax(torch.einsum("lnd,lbfd->lbnf", self.queries, normed), dim=-1)
            rows = weights @ states
        marked: Tensor = rows + self.mark[:, None]
        return marked
