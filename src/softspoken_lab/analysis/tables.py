"""Parts of all results: estimates, conditions, test sets, and how they become the rows of a table."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from softspoken.frozen import Frozen

Cell = str | int | float | None
Row = dict[str, Cell]
Number = Annotated[int, Field(ge=1)]
"""A prompt, counted from 1."""
BySet = dict[str, "Estimate"]


class Estimate(Frozen):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out zero (for differences)."""
        return not self.low <= 0.0 <= self.high


class SubjectInfo(Frozen):
    """What was analysed."""

    name: str
    kind: Literal["ctc", "target-speaker"]
    backbone: str
    prompts: int = Field(ge=0)
    """m: prompt vectors (slots, where they are deep)."""
    depth: Literal["input", "deep"] | None = None
    """None: no prompts."""
    stack: Literal["encoder", "decoder"] = "encoder"
    digest: str | None = None
    """Of the prompts' tensors."""


class SetInfo(Frozen):
    """A test set."""

    name: str
    utterances: int
    words: int
    sources: int
    """Different speech recordings: several noisy utterances may be made of one."""


class Condition(Frozen):
    """One row of a table of word error rates."""

    name: str
    """'frozen', 'full', 'content', 'noise', 'none', 'random', 'matched', 'shifted', ..."""
    prompts: tuple[Number, ...] = ()
    """The prompts in use."""
    wer: BySet
    """By test set."""
    difference: BySet | None = None
    """WER less that with the full prompts on the same utterances (paired); None: this is that row."""


class Analysis(Frozen):
    """What all results have."""

    subject: SubjectInfo
    sets: tuple[SetInfo, ...] = ()

    def rows(self) -> list[Row]:
        """The table or figure as rows, every number in a column of its own."""
        raise NotImplementedError


class Counts(Frozen):
    """Word errors of every utterance of a set under several variants: what differences are resampled from."""

    sources: tuple[str, ...]
    """Speech recording of each utterance."""
    words: tuple[int, ...]
    errors: tuple[tuple[int, ...], ...]
    """One row a variant, one column an utterance."""


def given(condition: Condition | None) -> list[Condition]:
    return [] if condition is None else [condition]


def estimate_columns(name: str, estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def condition_rows(conditions: Sequence[Condition]) -> list[Row]:
    return [
        {
            "condition": condition.name,
            "prompts": len(condition.prompts),
            "set": name,
            **estimate_columns("wer", wer),
            **estimate_columns("difference", None if condition.difference is None else condition.difference[name]),
        }
        for condition in conditions
        for name, wer in condition.wer.items()
    ]


def even(rows: list[Row]) -> list[Row]:
    """All rows with all columns, in the order in which they first appear."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return [{column: row.get(column) for column in columns} for row in rows]
