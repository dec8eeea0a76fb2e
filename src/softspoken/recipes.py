"""Recipes, whatever they train: read one, train by it, tell what a run trains."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from softspoken.errors import ConfigError
from softspoken.noise.config import NoiseTrainConfig
from softspoken.training.config import TrainConfig
from softspoken.training.loop import CONFIG

Recipe = TrainConfig | NoiseTrainConfig
STUDY_COMMANDS = {
    "noise-study": "softspoken-lab analyse study",
    "target-speaker-study": "softspoken-lab study",
}
"""What runs the files that hold many runs, by their `task`."""


def read_recipe(path: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """The run that a TOML file describes; its `task` says which kind, `target-speaker` where there is none.

    A recipe may begin with `extends = "other.toml"` and say only what differs from that one. Relative data paths count
    from the working directory. Raises ConfigError in one line.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no recipe at '{path}'; see the folder 'recipes' for examples")
    try:
        values = _values(path)
        command = STUDY_COMMANDS.get(str(values.get("task")))
        if command is not None:
            raise ConfigError(f"'{path}' is a study, not a training; run it with '{command} {path}'")
        return recipe_of({**values, **(overrides if overrides is not None else {})})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe '{path}' is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"recipe '{path}': {where}: {first['msg']}") from error


def _values(path: Path, inside: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a recipe says, on top of what the one says that it `extends` (a path beside it), table by table."""
    if path.resolve() in inside:
        raise ConfigError(f"recipe '{path}' extends itself; name another one")
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    base = values.pop("extends", None)
    if base is None:
        return values
    below = path.parent / str(base)
    if not below.is_file():
        raise ConfigError(f"recipe '{path}' extends '{base}', which is not beside it; correct the name")
    return _merged(_values(below, (*inside, path.resolve())), values)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` wins; a table that says of which `kind` it is replaces the other as a whole."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(key), Mapping) and "kind" not in value
        merged[key] = _merged(below[key], value) if both else value
    return merged


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """A recipe from its values, validated."""
    kind = NoiseTrainConfig if values.get("task") == "noise" else TrainConfig
    return kind.model_validate(values)


def recipe_text(path: Path) -> str:
    """A recipe as it is written, with the ones that it extends below it, as comments."""
    text = path.read_text(encoding="utf-8")
    base = tomllib.loads(text).get("extends")
    if base is None:
        return text
    lines = recipe_text(path.parent / str(base)).splitlines()
    below = "".join(f"# {line}".rstrip() + "\n" for line in [f"{base}:", *lines])
    return f"{text.rstrip()}\n\n{below}"


def run_recipe(config: Recipe, out: Path, stop_after_s: float | None = None, recipe: str | None = None) -> Path | None:
    """Train by `config` in `out`; the folder of the result, or None when it stopped early because the time was up.

    `recipe`: the text that `config` was read from, for the run's folder. Raises ConfigError when `out` holds another
    recipe's run.
    """
    if isinstance(config, NoiseTrainConfig):
        from softspoken.noise.training import run_noise_training

        return run_noise_training(config, out, stop_after_s, recipe)
    from softspoken.training.run import run_training

    return run_training(config, out, stop_after_s, recipe)


def task_of(run: Path) -> Literal["target-speaker", "noise"]:
    """What a run trains. Raises ConfigError when there is no run in that folder."""
    try:
        found = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"no training run in '{run}'; train first, or wait for its first save") from error
    return "noise" if found.get("task") == "noise" else "target-speaker"
