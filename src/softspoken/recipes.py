"""Whatever a recipe describes: train it, or make a folder of what it trained."""

import json
from pathlib import Path
from typing import Literal

from softspoken.errors import ConfigError
from softspoken.training.config import NoiseTrainConfig, Recipe
from softspoken.training.loop import CONFIG


def run_recipe(config: Recipe, out: Path, stop_after_s: float | None = None, recipe: str | None = None) -> Path | None:
    """Train by `config` in `out`; the folder of the result, or None when it stopped early because the time was up.

    `recipe`: the text that `config` was read from, for the run's folder. Raises ConfigError when `out` holds another
    recipe's run.
    """
    if isinstance(config, NoiseTrainConfig):
        from softspoken.training.noise_run import run_noise_training

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
