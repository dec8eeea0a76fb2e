"""What every frozen model offers: features, encode, decode, and stacks whose seams others may attach to.

A backbone never knows that prompts exist. It is built from small modules (`Stack`), and whoever wants
to change what flows through them hooks those modules from outside (see `softspoken.prompts.injection`).
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from softspoken.backbones.weights import StackName
from softspoken.errors import BackboneError


@dataclass(frozen=True)
class Features:
    """A batch of model inputs and how many of a row's T are valid.

    `values`: log-mel (B, M mels, T frames of 10 ms), or waveforms as one channel (B, 1, T samples).
    """

    values: Float[Tensor, "B M T"]
    lengths: Int[Tensor, "B"]


@dataclass(frozen=True)
class Encoded:
    """Encoder states (B, T frames of 20 ms, D) and how many of a row's T are valid; prompt rows come first, if any."""

    states: Float[Tensor, "B T D"]
    lengths: Int[Tensor, "B"]

    @property
    def rows(self) -> int:
        """B."""
        return int(self.states.shape[0])

    def select(self, rows: Int[Tensor, "R"]) -> "Encoded":
        """The given rows, repeated or reordered (beams, several prompts on one recording)."""
        return Encoded(self.states[rows], self.lengths[rows])


@dataclass(frozen=True)
class EncodedLayers:
    """The input of the encoder's first layer and the output of each of its L layers: 1 + L states (B, T, D)."""

    states: tuple[Float[Tensor, "B T D"], ...]
    lengths: Int[Tensor, "B"]

    @property
    def last(self) -> Encoded:
        """The encoder's output."""
        return Encoded(self.states[-1], self.lengths)


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
    inputs_per_frame: int | None = None
    """Inputs that make one encoder position, where empty ones in front of the audio just move it to later positions
    (Whisper's log-mel: 2); None where they would change what is heard."""
    frontend: nn.Module
    """`(values (B, M, T), lengths) -> (frames (B, T', D), lengths)`: all that comes before the positions."""

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """All weights, as one module."""

    @property
    def width(self) -> int:
        """D."""
        return self.stacks["encoder"].width

    @property
    def layers(self) -> dict[StackName, int]:
        """How many layers each stack has."""
        return {name: len(stack.layers) for name, stack in self.stacks.items()}

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
    def embed_audio(self, features: Features) -> Encoded:
        """Front end and `entry` of the encoder: what its first layer sees."""

    @abstractmethod
    def layer_states(self, entered: Encoded) -> Iterator[Float[Tensor, "B T D"]]:
        """The output of each encoder layer in turn; that of the last one is normalised."""

    def encode(self, features: Features) -> Encoded:
        """The encoder's output. Padded rows give the same valid states as single ones."""
        entered = self.embed_audio(features)
        # Only the last one is kept: the states of all layers of a large model are large.
        (states,) = deque(self.layer_states(entered), maxlen=1)
        return Encoded(states, entered.lengths)

    def encode_layers(self, features: Features) -> EncodedLayers:
        """Run the encoder and keep the states of every layer."""
        entered = self.embed_audio(features)
        return EncodedLayers((entered.states, *self.layer_states(entered)), entered.lengths)

    def decoder_opening(self) -> Float[Tensor, "1 1 D"]:
        """Embedding, without position, of the token that stands before a decoder's prompts."""
        raise BackboneError(f"backbone '{self.name}' has no decoder; use prompts for its encoder alone")

    def freeze(self) -> None:
        """Evaluation mode, no gradients into the weights."""
        self.module.eval().requires_grad_(False)
