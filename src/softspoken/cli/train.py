"""`softspoken prompt train`: from a recipe to a prompt folder. Started again on the same folder, it goes on."""

from pathlib import Path
from typing import Annotated

import typer


def train_prompt(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe; see the folder 'recipes'.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the run; a run that is already there goes on.")] = Path(
        "runs/run"
    ),
    backbone: Annotated[str | None, typer.Option(help="Instead of the recipe's backbone.", show_default=False)] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of the recipe's steps.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's seed.", show_default=False)] = None,
    stop_after_s: Annotated[
        float | None, typer.Option(help="Save and stop after this long; the same command goes on.", show_default=False)
    ] = None,
) -> None:
    """Train a target-speaker prompt on mixtures made on the fly. Kill it at any time; the same command goes on."""
    from softspoken.cli.train_run import run_training
    from softspoken.training.config import read_recipe

    overrides = {"backbone": backbone, "steps": steps, "seed": seed}
    config = read_recipe(recipe, {key: value for key, value in overrides.items() if value is not None})
    folder = run_training(config, out, stop_after_s)
    if folder is None:
        typer.echo(f"stopped in time; the same command goes on from '{out}'", err=True)
    else:
        typer.echo(folder)
