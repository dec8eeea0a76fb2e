"""The command `softspoken`: nouns and verbs. Each noun has its own file; torch is imported only when a verb runs."""

import sys
from typing import Annotated

import typer

from softspoken import __version__

app = typer.Typer(
    name="softspoken",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool | None) -> None:
    if wanted:
        typer.echo(f"softspoken {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_print_version, is_eager=True, help="Which one.")
    ] = None,
) -> None:
    """Soft prompts on frozen speech models: one voice out of a crowd, speech out of noise."""


def _register() -> None:
    from softspoken.cli import (
        analyse,
        analyse_report,
        backbone,
        bench,
        data,
        demo,
        evaluate,
        noise,
        prompt,
        prompt_compare,
        prompt_evaluate,
        speaker,
        study,
        teach,
        train,
        transcribe,
    )

    app.command("demo")(demo.demo)
    app.command("transcribe")(transcribe.transcribe)
    app.add_typer(speaker.app)
    app.command("evaluate")(evaluate.evaluate)
    prompt.app.command("train")(train.train_prompt)
    prompt.app.command("export")(train.export_prompt)
    prompt.app.command("search")(train.search_rate)
    prompt.app.command("evaluate")(prompt_evaluate.evaluate_prompt)
    prompt.app.command("score")(prompt_compare.score)
    prompt.app.command("compare")(prompt_compare.compare)
    prompt.app.command("study")(prompt_compare.study)
    app.add_typer(prompt.app)
    app.add_typer(noise.app)
    analyse.app.command("report")(analyse_report.report)
    analyse.app.command("study")(study.study)
    app.add_typer(analyse.app)
    app.add_typer(backbone.app)
    app.command("bench")(bench.bench)
    data.app.command("teach")(teach.teach)
    app.add_typer(data.app)


_register()


def run() -> None:
    """Entry point: an expected error is one line on stderr and exit code 1, never a traceback."""
    from softspoken.errors import SoftspokenError

    try:
        app()
    except SoftspokenError as error:
        print(f"softspoken: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
