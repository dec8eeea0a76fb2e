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

    The window's last position is always among them, also where there is only one: on tiny.en it alone does nearly all
    of the work, and as many others without it do not (docs/experiments.md). For that reason positions are chosen, never
    pooled with their neighbours. The clips (mono, 16 kHz) are padded to 30 s, or as far as the encoder goes, and their
    mean is taken position by position. Not to be called under a prompt. Raises ConfigError when the clips leave too
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
    chosen = torch.linspace(last, first, count).round().long().flip(0)
    return torch.stack([states[:, chosen].float().mean(dim=0) for states in found])


@torch.no_grad()
def initialize_as_silence(prompts: SoftPrompts, backbone: Backbone, speech: Sequence[np.ndarray]) -> None:
    """Set the encoder's prompt vectors to `silent_states`: what a window as long as its audio lacks, its end above all.

    Raises ConfigError for prompts without plain encoder vectors.
    """
    config = prompts.config
    if config.encoder is None or config.encoder.rank or config.reparameterisation != "none":
        raise ConfigError("prompts begin as silence where they are plain encoder vectors; leave out rank and MLPs")
    vectors = prompts.get_parameter("stacks.encoder.vectors")
    vectors.copy_(silent_states(backbone, speech, vectors.shape[1])[: vectors.shape[0]].to(vectors))
