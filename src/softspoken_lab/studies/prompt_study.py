"""A table of target-speaker runs by one command: train what is missing, score what is missing, compare."""

import functools
import re
import time
from collections.abc import Callable
from pathlib import Path

from softspoken.errors import ConfigError
from softspoken.evaluation.runner import Method
from softspoken.training.recipes import recipe_text
from softspoken.training.run_folder import check_same_run, finished
from softspoken_lab.studies.compare import By, Comparison, compare_runs
from softspoken_lab.studies.prompt_study_config import PromptStudyConfig
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.studies.scoring import EVALUATIONS, Scored, ScoringStopped, Tell, TestManifest, score
from softspoken_lab.training.config import StudyTrainConfig
from softspoken_lab.training.run import run_training

MakeMethod = Callable[[str], Method]
"""A method of its name, as `Systems.method`."""


def run_study(
    config: PromptStudyConfig, out: Path, method: MakeMethod, tell: Tell, stop_after_s: float | None = None
) -> bool:
    """Train and score whatever of the study `out` does not hold yet; False when the time was up before the end.

    Everything goes on where it was, whenever it was killed. Recipes, runs that are there and manifests are checked
    before the first hour is spent. Raises ConfigError and DataError as `run_training` and `score` do.
    """
    time_left = _TimeLeft(stop_after_s)
    tests = config.manifests()
    for test in tests:
        _ = test.items
    recipes = {(seed, name): _recipe(config.rows[name].recipe, seed) for seed, name in config.runs()}
    for (seed, name), recipe in recipes.items():
        check_same_run(recipe, run_folder(out, name, seed))

    try:
        for name in config.rivals:
            rival = Scored(rival_folder(out, name), {"system": name}, functools.partial(method, name))
            _score(rival, tests, tell, time_left.is_up)
        for number, ((seed, name), recipe) in enumerate(recipes.items(), start=1):
            folder = run_folder(out, name, seed)
            if not finished(recipe, folder):
                if time_left.is_up():
                    return False
                tell(f"training '{name}', seed {seed} (run {number} of {len(recipes)})")
                if run_training(recipe, folder, time_left.seconds(), recipe_text(config.rows[name].recipe)) is None:
                    return False
            _score(Scored.run(folder, "best", method), tests, tell, time_left.is_up)
    except ScoringStopped:
        return False
    return True


class _TimeLeft:
    """How long a study may go on. The first step of every start is free, so that it gets on however short the time."""

    def __init__(self, stop_after_s: float | None) -> None:
        self._end = None if stop_after_s is None else time.monotonic() + stop_after_s
        self._asked = False

    def seconds(self) -> float | None:
        return None if self._end is None else self._end - time.monotonic()

    def is_up(self) -> bool:
        """To be asked before each step."""
        first, self._asked = not self._asked, True
        left = self.seconds()
        return not first and left is not None and left <= 0


def compare_study(config: PromptStudyConfig, out: Path, by: By = "utterance") -> Comparison | None:
    """The table of what is there so far; None when that is nothing."""
    names = {rival_folder(out, name): name for name in config.rivals}
    # Rows in the study's order, whatever was trained first.
    rows = {run_folder(out, name, seed): name for seed, name in config.runs()}
    names = {folder: name for row in config.rows for folder, name in rows.items() if name == row} | names
    there = {folder: name for folder, name in names.items() if _begun(folder)}
    if not there:
        return None
    wanted = next(iter(config.rows), None) if config.baseline is None else config.baseline
    baseline = wanted if wanted is not None and wanted in there.values() else "first"
    known = {str(folder): name for folder, name in there.items()}
    found = compare_runs(list(there), baseline, by=by, names=known)
    # Only this study's tests, in its order.
    tests = [name for name in config.tests if name in found.tests]
    return compare_runs(list(there), baseline, tests, by, known) if list(found.tests) != tests else found


def run_folder(out: Path, row: str, seed: int) -> Path:
    """Where the run of a row and a seed is."""
    return out / "runs" / row / f"seed-{seed}"


def rival_folder(out: Path, name: str) -> Path:
    """Where the scores of a rival are; its name may be a path."""
    return out / "rivals" / re.sub(r"[^\w.:-]+", "_", name).strip(".")


def _recipe(reference: str, seed: int) -> StudyTrainConfig:
    config = read_any_recipe(reference, {"seed": seed})
    if not isinstance(config, StudyTrainConfig) or config.task != "target-speaker":
        raise ConfigError(
            f"recipe '{reference}' trains {config.task}; a study of prompts needs task = 'target-speaker'"
        )
    return config


def _score(scored: Scored, tests: list[TestManifest], tell: Tell, stop: Callable[[], bool]) -> None:
    for test in tests:
        score(scored, test, tell, stop)


def _begun(folder: Path) -> bool:
    return (folder / "log.jsonl").is_file() or any((folder / EVALUATIONS).glob("*.jsonl"))
