"""Prompts made concrete for some voices, as `inject` places them and engines compile them.

The arrays are PyTorch's while learning and numpy's while serving. Shapes: B batch, L layers, N prompt vectors, F
shallow vectors, D width, R vectors in a bank, P sets (1 for all rows of a batch, else B).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

from jaxtyping import Float, Int

from softspoken.prompts.config import Placement

Rows = TypeVar("Rows")


@dataclass(frozen=True)
class Bank:
    """The keyed vectors of frame prompts: `h + V gelu((K norm(h)) * gate + a c + b)`, with the activity a."""

    keys: Float[Any, "L P D R"]
    values: Float[Any, "L P R D"]
    gate: Float[Any, "L B R"]
    """1 + the voice's projection: which of the R keys this voice listens to."""
    bias: Float[Any, "L P R"]
    by_activity: Float[Any, "L P R"]


@dataclass(frozen=True)
class FrameRows:
    """What is added to the encoder's audio frames before each layer."""

    rest: Float[Any, "L P D"]
    active: Float[Any, "L P D"]
    bank: Bank | None = None
    mute_db: float = 0.0
    """How much quieter the encoder hears frames without the target."""


@dataclass(frozen=True)
class StackRows:
    """What one stack gets: shallow vectors, before the first layer alone, and rows overwritten before each layer."""

    shallow: Float[Any, "B F D"]
    """The projected voice (F is 0 or 1), before the first layer."""
    rows: Float[Any, "L P N D"]
    """Prompt vectors; L is 1 for depth `input`, else the number of layers."""
    counts: Int[Any, "P"] | None = None
    """How many of each set's N vectors are used; None: all. So sets of different lengths run as rows of one batch."""

    unattended: int = 0
    """How many of the first of `rows` the decoder sees nothing of: an enrolment clip, whose words nobody wants."""

    @property
    def slots(self) -> int:
        size: int = self.shallow.shape[1] + self.rows.shape[2]
        return size


@dataclass(frozen=True)
class PromptRows:
    """A set of prompts made concrete for a batch of voices."""

    encoder: StackRows | None
    decoder: StackRows | None
    frames: FrameRows | None
    placement: Placement


AXIS_OF_SETS = {"shallow": 0, "counts": 0}
"""Where the sets of a field lie; 1, behind the layers, unless it is named here."""


def converted(rows: Rows, change: Callable[[Any, int], Any]) -> Rows:
    """The same rows with `change(array, axis of its sets)` of every array in them."""
    found: dict[str, Any] = {}
    for field in fields(rows):  # type: ignore[arg-type]
        value = getattr(rows, field.name)
        if is_dataclass(value):
            value = converted(value, change)
        elif hasattr(value, "shape"):
            value = change(value, AXIS_OF_SETS.get(field.name, 1))
        found[field.name] = value
    return type(rows)(**found)
