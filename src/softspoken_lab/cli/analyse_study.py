"""`softspoken-lab analyse study`: tables and figures of the second paper, from a study to a page."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    recipe: Annotated[
        Path, typer.Argument(metavar="STUDY.toml", help="See the folder 'recipes/noise'.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of models, test sets and pages; studies with the same one share them.")
    ] = Path("runs/noise"),
    only: Annotated[
        str | None,
        typer.Option(metavar="PART", help="Only this table or figure, as the study calls it.", show_default=False),
    ] = None,
) -> None:
    """Train what is missing, write the test sets, analyse the prompts, write one page and its tables as CSV."""
    from softspoken.evaluation.stage_cache import StageCache
    from softspoken_lab.cli.analyse_report import Talk, bars, heading
    from softspoken_lab.report.build import make_report
    from softspoken_lab.report.page import write_csv, write_page
    from softspoken_lab.studies.noise_study import prepare_study
    from softspoken_lab.studies.noise_study_config import read_study

    talk = Talk()
    config = read_study(recipe) if only is None else read_study(recipe).part(only)
    name = recipe.stem if only is None else f"{recipe.stem}-{only}"
    prepared = prepare_study(config, out, talk.say)
    with bars(talk.console) as progress:
        made = make_report(prepared.inputs, StageCache(out / "cache", talk.note), progress)
    page = out / f"{name}.html"
    write_page(made, heading(prepared.facts, prepared.sources, talk.notes), page)
    for path in write_csv(made, out / name):
        talk.say(path)
    typer.echo(page)
