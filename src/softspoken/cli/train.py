"""`softspoken prompt train`, `export`: from a recipe to a folder. A run started again goes on."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from softspoken.cli.checks import require_files, require_recipe, require_run

Recipe = Annotated[str, typer.Argument(metavar="FILE.toml[:ROW]", help="See the folder 'recipes'.", show_default=False)]
RunFolder = Annotated[Path, typer.Option(help="Folder of the run; a run that is already there goes on.")]
Backbone = Annotated[str | None, typer.Option(help="Instead of the recipe's backbone.", show_default=False)]
Steps = Annotated[int | None, typer.Option(help="Instead of the recipe's steps.", show_default=False)]
Seed = Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's seed.", show_default=False)]
StopAfter = Annotated[
    float | None,
    typer.Option(help="Save and stop after this long; run the same command to continue.", show_default=False),
]
Run = Annotated[Path, typer.Argument(help="Folder of a training run, going on or done.", show_default=False)]
PromptFolder = Annotated[Path, typer.Option(help="New folder of the prompt.", show_default=False)]
State = Annotated[Literal["best", "last"], typer.Option(help="State of the run to take.")]
Half = Annotated[bool, typer.Option("--half", help="Store float16: half the size.")]
Results = Annotated[
    list[Path] | None,
    typer.Option(help="JSON of 'softspoken evaluate --json', for the card's table; may be repeated."),
]


def export_prompt(
    run: Run,
    out: PromptFolder,
    state: State = "best",
    half: Half = False,
    results: Results = None,
) -> None:
    """Make a prompt folder out of a state of a training run."""
    require_run(run)
    require_files(results or [])
    from softspoken.training.run import export_run

    export_run(run, out, state, half, results if results is not None else ())
    typer.echo(out)


def train_prompt(
    recipe: Recipe,
    out: RunFolder = Path("runs/run"),
    backbone: Backbone = None,
    steps: Steps = None,
    seed: Seed = None,
    stop_after_s: StopAfter = None,
) -> None:
    """Train a prompt on data that is mixed on the fly. Kill it at any time; run the same command to continue."""
    require_recipe(recipe)
    from softspoken.training.recipes import read_recipe, recipe_text

    config = read_recipe(recipe, given(backbone=backbone, steps=steps, seed=seed))
    # PyTorch comes with it: not before the recipe is known to be right.
    from softspoken.training.run import run_training

    show_result(run_training(config, out, stop_after_s, recipe_text(recipe)), out)


def given(**values: Any) -> dict[str, Any]:
    """The options that are given."""
    return {key: value for key, value in values.items() if value is not None}


def show_result(result: Path | None, out: Path) -> None:
    """What a training left, or that it stopped in time."""
    if result is None:
        typer.echo(f"stopped in time; run the same command to continue from '{out}'", err=True)
    else:
        typer.echo(result)
