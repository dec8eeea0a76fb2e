"""`softspoken-lab analyse report`: the whole second paper for one prompt, as one HTML page."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softspoken import __version__
from softspoken_lab.cli.analyse_options import (
    Clean,
    Data,
    DataSplit,
    Device,
    Limit,
    Recognizer,
    Roles,
    StackOption,
    Transcripts,
)

if TYPE_CHECKING:
    from rich.console import Console

    from softspoken_lab.report.build import Progress, Report
    from softspoken_lab.report.page import Heading


Noise = Annotated[
    list[Path] | None,
    typer.Option(metavar="MANIFEST|FOLDER", help="Noise recordings by kind, for the probe. Repeat it."),
]
ShiftNoise = Annotated[
    list[Path] | None, typer.Option(metavar="MANIFEST|FOLDER", help="Recordings of a new environment. Repeat it.")
]
NoiseSplit = Annotated[str | None, typer.Option(help="Only recordings of this split (default: all).")]
ShiftData = Annotated[
    list[str] | None, typer.Option(metavar="NAME=PATH", help="Sets of speech in that environment. Repeat it.")
]
Cache = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder that keeps finished stages (default: beside the page).")
]
CsvFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="Also write every table and figure as CSV.")]


def report(
    reference: Recognizer,
    data: Data,
    out: Annotated[Path, typer.Option(help="The page to write.")],
    frozen: Annotated[
        str | None, typer.Option(metavar="RECOGNIZER", help="The baseline that was trained without prompts.")
    ] = None,
    noise: Noise = None,
    noise_split: NoiseSplit = None,
    shift_noise: ShiftNoise = None,
    shift_noise_split: NoiseSplit = None,
    shift_data: ShiftData = None,
    clean: Clean = "clean",
    roles: Roles = "curve",
    seeds: Annotated[int | None, typer.Option(min=1, help="Draws of random prompts.")] = None,
    split: DataSplit = "test",
    transcripts: Transcripts = None,
    limit: Limit = None,
    stack: StackOption = "encoder",
    cache: Cache = None,
    csv: CsvFolder = None,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Also print all results as JSON, for programs.")] = False,
) -> None:
    """One page with every table and figure of the paper for this prompt; goes on where it was interrupted."""
    from softspoken.evaluation.stage_cache import StageCache
    from softspoken_lab.analysis.probe_data import paper_kinds
    from softspoken_lab.analysis.replacement import ReplacementOptions
    from softspoken_lab.noise.bank import read_noise
    from softspoken_lab.report import inputs as read
    from softspoken_lab.report.build import make_report
    from softspoken_lab.report.plan import ReportInputs, ReportOptions

    talk = Talk()
    _check_out(out)
    sets, sources = read.read_sets(data, split, transcripts, limit)
    shift_sets, shift_sources = read.read_sets(shift_data if shift_data is not None else [], split, transcripts, limit)
    loaded = read.load_subject(reference, device, stack)
    baseline = None if frozen is None else read.load_baseline(frozen, loaded, device)
    replacement = ReplacementOptions() if seeds is None else ReplacementOptions(seeds=seeds)
    inputs = ReportInputs(
        subject=loaded.subject,
        digest=loaded.digest,
        sets=tuple(sets),
        clean=clean,
        frozen=None if baseline is None else baseline.subject,
        frozen_digest=None if baseline is None else baseline.digest,
        noise=None if noise is None else paper_kinds(read_noise(noise, noise_split)),
        shift_noise=None if shift_noise is None else read_noise(shift_noise, shift_noise_split),
        shift_sets=tuple(shift_sets),
        options=ReportOptions(replacement=replacement, roles_by=roles),
    )
    kept = StageCache(out.with_suffix(".cache") if cache is None else cache, talk.note)
    with bars(talk.console) as progress:
        made = make_report(inputs, kept, progress)
    names = {f"{name} (new noise)" if name in sources else name: path for name, path in shift_sources.items()}
    _write(made, heading(loaded.facts, sources | names, talk.notes), out, csv, as_json, talk)


def _write(made: "Report", top: "Heading", out: Path, csv: Path | None, as_json: bool, talk: "Talk") -> None:
    from softspoken_lab.report.page import write_csv, write_page

    write_page(made, top, out)
    for path in write_csv(made, csv) if csv is not None else ():
        talk.say(path)
    if as_json:
        talk.say(out)
        typer.echo(made.model_dump_json(indent=2))
    else:
        typer.echo(out)


class Talk:
    """What is said on stderr while a page is made, and what of it the page has to tell, too."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.notes: list[str] = []

    def say(self, text: object) -> None:
        self.console.print(str(text), soft_wrap=True, highlight=False, markup=False)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.say(text)


def _check_out(out: Path) -> None:
    """Before hours of work. Raises ConfigError for a page that cannot be written."""
    from softspoken.errors import ConfigError

    if out.is_dir():
        raise ConfigError(f"'{out}' is a folder; give the page a name, such as {out / 'report.html'}")


def heading(facts: Sequence[tuple[str, str]], sources: dict[str, str], notes: Sequence[str]) -> "Heading":
    """What stands at the top of the page: `facts` about the prompts, where each set is from, and this command."""
    from softspoken_lab.report.page import Heading

    return Heading(
        facts=facts,
        sources=sources,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        created=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z").strip(),
        version=__version__,
        notes=notes,
    )


@contextmanager
def bars(talk: "Console") -> "Iterator[Progress]":
    """One bar of stages and one within a stage; where nobody watches, one line a stage."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Shown

    from softspoken_lab.report.build import Progress, StageTime

    columns = (
        TextColumn("{task.description:14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Shown(*columns, console=talk, transient=True, disable=not talk.is_terminal) as shown:
        stages = shown.add_task("report", total=None)
        within = shown.add_task("", total=None)

        class Bars(Progress):
            def begin(self, stage: str, number: int, of: int) -> None:
                shown.update(stages, completed=number - 1, total=of)
                shown.reset(within, description=stage, total=None)

            def within(self, done: int, total: int) -> None:
                shown.update(within, completed=done, total=total)

            def finish(self, time: StageTime) -> None:
                how = "kept from an earlier run" if time.kept else f"{time.seconds:.1f} s"
                shown.console.print(f"{time.stage}: {how}", soft_wrap=True, highlight=False, markup=False)
                shown.advance(stages)

        yield Bars()
