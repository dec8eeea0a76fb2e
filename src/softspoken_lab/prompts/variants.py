"""Other prompts made of prompts: fewer of them, noise in their place, several sets as rows of one batch.

Shapes: L layers, N prompt vectors, D width, K sets, B batch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
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


def keep(rows: PromptRows, indices: Sequence[int], stack: StackName = "encoder") -> PromptRows | None:
    """Only the vectors of these numbers (0-based), in every layer; see `with_vectors`."""
    return with_vectors(rows, vectors_of(rows, stack)[:, list(indices)], stack)


def keep_each(rows: PromptRows, sets: Sequence[Sequence[int]]) -> PromptRows:
    """K sets of the encoder's vectors, given by number, as rows of one batch; they may be of different sizes."""
    vectors = vectors_of(rows)
    part = _part(rows, "encoder")
    most = max(len(indices) for indices in sets)
    # Rows behind a set's own are never seen; any vector may stand there.
    padded = [[*indices, *([0] * (most - len(indices)))] for indices in sets]
    index = torch.tensor(padded, dtype=torch.long, device=vectors.device)
    counts = torch.tensor([len(indices) for indices in sets], device=vectors.device)
    return _replaced(rows, "encoder", StackRows(part.shallow, vectors[:, index], counts))


def leave_one_out(count: int) -> list[list[int]]:
    """All of `count` numbers, then all but the first, all but the second, ..."""
    everything = list(range(count))
    return [everything, *([other for other in everything if other != left_out] for left_out in everything)]


def randomised(rows: PromptRows, generator: torch.Generator, stack: StackName = "encoder") -> PromptRows:
    """Standard normal noise in place of the vectors (the paper's table 1)."""
    vectors = vectors_of(rows, stack)
    noise = torch.randn(vectors.shape, generator=generator).to(vectors)
    changed = with_vectors(rows, noise, stack)
    assert changed is not None
    return changed


def repeated(rows: PromptRows, size: int) -> PromptRows:
    """Each of K sets for `size` rows of a batch, set by set: P becomes K * size."""
    part = _part(rows, "encoder")
    counts = part.counts if part.counts is not None else torch.full((part.rows.shape[1],), part.rows.shape[2])
    return _replaced(
        rows,
        "encoder",
        StackRows(part.shallow, part.rows.repeat_interleave(size, dim=1), counts.repeat_interleave(size)),
    )


def check_indices(indices: Iterable[int], count: int) -> list[int]:
    """Prompt numbers, sorted, without repetition. Raises ConfigError for one that does not exist."""
    chosen = sorted(set(indices))
    for index in chosen:
        if not 0 <= index < count:
            raise ConfigError(f"no prompt number {index}; there are {count}, numbered from 0")
    return chosen


def _part(rows: PromptRows, stack: StackName) -> StackRows:
    part = rows.encoder if stack == "encoder" else rows.decoder
    if part is None:
        raise ConfigError(f"these prompts have no {stack} vectors; choose another stack")
    return part


def _replaced(rows: PromptRows, stack: StackName, part: StackRows | None) -> PromptRows:
    return replace(rows, encoder=part) if stack == "encoder" else replace(rows, decoder=part)
