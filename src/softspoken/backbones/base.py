"""What every frozen model offers: features, encode, decode, and stacks whose seams others may attach to.

A backbone never knows that prompts exist. It is built from small modules (`Stack`), and whoever wants
to change what flows through them hooks those modules from outside (see `softspoken.prompts.inject`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

StackName = Literal["encoder", "decoder"]

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True)
class Features:
    """A batch of model inputs. `mel`: log-mel (B, M mels, T frames of 10 ms); `lengths`: valid frames a row."""

    mel: Float[Tensor, "B M T"]
    lengths: Int[Tensor, "B"]


@dataclass(frozen=True)
class Encoded:
    """Encoder states (B, T frames of 20 ms, D) and how many of a row's T are valid; prompt rows come first, if any."""

    states: Float[Tensor, "B T D"]
    lengths: Int[Tensor, "B"]

    def select(self, rows: Int[Tensor, "R"]) -> "Encoded":
        """The given rows, repeated or reordered (beams, several prompts on one recording)."""
        return Encoded(self.states[rows], self.lengths[rows])


def valid_positions(lengths: Int[Tensor, "B"], size: int) -> Bool[Tensor, "B T"]:
    """True at the first `lengths[b]` of `size` positions."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


class Stack(nn.Module):
    """A transformer stack with its seams in the open.

    * `entry`: `(hidden (B, T, D), lengths (B,), offset) -> (hidden, lengths)`; adds the positions. `offset` counts
      the positions already in a decoder's cache (0 in an encoder, and in the first pass of a decoder).
    * `layers`: the model's own blocks, called with the hidden states as first positional argument.
    * `norm`: the final normalisation.
    """

    name: StackName
    entry: nn.Module
    layers: nn.ModuleList
    norm: nn.Module
    width: int

    def __init__(self, name: StackName, entry: nn.Module, layers: nn.ModuleList, norm: nn.Module, width: int) -> None:
        super().__init__()
        self.name = name
        self.entry = entry
        self.layers = layers
        self.norm = norm
        self.width = width


class Backbone(ABC):
    """A frozen speech model: its weights never receive a gradient and are never written to."""

    name: str
    """How the weights were asked for: 'tiny.en', a hub id, a path."""
    fingerprint: str
    """Digest of the weights; prompts record it and refuse another backbone."""
    stacks: dict[StackName, Stack]
    frontend: nn.Module
    """`(mel (B, M, T), lengths) -> (frames (B, T', D), lengths)`: everything before the first positions are added."""

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """All weights, as one module."""

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    @property
    def parameter_count(self) -> int:
        """Number of weights (tied ones counted once)."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @abstractmethod
    def features(self, audio: Sequence[np.ndarray], window_s: float | None = None) -> Features:
        """Mono 16 kHz waveforms to model inputs.

        `window_s=None`: as long as the longest of them, rounded up to a bucket; else padded with silence to that many
        seconds (30.0 is what Whisper was trained on).
        """

    @abstractmethod
    def encode(self, features: Features) -> Encoded:
        """Run the encoder. Padded rows give the same valid states as single ones."""

    def freeze(self) -> None:
        """Evaluation mode, no gradients into the weights."""
        self.module.eval().requires_grad_(False)
