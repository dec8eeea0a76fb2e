"""How prompt vectors begin, where normal noise is not what the frozen encoder knows.

Shapes: B batch, L layers, N prompt vectors, D width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from softspoken.backbones.base import SAMPLE_RATE_HZ, Backbone
from softspoken.errors import ConfigError
from softspoken.prompts.modules import SoftPrompts

WINDOW_S = 30.0
"""What Whisper was trained on: speech, and silence up to here."""
SETTLED_S = 1.0
"""Behind the speech, so much silence still carries traces of its end."""
_FRAME = SAMPLE_RATE_HZ // 50


@torch.no_grad()
def silent_states(backbone: Backbone, speech: Sequence[np.ndarray], count: int) -> Float[Tensor, "L N D"]:
    """What enters each encoder layer at `count` positions, spread evenly over the silence behind `speech`.

    The clips (mono, 16 kHz) are padded to 30 s, or as far as the encoder goes, and their mean is taken position by
    position. Positions are chosen, not averaged: states of neighbouring ones differ by their embeddings alone, and the
    mean over many is like none of them. Not to be called under a prompt. Raises ConfigError when the clips leave too
    little silence.
    """
    found = backbone.encode_layers(backbone.features(list(speech), WINDOW_S)).states[:-1]
    first = max(-(-clip.size // _FRAME) for clip in speech) + round(SETTLED_S * SAMPLE_RATE_HZ / _FRAME)
    last = found[0].shape[1] - 1
    if last - first + 1 < count:
        raise ConfigError(
            f"the longest clip leaves {max(last - first + 1, 0)} silent positions, {count} vectors begin as such; "
            "give shorter clips or fewer vectors"
        )
    chosen = torch.linspace(first, last, count).round().long()
    return torch.stack([states[:, chosen].float().mean(dim=0) for states in found])


@torch.no_grad()
def begin_as_silence(prompts: SoftPrompts, backbone: Backbone, speech: Sequence[np.ndarray]) -> None:
    """Set the encoder's prompt vectors to `silent_states`: what a window as long as its audio lacks.

    Raises ConfigError for prompts without plain encoder vectors.
    """
    config = prompts.config
    if config.encoder is None or config.encoder.rank or config.reparameterisation != "none":
        raise ConfigError("prompts begin as silence where they are plain encoder vectors; leave out rank and MLPs")
    vectors = prompts.get_parameter("stacks.encoder.vectors")
    vectors.copy_(silent_states(backbone, speech, vectors.shape[1])[: vectors.shape[0]].to(vectors))
