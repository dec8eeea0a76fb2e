"""`softspoken demo`: what plain Whisper hears of two people talking at once, and the prompted one of each."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softspoken.defaults import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from softspoken.demo import DemoReport, Heard, MixtureReport

COLOURS = ("cyan", "yellow")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the page (index.html).")] = Path("softspoken-demo"),
    prompt: Annotated[
        str, typer.Option(help="'tiny.en' or 'base' (shipped), a prompt's folder, or a hub repository.")
    ] = DEFAULT_BACKBONE,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Write the page with players and waveforms.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON on stdout.")] = False,
) -> None:
    """Run the shipped prompt on the recordings that come with the package."""
    from rich.console import Console

    from softspoken.errors import ConfigError

    if page and out.exists() and not out.is_dir():
        raise ConfigError(f"--out is a file: {out}, expected a folder; name another one or use --no-page")
    talk = Console(stderr=True)
    report = _run(prompt, talk, None if as_json else Console())
    written = _write(report, out) if page else None
    if as_json:
        print(json.dumps(report.as_json() | {"page": None if written is None else str(written)}, indent=2))
        return
    _print_summary(Console(), report)
    if written is not None:
        talk.print(f"\nPage with players and waveforms: {written}", soft_wrap=True, highlight=False)


def _run(prompt: str, talk: "Console", console: "Console | None") -> "DemoReport":
    """Load the model, go through the mixtures, and print each as soon as it is done (not without a console)."""
    from softspoken.demo import DemoReport, load_recordings, run_demo

    recordings = load_recordings()
    start_s = time.perf_counter()
    with talk.status("Loading frozen Whisper and the prompt"):
        from softspoken.decoding import TargetSpeakerTranscriber

        transcriber = TargetSpeakerTranscriber.from_pretrained(prompt)
    load_s = time.perf_counter() - start_s
    reports = []
    steps = run_demo(recordings, transcriber)
    for mixture in recordings.mixtures:
        with talk.status(f"Listening to '{mixture.title}'"):
            reports.append(next(steps))
        if console is not None:
            _print_mixture(console, reports[-1])
    return DemoReport(recordings, tuple(reports), load_s)


def _write(report: "DemoReport", out: Path) -> Path:
    from softspoken.demo import write_page
    from softspoken.errors import ConfigError

    try:
        return write_page(report, out)
    except OSError as error:
        reason = error.strerror if error.strerror is not None else str(error)
        raise ConfigError(f"the page cannot be written to {out} ({reason}); use --out DIR or --no-page") from error


def _print_mixture(console: "Console", report: "MixtureReport") -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    mixture = report.mixture
    console.print()
    title = Text(mixture.title, style="bold")
    title.append(f"   {mixture.duration_s:.1f} s, {100 * mixture.overlap:.0f} % both at once", style="dim")
    console.print(title)
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    for index, talker in enumerate(mixture.talkers):
        table.add_row(Text(f"{talker.voice} said", style=COLOURS[index % 2]), Text(talker.text), "")
    table.add_row(Text("plain Whisper", style="dim"), Text(report.plain.text), _cost(report.plain, None))
    voices = [talker.voice for talker in mixture.talkers]
    for voice, heard in report.speakers.items():
        present = voice in voices
        style = COLOURS[voices.index(voice) % 2] if present else "magenta"
        # On a terminal without colours the arrow is what tells results from what was said.
        shown = Text(heard.text) if heard.text else Text("(nothing)", style="dim" if present else "green")
        table.add_row(Text(f"→ {voice}", style=f"bold {style}"), shown, _cost(heard, report.errors(voice, heard)))
    console.print(Padding(table, (0, 0, 0, 2)))


def _cost(heard: "Heard", errors: int | None) -> "Text":
    from rich.text import Text

    text = f"{heard.took_s:.1f} s"
    if errors is not None:
        text = f"{errors} {'error' if errors == 1 else 'errors'}  {text}"
    return Text(text, style="dim")


def _print_summary(console: "Console", report: "DemoReport") -> None:
    plain, prompted = (
        f"{100 * errors / report.words:.0f} %" for errors in (report.plain_errors, report.prompted_errors)
    )
    console.print()
    console.print(
        f"Word errors over {report.words} words: plain Whisper {plain}, with the prompt {prompted}. "
        f"Words written for silent voices: {report.silent_words}.",
        highlight=False,
    )
    console.print(f"Loading took {report.load_s:.1f} s.", style="dim", highlight=False)
