"""What a study of target-speaker prompts consists of: rows to train with several seeds, rivals, and tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from softspoken.errors import ConfigError
from softspoken.frozen import Frozen
from softspoken_lab.studies.noise_study_config import invalid, row_of, study_values
from softspoken_lab.studies.scoring import TestManifest

TASK = "target-speaker-study"


class StudyRow(Frozen):
    """A configuration."""

    recipe: str
    """What trains it: in a file, the row itself."""
    seeds: tuple[int, ...] = ()
    """None given: the study's."""


class StudyTest(Frozen):
    """A test set."""

    manifest: Path
    """Relative to the working directory, as data in recipes."""
    limit: int | None = Field(default=None, ge=1)
    """Only its first items."""


class PromptStudyConfig(Frozen):
    """One table: rows times seeds, scored on every test."""

    task: Literal["target-speaker-study"] = "target-speaker-study"
    rows: dict[str, StudyRow] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    tests: dict[str, StudyTest] = Field(min_length=1)
    """Name to a manifest, or to a table with `manifest` and `limit`."""
    rivals: tuple[str, ...] = ()
    """Systems that are not trained here, as `softspoken evaluate --method` names them: 'none', 'cascade', ..."""
    baseline: str | None = None
    """Row or rival that the others are compared with; None: the first row."""

    @field_validator("tests", mode="before")
    @classmethod
    def _manifest_alone(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {name: {"manifest": entry} if isinstance(entry, str | Path) else entry for name, entry in value.items()}

    @model_validator(mode="after")
    def _possible(self) -> "PromptStudyConfig":
        for name in (*self.rows, *self.tests):
            if not name or name != Path(name).name or name.startswith("."):
                raise ValueError(f"'{name}' cannot be the name of a folder")
        for name in set(self.rows) & set(self.rivals):
            raise ValueError(f"'{name}' is both a row and a rival")
        for seeds in (self.seeds, *(row.seeds for row in self.rows.values())):
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"seeds {list(seeds)}: the same one twice")
        if self.baseline is not None and self.baseline not in (*self.rows, *self.rivals):
            raise ValueError(f"no row or rival '{self.baseline}' among {', '.join((*self.rows, *self.rivals))}")
        return self

    def narrowed(self, only: Sequence[str], seeds: tuple[int, ...]) -> "PromptStudyConfig":
        """Only these rows and rivals, with these seeds; none given: all. Raises ConfigError for unknown rows."""
        for name in only:
            if name not in self.rows and name not in self.rivals:
                raise ConfigError(f"no row '{name}' in the study; it has {', '.join((*self.rows, *self.rivals))}")
        rows = {name: row for name, row in self.rows.items() if not only or name in only}
        if seeds:
            rows = {name: row.model_copy(update={"seeds": seeds}) for name, row in rows.items()}
        rivals = tuple(name for name in self.rivals if not only or name in only)
        baseline = self.baseline if self.baseline in (*rows, *rivals) else None
        return self.model_copy(update={"rows": rows, "rivals": rivals, "baseline": baseline})

    def runs(self) -> list[tuple[int, str]]:
        """Seed and row of every run: the first seed of all rows first, so that there is a whole table early."""
        of_row = {name: row.seeds if row.seeds else self.seeds for name, row in self.rows.items()}
        most = max((len(seeds) for seeds in of_row.values()), default=0)
        return [(seeds[n], name) for n in range(most) for name, seeds in of_row.items() if n < len(seeds)]

    def manifests(self) -> list[TestManifest]:
        """The tests, for scoring."""
        return [TestManifest(name, test.manifest, test.limit) for name, test in self.tests.items()]


def read_prompt_study(path: str | Path) -> PromptStudyConfig:
    """A study from TOML; a row is a recipe, and may have `seeds`. Raises ConfigError in one line."""
    path = Path(path)
    values, rows = study_values(path, TASK)
    found = {name: {"recipe": row_of(path, name), "seeds": row.get("seeds", ())} for name, row in rows.items()}
    try:
        return PromptStudyConfig.model_validate({**values, "rows": found})
    except ValidationError as error:
        raise invalid(path, error) from error
