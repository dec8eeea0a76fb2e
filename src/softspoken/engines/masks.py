"""Attention masks that are added to scores."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def additive(seen: Bool[Tensor, "*n"], dtype: torch.dtype) -> Float[Tensor, "*n"]:
    """0 where something is seen, else so low that it weighs nothing; finite, so that seeing nothing is no NaN."""
    hidden = -6e4 if dtype == torch.float16 else -1e9
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, hidden)
