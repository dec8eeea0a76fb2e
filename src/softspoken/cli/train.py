"""`softspoken prompt train`, `export`: from a recipe to a folder. A run started again goes on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from softspoken.cli.checks import require_recipe


def export_prompt(
    run: Annotated[Path, typer.Argument(help="Folder of a training run, going on or done.", show_default=False)],
    out: Annotated[Path, typer.Option(help="New folder of the prompt.", show_default=False)],
    state: Annotated[Literal["best", "last"], typer.Option(help="State of the run to take.")] = "best",
    half: Annotated[bool, typer.Option("--half", help="Store float16: half the size.")] = False,
    silence_threshold: Annotated[
        float | None, typer.Option(help="Presence under which the target counts as silent.", show_default=False)
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(help="JSON of 'softspoken evaluate --json', for the card's table; may be repeated."),
    ] = None,
) -> None:
    """Make a prompt folder out of a state of a training run."""
    from softspoken.training.run import export_run

    export_run(run, out, state, half, silence_threshold, results if results is not None else ())
    typer.echo(out)


def train_prompt(
    recipe: Annotated[
        str, typer.Argument(metavar="FILE.toml[:ROW]", help="See the folder 'recipes'.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; a run that is already there goes on.")] = Path(
        "runs/run"
    ),
    backbone: Annotated[str | None, typer.Option(help="Instead of the recipe's backbone.", show_default=False)] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of the recipe's steps.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's seed.", show_default=False)] = None,
    stop_after_s: Annotated[
        float | None,
        typer.Option(help="Save and stop after this long; run the same command to continue.", show_default=False),
    ] = None,
) -> None:
    """Train a prompt on data that is mixed on the fly. Kill it at any time; run the same command to continue."""
    require_recipe(recipe)
    from softspoken.training.recipes import read_recipe, recipe_text

    overrides = {"backbone": backbone, "steps": steps, "seed": seed}
    config = read_recipe(recipe, {key: value for key, value in overrides.items() if value is not None})
    # PyTorch comes with it: not before the recipe is known to be right.
    from softspoken.training.run import run_training

    folder = run_training(config, out, stop_after_s, recipe_text(recipe))
    if folder is None:
        typer.echo(f"stopped in time; run the same command to continue from '{out}'", err=True)
    else:
        typer.echo(folder)
