"""What a study of speech in noise consists of: models to train, test sets to write, analyses to make of them."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from softspoken.errors import ConfigError
from softspoken.frozen import Frozen
from softspoken.training.recipes import STUDY_COMMANDS, RecipeReference, rows_of
from softspoken_lab.noise.testsets import Split
from softspoken_lab.report.plan import Stage

TASK = "noise-study"


class NoiseSource(Frozen):
    """Noise recordings: a manifest or a folder, of a split."""

    path: Path
    split: str | None = None
    categories: tuple[str, ...] = ()
    """Only these; none given: all."""


class SetSource(Frozen):
    """Test utterances: a split of a speech manifest as it is or, with `noise`, a noisy test set made of it."""

    speech: Path
    split: Split = "test"
    corpora: tuple[str, ...] = ()
    """Only these; none given: all."""
    limit: int | None = Field(default=None, ge=1)
    """At most so many utterances, evenly; for noisy sets `per_condition` says how many."""
    noise: NoiseSource | None = None
    per_condition: int = Field(default=120, ge=1)
    """Utterances for each kind of noise and level, as many as in the paper."""
    snr_db: tuple[float, ...] = (0.0, 5.0, 10.0, 15.0, 20.0)
    draw: Literal["grid", "uniform"] = "grid"


class StudyPart(Frozen):
    """A table or figure of its own."""

    stages: tuple[Stage, ...] = Field(min_length=1)
    """Only these analyses and what they need."""
    subject: str | None = None
    """None: the study's."""


class StudyConfig(Frozen):
    """The tables and figures of the second paper."""

    task: Literal["noise-study"] = "noise-study"
    models: dict[str, str] = Field(min_length=1)
    """Name to the recipe that trains it: in a file, the rows."""
    subject: str
    """Whose prompts are taken apart."""
    baseline: str | None = None
    """The one without prompts."""
    sets: dict[str, SetSource] = Field(min_length=1)
    clean: str
    """The set whose leave-one-out curve tells content from noise, and to which the probe adds noise."""
    probe_noise: NoiseSource | None = None
    shift_noise: NoiseSource | None = None
    shift_sets: dict[str, SetSource] = Field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    """Only these analyses and what they need; none given: all."""
    parts: dict[str, StudyPart] = Field(default_factory=dict)
    """What can be made alone, by name."""
    seeds: int = Field(default=5, ge=1)
    """Random replacements."""

    @model_validator(mode="after")
    def _known_names(self) -> "StudyConfig":
        subjects = (self.subject, self.baseline, *(part.subject for part in self.parts.values()))
        for name in subjects:
            if name is not None and name not in self.models:
                raise ValueError(f"no model '{name}' among {', '.join(self.models)}")
        if self.clean not in self.sets:
            raise ValueError(f"no set '{self.clean}' among {', '.join(self.sets)}")
        return self

    def part(self, name: str) -> "StudyConfig":
        """The study of one of its parts alone. Raises ConfigError for an unknown one."""
        part = self.parts.get(name)
        if part is None:
            known = ", ".join(self.parts) if self.parts else "none"
            raise ConfigError(f"no part '{name}' in the study; it has {known}")
        subject = self.subject if part.subject is None else part.subject
        return self.model_copy(update={"subject": subject, "stages": part.stages})


def read_study(path: str | Path) -> StudyConfig:
    """A study from TOML; its rows are the models. Raises ConfigError in one line."""
    path = Path(path)
    values, rows = study_values(path, TASK)
    try:
        return StudyConfig.model_validate({**values, "models": {name: row_of(path, name) for name in rows}})
    except ValidationError as error:
        raise invalid(path, error) from error


def study_values(path: Path, task: str) -> tuple[dict[str, Any], dict[str, Mapping[str, Any]]]:
    """What a study's file says of the study itself, and its rows, which are recipes.

    Raises ConfigError in one line, also when it is a study of another kind.
    """
    values = _read(path)
    if values.get("task", task) != task:
        known = STUDY_COMMANDS.get(str(values["task"]))
        advice = "train it with 'softspoken-lab train'" if known is None else f"run it with '{known}'"
        raise ConfigError(f"'{path}' has task = '{values['task']}', expected '{task}'; {advice}")
    rows = rows_of(values, path)
    return {key: value for key, value in values.items() if key not in ("base", "rows")}, rows


def row_of(path: Path, name: str) -> str:
    """The reference of a row of a study, for `read_recipe`."""
    return str(RecipeReference(path, name))


def invalid(path: Path, error: ValidationError) -> ConfigError:
    """The first thing that is wrong with a study, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return ConfigError(f"study '{path}': {where}: {first['msg']}")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"no study at '{path}'; see the folder 'recipes' for examples")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"study '{path}' is not TOML: {error}") from error
