"""Recipes of either paper: read one, train by it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softspoken.training.recipes import recipe_as, recipe_values
from softspoken_lab.noise.config import NoiseTrainConfig
from softspoken_lab.training.config import StudyTrainConfig

Recipe = StudyTrainConfig | NoiseTrainConfig


def read_any_recipe(reference: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The run that `FILE.toml` or `FILE.toml:ROW` describes; its `task` says which kind. Raises ConfigError."""
    values = recipe_values(reference) | dict(overrides or {})
    if values.get("task") == "noise":
        return recipe_as(NoiseTrainConfig, reference, values)
    return recipe_as(StudyTrainConfig, reference, values)


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """A recipe from its values, validated."""
    kind = NoiseTrainConfig if values.get("task") == "noise" else StudyTrainConfig
    return kind.model_validate(values)


def run_recipe(config: Recipe, out: Path, stop_after_s: float | None = None, recipe: str | None = None) -> Path | None:
    """Train by `config` in `out`; arguments, result and errors are those of `run_training`."""
    if isinstance(config, NoiseTrainConfig):
        from softspoken_lab.noise.training import run_noise_training

        return run_noise_training(config, out, stop_after_s, recipe)
    from softspoken_lab.training.run import run_training

    return run_training(config, out, stop_after_s, recipe)
