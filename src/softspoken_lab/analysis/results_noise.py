"""What is found about noise in the states and about shifted prompts; see `results`, which has all results by name."""

from typing import Literal

from softspoken.frozen import Frozen
from softspoken_lab.analysis.results_roles import RoleSplit
from softspoken_lab.analysis.tables import (
    Analysis,
    Condition,
    Estimate,
    Number,
    Row,
    condition_rows,
    estimate_columns,
    given,
)


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
