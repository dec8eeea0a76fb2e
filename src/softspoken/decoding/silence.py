"""Is the target speaking? What the decoder and the voice say about a window, as the features of a silence model."""

import math

import numpy as np
from jaxtyping import Float32

from softspoken.decoding.conditioning import presence
from softspoken.prompts.silence import Decides, SilenceFeature, SilenceModel

__all__ = ["Decides", "SilenceFeature", "SilenceModel", "log_odds", "verdict", "window_features"]

SUREST = 15.0
"""Log-odds are cut off here: behind it float32 tells nothing apart."""


def log_odds(logprob: float) -> float:
    """Of a log-probability, between -SUREST and SUREST."""
    if logprob >= 0.0:
        return SUREST
    odds = logprob - math.log(-math.expm1(logprob))
    return max(-SUREST, min(SUREST, odds))


def window_features(scores: Float32[np.ndarray, " frames"], empty_logprob: float) -> dict[SilenceFeature, float]:
    """Features of one window (see `SilenceFeature`).

    Args:
        scores: raw cosine to the voice in every frame of 20 ms.
        empty_logprob: log-probability that the decoder gives to an empty transcript.
    """
    return {
        "empty": log_odds(empty_logprob),
        "presence": presence(scores),
        "spread": float(scores.std(dtype=np.float64)) if scores.size else 0.0,
    }


def verdict(model: SilenceModel | None, scores: Float32[np.ndarray, " frames"], empty_logprob: float) -> bool | None:
    """Whether anything of the target is written in a window (see `SilenceModel.speaks`); None without a model."""
    return None if model is None else model.speaks(model.probability(window_features(scores, empty_logprob)))
