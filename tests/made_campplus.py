"""CAM++ with random weights, for tests that need no published ones."""

import numpy as np
import torch
from torch import nn

from softspoken.data.campplus_network import CamPlusPlus


def made_network() -> CamPlusPlus:
    """Random weights whose normalisations do something."""
    torch.manual_seed(0)
    made = CamPlusPlus().eval()
    for part in made.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.get_buffer("running_mean"), std=0.1)
            nn.init.uniform_(part.get_buffer("running_var"), 0.5, 1.5)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.1)
    return made


def made_weights() -> dict[str, np.ndarray]:
    """The same as arrays."""
    return {name: tensor.detach().numpy() for name, tensor in made_network().state_dict().items()}
