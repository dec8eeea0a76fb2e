"""`softspoken-lab analyse study`: a table or figure of the second paper, from its recipe to a page."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    recipe: Annotated[Path, typer.Argument(help="TOML study; see the folder 'recipes/noise'.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Folder of models, test sets and pages; studies with the same one share them.")
    ] = Path("runs/noise"),
) -> None:
    """Train what is missing, write the test sets, analyse the prompts, write one page and its tables as CSV."""
    from softspoken.evaluation.stage_cache import StageCache
    from softspoken_lab.cli.analyse_report import Talk, bars, heading
    from softspoken_lab.report.build import make_report
    from softspoken_lab.report.page import write_csv, write_page
    from softspoken_lab.studies.noise_study import prepare_study
    from softspoken_lab.studies.noise_study_config import read_study

    talk = Talk()
    config = read_study(recipe)
    prepared = prepare_study(config, out, talk.say)
    with bars(talk.console) as progress:
        made = make_report(prepared.inputs, StageCache(out / "cache", talk.note), progress)
    page = out / f"{recipe.stem}.html"
    write_page(made, heading(prepared.facts, prepared.sources, talk.notes), page)
    for path in write_csv(made, out / recipe.stem):
        talk.say(path)
    typer.echo(page)
