"""What a study of speech in noise consists of: models to train, test sets to write, analyses to make of them."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from softspoken.errors import ConfigError
from softspoken.frozen import Frozen
from softspoken.noise.utterances import Split
from softspoken.recipes import STUDY_COMMANDS
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


class StudyConfig(Frozen):
    """One or more tables and figures of the second paper."""

    task: Literal["noise-study"] = "noise-study"
    models: dict[str, Path] = Field(min_length=1)
    """Name to the recipe that trains it, relative to this file."""
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
    seeds: int = Field(default=5, ge=1)
    """Random replacements."""

    @model_validator(mode="after")
    def _known_names(self) -> "StudyConfig":
        for name in (self.subject, *([self.baseline] if self.baseline is not None else [])):
            if name not in self.models:
                raise ValueError(f"no model '{name}' among {', '.join(self.models)}")
        if self.clean not in self.sets:
            raise ValueError(f"no set '{self.clean}' among {', '.join(self.sets)}")
        return self


def read_study(path: str | Path) -> StudyConfig:
    """A study from TOML. `common` names a file beside it whose values hold where this one gives none.

    Raises ConfigError in one line.
    """
    path = Path(path)
    values = study_values(path, TASK)
    try:
        found = StudyConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"study '{path}': {where}: {first['msg']}") from error
    return found.model_copy(update={"models": {name: path.parent / file for name, file in found.models.items()}})


def study_values(path: Path, task: str) -> dict[str, Any]:
    """What a study's file says, on top of what the file says that it names as `common`.

    Raises ConfigError in one line, also when it is a study of another kind.
    """
    values = _read(path)
    common = values.pop("common", None)
    if common is not None:
        values = {**_read(path.parent / str(common)), **values}
    if values.get("task", task) != task:
        known = STUDY_COMMANDS.get(str(values["task"]))
        advice = "train it with 'softspoken prompt train'" if known is None else f"run it with '{known}'"
        raise ConfigError(f"'{path}' has task = '{values['task']}', expected '{task}'; {advice}")
    return values


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"no study at '{path}'; see the folder 'recipes' for examples")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"study '{path}' is not TOML: {error}") from error
