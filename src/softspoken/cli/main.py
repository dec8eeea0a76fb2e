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
        bool | None,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = None,
) -> None:
    """Soft prompts on frozen speech models: one voice out of a crowd, speech out of noise."""


def _register() -> None:
    from softspoken.cli import (
        backbone,
        data,
        demo,
        evaluate,
        noise,
        prompt,
        speaker,
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
    app.add_typer(prompt.app)
    app.add_typer(noise.app)
    app.add_typer(backbone.app)
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
