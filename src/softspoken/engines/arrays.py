"""Masks and frames of padded batches, as arrays of numpy.

Shapes: B rows of a batch, M mels, T audio frames.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from softspoken.backbones.features import INPUTS_PER_FRAME


def valid_positions(lengths: Int[np.ndarray, "B"], size: int) -> Bool[np.ndarray, "B T"]:
    """True at the first `lengths[b]` of `size` positions."""
    found: np.ndarray = np.arange(size)[None] < lengths[:, None]
    return found


def fitted(activity: Float[np.ndarray, "B _"], size: int) -> Float[np.ndarray, "B T"]:
    """As many frames as asked for: 0 behind the end."""
    return np.pad(activity, ((0, 0), (0, max(size - activity.shape[1], 0))))[:, :size]


def muted_mel(
    mel: Float[np.ndarray, "B M T"], activity: Float[np.ndarray, "B _"], mute_db: float
) -> Float[np.ndarray, "B M T"]:
    """The mel frames in which the target surely does not speak, `mute_db` quieter; see `injection.mute`."""
    frames = fitted(activity, -(-mel.shape[-1] // INPUTS_PER_FRAME))
    each = frames.repeat(INPUTS_PER_FRAME, axis=1)[:, None, : mel.shape[-1]]
    floor = mel.max(axis=(1, 2), keepdims=True) - np.float32(80 / 40)
    found: np.ndarray = np.maximum(mel - (1 - each) * np.float32(mute_db / 40), floor)
    return found.astype(np.float32)
