"""What each analysis finds: plain numbers, frozen, to JSON and back; `rows()` is the same as a table (for CSV).

Word error rates and accuracies are shares (0.066 is 6.6 %). Prompts are numbered from 1, as in the paper ("Soft prompts
as zero-shot learners", arXiv 2309.09413). Intervals are 95 %; those of word error rates resample the speech sources.
"""

from typing import Annotated, Literal

from pydantic import Field

from softspoken.frozen import Frozen
from softspoken_lab.analysis.results_noise import NoiseFile, ProbeResult, ProbeRow, ShiftInfo, ShiftResult
from softspoken_lab.analysis.results_roles import Agreement, ClusterResult, ClusterSpace, RoleSplit, RolesResult
from softspoken_lab.analysis.tables import (
    Analysis,
    BySet,
    Cell,
    Condition,
    Counts,
    Estimate,
    Number,
    Row,
    SetInfo,
    SubjectInfo,
    condition_rows,
    estimate_columns,
    even,
    given,
)

__all__ = [
    "Agreement",
    "Analysis",
    "AnyResult",
    "Cell",
    "ClusterResult",
    "ClusterSpace",
    "Condition",
    "Counts",
    "Estimate",
    "LeaveOneOutResult",
    "LeftOut",
    "NoiseFile",
    "ProbeResult",
    "ProbeRow",
    "RandomPrompts",
    "RemovalResult",
    "ReplacementResult",
    "RoleSplit",
    "RolesResult",
    "Row",
    "SetInfo",
    "ShiftInfo",
    "ShiftResult",
    "SubjectInfo",
    "SubsetsResult",
]


class RandomPrompts(Condition):
    """Noise in place of the prompts, by several seeds. `wer` is the mean over seeds."""

    seeds: tuple[int, ...]
    by_seed: dict[str, tuple[float, ...]]
    """WER by set, one a seed."""
    spread: dict[str, float]
    """Standard deviation over seeds (0 for a single one)."""


class ReplacementResult(Analysis):
    """Table 1: the prompts, and random vectors in their place."""

    kind: Literal["replacement"] = "replacement"
    frozen: Condition | None = None
    """A baseline trained without prompts, where one was given."""
    full: Condition
    random: tuple[RandomPrompts, ...]
    """'random': standard normal (the paper's); 'matched': as long as the vectors they replace (beyond the paper)."""

    def rows(self) -> list[Row]:
        table = condition_rows([*given(self.frozen), self.full, *self.random])
        for entry in self.random:
            for name, rates in entry.by_seed.items():
                table += [
                    {"condition": f"{entry.name}, seed {seed}", "prompts": len(entry.prompts), "set": name, "wer": wer}
                    for seed, wer in zip(entry.seeds, rates, strict=True)
                ]
        return even(table)


class LeftOut(Frozen):
    """One prompt left out."""

    number: Number
    wer: BySet
    difference: BySet
    """WER without it less that with all (paired): above zero where it helped."""


class LeaveOneOutResult(Analysis):
    """Figure 3."""

    kind: Literal["leave-one-out"] = "leave-one-out"
    full: Condition
    left_out: tuple[LeftOut, ...]
    counts: dict[str, Counts]
    """By set; variant 0 is the full prompts, variant i is without prompt i."""

    def rows(self) -> list[Row]:
        table: list[Row] = [
            {"left_out": None, "set": name, **estimate_columns("wer", wer), **estimate_columns("difference", None)}
            for name, wer in self.full.wer.items()
        ]
        for entry in self.left_out:
            table += [
                {
                    "left_out": entry.number,
                    "set": name,
                    **estimate_columns("wer", wer),
                    **estimate_columns("difference", entry.difference[name]),
                }
                for name, wer in entry.wer.items()
            ]
        return table


class SubsetsResult(Analysis):
    """Table 2: all prompts, the content set alone, the noise set alone, none."""

    kind: Literal["subsets"] = "subsets"
    split: RoleSplit
    conditions: tuple[Condition, ...]
    """'full', 'content', 'noise', 'none'."""

    def rows(self) -> list[Row]:
        return condition_rows(self.conditions)


class RemovalResult(Analysis):
    """Table 3: all prompts removed at inference."""

    kind: Literal["removal"] = "removal"
    frozen: Condition | None = None
    """A baseline trained without prompts, where one was given."""
    full: Condition
    none: Condition
    none_against_frozen: BySet | None = None
    """WER without the prompts less that of the frozen baseline (paired)."""
    full_against_frozen: BySet | None = None

    def rows(self) -> list[Row]:
        return condition_rows([*given(self.frozen), self.full, self.none])


AnyResult = Annotated[
    ReplacementResult
    | LeaveOneOutResult
    | ClusterResult
    | RolesResult
    | SubsetsResult
    | ProbeResult
    | RemovalResult
    | ShiftResult,
    Field(discriminator="kind"),
]
"""Any of them, told apart by `kind`."""
