"""How prompt vectors begin, where normal noise is not what the frozen encoder knows.

Shapes: B batch, L layers, N prompt vectors, D width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from softspoken.backbones.base import Backbone
from softspoken.errors import ConfigError
from softspoken.prompts.modules import SoftPrompts
from softspoken.prompts.short import silent_places

WINDOW_S = 30.0
"""What Whisper was trained on: speech, and silence up to here."""


@torch.no_grad()
def silent_states(backbone: Backbone, speech: Sequence[np.ndarray], count: int) -> Float[Tensor, "L N D"]:
    """What enters each encoder layer at `count` positions, spread evenly over the silence behind `speech`.

    See `short.silent_places`. The clips (mono, 16 kHz) are padded to 30 s, or as far as the encoder goes, and their
    mean is taken position by position. Not to be called under a prompt. Raises ConfigError when the clips leave too
    little silence.
    """
    found = backbone.encode_layers(backbone.features(list(speech), WINDOW_S)).states[:-1]
    chosen = torch.from_numpy(silent_places(speech, found[0].shape[1], count).copy())
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
