"""`softspoken-lab train`, `export`: runs by any method, on any mixtures. A run started again goes on."""

from pathlib import Path

import typer

from softspoken.cli.checks import require_recipe
from softspoken.cli.train import (
    Backbone,
    Half,
    PromptFolder,
    Recipe,
    Results,
    Run,
    RunFolder,
    Seed,
    State,
    Steps,
    StopAfter,
    given,
    show_result,
)


def train(
    recipe: Recipe,
    out: RunFolder = Path("runs/run"),
    backbone: Backbone = None,
    steps: Steps = None,
    seed: Seed = None,
    stop_after_s: StopAfter = None,
) -> None:
    """As 'softspoken prompt train'; also weights, on a corpus's own mixtures, for everybody's words, or in noise."""
    require_recipe(recipe)
    from softspoken.training.recipes import recipe_text
    from softspoken_lab.studies.recipes import read_any_recipe, run_recipe

    config = read_any_recipe(recipe, given(backbone=backbone, steps=steps, seed=seed))
    show_result(run_recipe(config, out, stop_after_s, recipe_text(recipe)), out)


def export(run: Run, out: PromptFolder, state: State = "best", half: Half = False, results: Results = None) -> None:
    """Make a prompt folder out of a state of such a run."""
    from softspoken_lab.training.run import export_run

    export_run(run, out, state, half, results if results is not None else ())
    typer.echo(out)
