"""Other prompts made of prompts: fewer of them, others in their place, several sets as rows of one batch.

Shapes: L layers, N prompt vectors, D width, K sets, B batch.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from softspoken.backbones.weights import StackName
from softspoken.errors import ConfigError
from softspoken.prompts.rows import PromptRows, StackRows


def vectors_of(rows: PromptRows, stack: StackName = "encoder") -> Float[Tensor, "L N D"]:
    """The prompt vectors of one stack. Raises ConfigError where it has none, or several sets of them."""
    part = _part(rows, stack)
    if part.rows.shape[1] != 1 or part.counts is not None:
        raise ConfigError(f"{part.rows.shape[1]} sets of {stack} prompts; expected a single, whole one")
    vectors: Tensor = part.rows[:, 0]
    return vectors


def with_vectors(
    rows: PromptRows, vectors: Float[Tensor, "L M D"] | None, stack: StackName = "encoder"
) -> PromptRows | None:
    """`rows` with other vectors in one stack; None takes all of that stack's away (None if nothing is left at all)."""
    part = _part(rows, stack)
    if vectors is None or vectors.shape[1] == 0:
        if part.shallow.shape[1]:
            empty = StackRows(part.shallow, part.rows[:1, :, :0])
            return _replaced(rows, stack, empty)
        left = _replaced(rows, stack, None)
        return None if (left.encoder, left.decoder, left.frames) == (None, None, None) else left
    return _replaced(rows, stack, StackRows(part.shallow, vectors[:, None]))


def as_sets(rows: PromptRows, variants: Sequence[Float[Tensor, "L _ D"]]) -> PromptRows:
    """Several sets of the encoder's vectors, of any sizes, as rows of one batch (`PromptedCTC.under_each`)."""
    part = _part(rows, "encoder")
    most = max(one.shape[1] for one in variants)
    # Rows behind a set's own are never seen.
    padded = torch.stack([F.pad(one, (0, 0, 0, most - one.shape[1])) for one in variants], dim=1)
    counts = torch.tensor([one.shape[1] for one in variants], device=padded.device)
    return _replaced(rows, "encoder", StackRows(part.shallow, padded, counts))


def leave_one_out(count: int) -> list[list[int]]:
    """All of `count` numbers, then all but the first, all but the second, ..."""
    everything = list(range(count))
    return [everything, *([other for other in everything if other != left_out] for left_out in everything)]


def repeated(rows: PromptRows, size: int) -> PromptRows:
    """Each of K sets for `size` rows of a batch, set by set: P becomes K * size."""
    part = _part(rows, "encoder")
    counts = part.counts if part.counts is not None else torch.full((part.rows.shape[1],), part.rows.shape[2])
    return _replaced(
        rows,
        "encoder",
        StackRows(part.shallow, part.rows.repeat_interleave(size, dim=1), counts.repeat_interleave(size)),
    )


def _part(rows: PromptRows, stack: StackName) -> StackRows:
    part = rows.encoder if stack == "encoder" else rows.decoder
    if part is None:
        raise ConfigError(f"these prompts have no {stack} vectors; choose another stack")
    return part


def _replaced(rows: PromptRows, stack: StackName, part: StackRows | None) -> PromptRows:
    return replace(rows, encoder=part) if stack == "encoder" else replace(rows, decoder=part)
