"""What each analysis finds: plain numbers, frozen, to JSON and back; `rows()` is the same as a table (for CSV).

Word error rates and accuracies are shares (0.066 is 6.6 %). Prompts are numbered from 1, as in the paper ("Soft prompts
as zero-shot learners", arXiv 2309.09413). Intervals are 95 %; those of word error rates resample the speech sources.
"""

from typing import Annotated, Literal

from pydantic import Field

from softspoken.analysis.tables import (
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
from softspoken.prompts.config import Frozen

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


class ClusterSpace(Frozen):
    """Figure 2 for one set of vectors: of a layer, or of all layers side by side."""

    name: str
    """'input', 'layer 1', ..., 'all layers'."""
    silhouette: dict[int, float]
    """By number of clusters."""
    k: int
    """The one with the highest silhouette."""
    labels: tuple[int, ...]
    """Cluster of each prompt, from 0; cluster 0 is that of prompt 1."""
    points: tuple[tuple[float, float], ...]
    """t-SNE of the vectors, one a prompt."""
    perplexity: float
    p_value: float
    """Share of Gaussian clouds of the same covariance with a silhouette at least as high: small where there are
    clusters, large where any cloud would do (not in the paper)."""
    norms: tuple[float, ...]
    """Length of each vector."""


class ClusterResult(Analysis):
    """Figure 2: K-means and t-SNE of the prompt vectors."""

    kind: Literal["clusters"] = "clusters"
    spaces: tuple[ClusterSpace, ...]
    """One for `input` prompts; for deep ones first all layers side by side, then each layer."""
    seed: int

    @property
    def whole(self) -> ClusterSpace:
        """The vectors of all layers together."""
        return self.spaces[0]

    def rows(self) -> list[Row]:
        return [
            {
                "vectors": space.name,
                "prompt": number,
                "cluster": label,
                "x": x,
                "y": y,
                "norm": norm,
                "k": space.k,
                "silhouette": space.silhouette[space.k],
                "p_value": space.p_value,
            }
            for space in self.spaces
            for number, (label, (x, y), norm) in enumerate(
                zip(space.labels, space.points, space.norms, strict=True), start=1
            )
        ]


class RoleSplit(Frozen):
    """The content set (set 1 of the paper) and the noise set (set 2)."""

    by: Literal["curve", "clusters", "given"]
    content: tuple[Number, ...]
    noise: tuple[Number, ...]
    certainty: tuple[float, ...] | None = None
    """For each prompt, the share of resampled test sets in which it is on the same side; None: not resampled."""


class Agreement(Frozen):
    """How far two splits agree."""

    adjusted_rand: float
    """1: the same; 0: as far as chance would."""
    p_value: float
    """Share of random relabellings that agree at least as much."""
    share: float
    """Share of the prompts with the same role in both."""


class RolesResult(Analysis):
    """Which prompts refine content and which carry noise (section 3.2)."""

    kind: Literal["roles"] = "roles"
    clean: str
    """The set whose leave-one-out curve decided."""
    deltas: tuple[Estimate, ...]
    """WER on it without each prompt, less that with all."""
    threshold: float
    """Prompts with a greater delta are content."""
    separation: float
    """Share of the deltas' variance that lies between the two sets (Otsu); any curve has some."""
    curve: RoleSplit
    clusters: RoleSplit | None = None
    """None where clusters were not asked for, or there are too few prompts for them."""
    agreement: Agreement | None = None

    def chosen(self, by: Literal["curve", "clusters"] = "curve") -> RoleSplit:
        """One of the two; the curve where there are no clusters."""
        return self.clusters if by == "clusters" and self.clusters is not None else self.curve

    def rows(self) -> list[Row]:
        def role(split: RoleSplit | None, number: int) -> Cell:
            return None if split is None else "content" if number in split.content else "noise"

        certainty = self.curve.certainty if self.curve.certainty is not None else (None,) * len(self.deltas)
        return [
            {
                "prompt": number,
                **estimate_columns("delta", delta),
                "by_curve": role(self.curve, number),
                "certainty": sure,
                "by_clusters": role(self.clusters, number),
            }
            for number, (delta, sure) in enumerate(zip(self.deltas, certainty, strict=True), start=1)
        ]


class SubsetsResult(Analysis):
    """Table 2: all prompts, the content set alone, the noise set alone, none."""

    kind: Literal["subsets"] = "subsets"
    split: RoleSplit
    conditions: tuple[Condition, ...]
    """'full', 'content', 'noise', 'none'."""

    def rows(self) -> list[Row]:
        return condition_rows(self.conditions)


class ProbeRow(Frozen):
    """How well the noise type can be told from pooled states under some prompts: one box of figures 1 and 4."""

    name: str
    """'full', 'content', 'noise', 'none', 'frozen'."""
    prompts: tuple[Number, ...] = ()
    folds: tuple[float, ...]
    """Accuracy on each held-out part."""
    accuracy: Estimate
    """Mean over folds; the interval resamples noise recordings."""
    difference: Estimate | None = None
    """Accuracy less that without prompts on the same examples; None: this is that row."""
    confusion: tuple[tuple[int, ...], ...]
    """Examples by true (row) and told (column) type."""


class ProbeResult(Analysis):
    """Figures 1 and 4."""

    kind: Literal["probe"] = "probe"
    types: tuple[str, ...]
    left_out: dict[str, str]
    """Types that are not in it, and why."""
    fold_count: int
    examples: int
    noise_recordings: int
    speech_recordings: int
    snr_db: tuple[float, ...]
    conditions: tuple[ProbeRow, ...]
    chance: float
    """Accuracy of always saying the most frequent type."""
    permuted: tuple[float, ...]
    """Accuracies with the types of noise recordings shuffled: what a probe gets where nothing is to be found."""
    seed: int

    def rows(self) -> list[Row]:
        return [
            {
                "condition": row.name,
                "prompts": len(row.prompts),
                "fold": number,
                "fold_accuracy": fold,
                **estimate_columns("accuracy", row.accuracy),
                **estimate_columns("difference", row.difference),
                "chance": self.chance,
            }
            for row in self.conditions
            for number, fold in enumerate(row.folds, start=1)
        ]


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


class NoiseFile(Frozen):
    """A noise recording that shaped a prompt."""

    name: str
    sha256: str
    duration_s: float


class ShiftInfo(Frozen):
    """How prompts were shifted: P* = [P_content, P_noise * v] (section 3.3)."""

    noise_prompts: tuple[Number, ...]
    representation: Literal["output", "input"]
    """`output`: the encoder's last layer; `input`: what enters the layer of the prompts."""
    scale: Literal["paper", "unit"]
    """`paper`: v as it is; `unit`: v divided by its root mean square (beyond the paper)."""
    level_dbfs: float | None = None
    """Level that all recordings were brought to; None: as they are."""
    files: tuple[NoiseFile, ...]
    v_rms: tuple[float, ...]
    """Root mean square of v before scaling, one a layer of prompts."""
    v_mean: tuple[float, ...]
    norm_ratio: float
    """Mean length of the shifted vectors over that of the originals."""


class ShiftResult(Analysis):
    """Table 4: the frozen baseline, the prompts, and the shifted prompts in noise never heard in training."""

    kind: Literal["shift"] = "shift"
    frozen: Condition | None = None
    full: Condition
    shifted: tuple[Condition, ...]
    """One a way of shifting."""
    shifts: tuple[ShiftInfo, ...]
    """How each of `shifted` was made, in the same order."""
    split: RoleSplit

    def rows(self) -> list[Row]:
        return condition_rows([*given(self.frozen), self.full, *self.shifted])


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
