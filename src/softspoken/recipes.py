"""Recipes, whatever they train: read one, train by it, tell what a run trains."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from softspoken.errors import ConfigError
from softspoken.training.config import CONFIG, TrainConfig
from softspoken.training.recipe_files import RecipeReference, line_of, recipe_values

if TYPE_CHECKING:
    from softspoken.noise.config import NoiseTrainConfig

    Recipe = TrainConfig | NoiseTrainConfig


def read_recipe(reference: str | Path, overrides: dict[str, Any] | None = None) -> "Recipe":
    """The run that `FILE.toml` or `FILE.toml:ROW` describes; its `task` says which kind, `target-speaker` by default.

    What a file with rows looks like: `softspoken.training.recipe_files`. Relative data paths count from the working
    directory. Raises ConfigError in one line.
    """
    try:
        return recipe_of({**recipe_values(reference), **(overrides if overrides is not None else {})})
    except ValidationError as error:
        raise ConfigError(f"recipe '{reference}': {'; '.join(_problems(error, reference))}") from error


def _problems(error: ValidationError, reference: str | Path) -> list[str]:
    """Every wrong value and every unknown key, each with its place."""
    found = []
    for one in error.errors():
        place = line_of(reference, [str(part) for part in one["loc"]])
        message = "is no key of a recipe" if one["type"] == "extra_forbidden" else one["msg"]
        found.append(f"{'.'.join(str(part) for part in one['loc'])} {message}{'' if place is None else f' ({place})'}")
    return found


def recipe_of(values: Mapping[str, Any]) -> "Recipe":
    """A recipe from its values, validated."""
    if values.get("task") != "noise":
        return TrainConfig.model_validate(values)
    from softspoken.noise.config import NoiseTrainConfig

    return NoiseTrainConfig.model_validate(values)


def recipe_text(reference: str | Path) -> str:
    """A recipe as it is written, with the ones that it extends below it, as comments; of a row, with its whole file."""
    path, row = RecipeReference.of(reference)
    text = _with_extended(path)
    return text if row is None else _above(f'extends = "{path.name}:{row}"', path.name, text)


def _with_extended(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    document = tomllib.loads(text)
    base = document.get("extends", document.get("base", {}).get("extends"))
    if base is None:
        return text
    return _above(text, str(base), _with_extended(RecipeReference.of(path.parent / str(base)).path))


def _above(text: str, name: str, below: str) -> str:
    """`text` with another one, called `name`, below it, as comments."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in [f"{name}:", *below.splitlines()])
    return f"{text.rstrip()}\n\n{comment}"


def run_recipe(
    config: "Recipe", out: Path, stop_after_s: float | None = None, recipe: str | None = None
) -> Path | None:
    """Train by `config` in `out`; the folder of the result, or None when it stopped early because the time was up.

    `recipe`: the text that `config` was read from, for the run's folder. Raises ConfigError when `out` holds another
    recipe's run.
    """
    if isinstance(config, TrainConfig):
        from softspoken.training.run import run_training

        return run_training(config, out, stop_after_s, recipe)
    from softspoken.noise.training import run_noise_training

    return run_noise_training(config, out, stop_after_s, recipe)


def task_of(run: Path) -> Literal["target-speaker", "noise"]:
    """What a run trains. Raises ConfigError when there is no run in that folder."""
    try:
        found = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"no training run in '{run}'; train first, or wait for its first save") from error
    return "noise" if found.get("task") == "noise" else "target-speaker"
