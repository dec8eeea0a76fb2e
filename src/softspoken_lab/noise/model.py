"""A prompted encoder with a CTC head: what is trained for speech in noise ("Soft prompts as zero-shot learners", 2.1).

Shapes: B batch, T audio frames, L layers, D width, C symbols of the dictionary, K sets of prompts.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from softspoken.backbones.base import Backbone, EncodedLayers, Features, valid_positions
from softspoken.prompts.config import Placement
from softspoken.prompts.injection import inject, used_slots
from softspoken.prompts.modules import SoftPrompts
from softspoken.prompts.rows import PromptRows
from softspoken_lab.noise.head import CTCHead
from softspoken_lab.prompts.variants import repeated


class PromptedCTC(nn.Module):
    """Prompts (none for the frozen baseline) and the head. The frozen backbone is given with each call.

    The head hears the audio's frames alone: prompts act on them through the encoder's attention, and their own rows
    are taken out again.
    """

    def __init__(self, prompts: SoftPrompts | None, head: CTCHead) -> None:
        super().__init__()
        self.prompts = prompts
        self.head = head

    def rows(self) -> PromptRows | None:
        """The prompts' rows; None where there are no prompts."""
        rows: PromptRows | None = self.prompts() if self.prompts is not None else None
        return rows

    def forward(
        self, backbone: Backbone, heard: Features | EncodedLayers
    ) -> tuple[Float[Tensor, "B T C"], Int[Tensor, "B"]]:
        """Log-probabilities of the dictionary's symbols and valid steps of the head, with these prompts.

        `heard`: states are taken as they are, as those of an encoder that has done its part.
        """
        if isinstance(heard, EncodedLayers):
            log_probs, lengths = self.head(heard.states, heard.lengths)
            return log_probs, lengths
        return self.under(self.rows(), backbone, heard)

    def under(
        self, rows: PromptRows | None, backbone: Backbone, features: Features
    ) -> tuple[Float[Tensor, "B T C"], Int[Tensor, "B"]]:
        """`forward` with other prompts than its own, or with none."""
        found = prompted_states(backbone, features, rows)
        log_probs, lengths = self.head(found.states, found.lengths)
        return log_probs, lengths

    def under_each(
        self, rows: PromptRows, backbone: Backbone, features: Features
    ) -> tuple[Float[Tensor, "K B T C"], Int[Tensor, "B"]]:
        """`under` for each of K sets of prompts (P = K in `rows`), as rows of one batch.

        What does not depend on prompts (front end, positions) is computed once.
        """
        assert rows.encoder is not None
        sets, size = rows.encoder.rows.shape[1], features.lengths.shape[0]
        with entering_once(backbone, sets):
            found = prompted_states(backbone, features, repeated(rows, size))
        log_probs, lengths = self.head(found.states, found.lengths)
        return log_probs.reshape(sets, size, *log_probs.shape[1:]), lengths[:size]


def prompted_states(backbone: Backbone, features: Features, rows: PromptRows | None) -> EncodedLayers:
    """The audio frames' states in every layer, under `rows` (None: as the frozen backbone has them)."""
    with inject(backbone, rows) if rows is not None else nullcontext():
        found = backbone.encode_layers(features)
    if rows is None or rows.encoder is None:
        return found
    counts = used_slots(rows.encoder, found.lengths.shape[0]).to(found.lengths.device)
    frames = found.states[0].shape[1] - rows.encoder.slots
    audio = tuple(audio_frames(states, frames, rows.placement, counts) for states in found.states)
    return EncodedLayers(audio, found.lengths - counts)


def audio_frames(
    states: Float[Tensor, "B S D"], frames: int, placement: Placement, counts: Int[Tensor, "B"]
) -> Float[Tensor, "B T D"]:
    """The T = `frames` audio frames among encoder states; behind each row's valid ones stands whatever stood there."""
    if placement == "appended":
        return states[:, :frames]
    index = (torch.arange(frames, device=states.device)[None] + counts[:, None]).clamp(max=states.shape[1] - 1)
    return states.gather(1, index[:, :, None].expand(-1, -1, states.shape[-1]))


def mean_pooled(states: Float[Tensor, "B T D"], lengths: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
    """Mean over each row's valid frames."""
    valid = valid_positions(lengths, states.shape[1])[:, :, None]
    return (states * valid).sum(dim=1) / lengths[:, None].to(states.dtype)


@contextmanager
def entering_once(backbone: Backbone, times: int) -> Iterator[None]:
    """Inside this context, a batch is repeated `times` times (set by set) behind the encoder's front end and positions.

    Enter it before prompts are injected, so that these see the repeated batch.
    """

    def repeat(module: nn.Module, args: object, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        hidden, lengths = output
        return hidden.repeat(times, 1, 1), lengths.repeat(times)

    with ExitStack() as hooks:
        hooks.callback(backbone.stacks["encoder"].entry.register_forward_hook(repeat).remove)
        yield
