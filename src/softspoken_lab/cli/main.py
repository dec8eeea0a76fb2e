"""The command `softspoken-lab`: studies, analyses, test sets, benchmarks. torch is imported only when a verb runs."""

import sys
from typing import Annotated

import typer

from softspoken import __version__

app = typer.Typer(
    name="softspoken-lab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool | None) -> None:
    if wanted:
        typer.echo(f"softspoken-lab {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = None,
) -> None:
    """The laboratory of softspoken: the papers' studies, what prompts do, and how fast everything is."""


def _register() -> None:
    from softspoken_lab.cli import (
        analyse,
        analyse_report,
        analyse_study,
        bench,
        corpora,
        detail,
        grid,
        noisy,
        scenes,
        silence,
        studies,
    )

    app.command("study")(studies.study)
    app.command("search")(studies.search)
    app.command("score")(studies.score)
    app.command("compare")(studies.compare)
    app.command("detail")(detail.detail)
    app.command("silence")(silence.silence)
    app.command("hallucinations")(silence.hallucinations)
    app.command("prepare")(corpora.prepare)
    app.command("check")(corpora.check)
    app.command("mixtures")(scenes.mixtures)
    app.command("grid")(grid.grid)
    app.command("noisy")(noisy.noisy)
    analyse.app.command("report")(analyse_report.report)
    analyse.app.command("study")(analyse_study.study)
    app.add_typer(analyse.app)
    app.command("bench")(bench.bench)


_register()


def run() -> None:
    """Entry point: an expected error is one line on stderr and exit code 1, never a traceback."""
    from softspoken.errors import SoftspokenError

    try:
        app()
    except SoftspokenError as error:
        print(f"softspoken-lab: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
