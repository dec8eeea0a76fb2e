"""The command `softspoken`: nouns and verbs. Each noun has its own file; torch is imported only when a verb runs."""

import errno
import io
import logging
import os
import sys
from typing import Annotated

import typer

from softspoken import __version__

_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""A disk that is full, or may not be written to."""


def new_app(name: str, about: str) -> typer.Typer:
    """A command with nouns and verbs, and `--version`."""

    def print_version(wanted: bool | None) -> None:
        if wanted:
            typer.echo(f"{name} {__version__}")
            raise typer.Exit

    def callback(
        version: Annotated[
            bool | None,
            typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit."),
        ] = None,
    ) -> None:
        pass

    return typer.Typer(
        name=name,
        help=about,
        callback=callback,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )


LEARNING = frozenset({"accelerate", "torch", "transformers"})
"""Packages that only learning needs; serving is installed without them."""


def run_app(app: typer.Typer) -> None:
    """Entry point: an expected error is one line on stderr and exit code 1, never a traceback.

    A stream that cannot say a character gets '?' in its place; a reader that leaves early, such as `head`, is no error.
    """
    from softspoken.errors import MissingExtra, SoftspokenError

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this, as with >&-
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    _say_warnings(str(app.info.name))
    code: str | int | None = 0
    try:
        app()
    except SoftspokenError as error:
        print(f"{app.info.name}: {error}", file=sys.stderr)
        code = 1
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in LEARNING:
            raise
        print(f"{app.info.name}: {MissingExtra(package, 'train', 'this command')}", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        _forget_output()
    except OSError as error:
        said = _said_of(error)
        if said is None:
            raise
        print(f"{app.info.name}: {said}", file=sys.stderr)
        code = 1
    except SystemExit as end:
        # What typer puts in the place of a stream whose reader has left.
        left = type(sys.stdout).__name__ == "PacifyFlushWrapper"
        code = 0 if left else end.code
        # The cause that typer gives for a Ctrl-C; a command that has said what is kept ends without one.
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):
            print(f"{app.info.name}: stopped", file=sys.stderr)
    try:
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        _forget_output()
    sys.exit(code)


def _said_of(error: OSError) -> str | None:
    """What to do about an error of the system; None for one that is nobody's mistake."""
    if error.errno == errno.ENAMETOOLONG:
        return f"the name '{error.filename}' is too long; give a shorter one"
    if error.errno not in _NOT_WRITTEN:
        return None
    where = "" if error.filename is None else f" to '{error.filename}'"
    todo = "make room, or choose a place that can be written; what was whole before still is"
    return f"cannot write{where} ({error.strerror}); {todo}"


def _forget_output() -> None:
    """Nobody reads it: the interpreter's own last flush must find another place."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)


class _OneLine(logging.Handler):
    """A warning as one line on stderr, each only once."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._name, self._said = name, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self._said:
            self._said.add(message)
            print(f"{self._name}: {record.levelname.lower()}: {message}", file=sys.stderr)


def _say_warnings(name: str) -> None:
    logger = logging.getLogger("softspoken")
    if not any(isinstance(handler, _OneLine) for handler in logger.handlers):
        logger.addHandler(_OneLine(name))
        logger.propagate = False


app = new_app("softspoken", "Soft prompts on a frozen Whisper: one voice out of a crowd.")


def _register() -> None:
    from softspoken.cli import (
        backbone,
        bulk,
        data,
        demo,
        evaluate,
        listen,
        prompt,
        serve,
        speaker,
        train,
        transcribe,
    )

    app.command("demo")(demo.demo)
    app.command("transcribe")(transcribe.transcribe)
    app.add_typer(bulk.app)
    app.command("listen")(listen.listen)
    app.add_typer(speaker.app)
    app.command("serve")(serve.serve)
    app.command("evaluate")(evaluate.evaluate)
    prompt.app.command("train")(train.train_prompt)
    prompt.app.command("export")(train.export_prompt)
    app.add_typer(prompt.app)
    app.add_typer(backbone.app)
    app.add_typer(data.app)


_register()


def run() -> None:
    """The command `softspoken`."""
    run_app(app)


if __name__ == "__main__":
    run()
