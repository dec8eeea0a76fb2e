"""`softspoken-lab analyse report`: the whole second paper for one prompt, as one HTML page."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from softspoken import __version__

if TYPE_CHECKING:
    from rich.console import Console

    from softspoken_lab.report.build import Progress
    from softspoken_lab.report.page import Heading


def report(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="RECOGNIZER",
            help="A folder that training wrote; or a prompt that follows a voice: 'shipped', a folder, a hub id.",
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="A speech manifest or a noisy test set, 'NAME=PATH#CORPUS' for one corpus of a manifest; for prompts "
            "that follow a voice, an evaluation manifest. Repeat it.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page to write.")],
    frozen: Annotated[
        str | None, typer.Option(metavar="RECOGNIZER", help="The baseline that was trained without prompts.")
    ] = None,
    noise: Annotated[
        list[Path] | None,
        typer.Option(metavar="MANIFEST|FOLDER", help="Noise recordings by kind, for the probe. Repeat it."),
    ] = None,
    noise_split: Annotated[str | None, typer.Option(help="Only noise of this split (default: all).")] = None,
    shift_noise: Annotated[
        list[Path] | None,
        typer.Option(metavar="MANIFEST|FOLDER", help="Recordings of a new environment. Repeat it."),
    ] = None,
    shift_noise_split: Annotated[str | None, typer.Option(help="Only those of this split (default: all).")] = None,
    shift_data: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PATH", help="Sets of speech in that environment. Repeat it.")
    ] = None,
    clean: Annotated[
        str, typer.Option(help="Name of the clean set: the roles are read off it, the probe adds noise to it.")
    ] = "clean",
    roles: Annotated[
        Literal["curve", "clusters"],
        typer.Option("--roles", help="The split into content and noise prompts to use."),
    ] = "curve",
    seeds: Annotated[int | None, typer.Option(min=1, help="Draws of random prompts.")] = None,
    split: Annotated[
        Literal["test", "development", "train"], typer.Option(help="Split to take from speech manifests.")
    ] = "test",
    transcripts: Annotated[
        Path | None, typer.Option(help="LibriSpeech folder with the words of the published noisy set.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many utterances of each set, evenly taken.")] = None,
    stack: Annotated[
        Literal["encoder", "decoder"],
        typer.Option(help="Stack whose vectors are analysed, for a prompt that follows a voice."),
    ] = "encoder",
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that keeps finished stages (default: beside the page).")
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write every table and figure as CSV.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Also print all results as JSON, for programs.")] = False,
) -> None:
    """One page with every table and figure of the paper for this prompt; goes on where it was interrupted."""
    from softspoken.data.noise import read_noise
    from softspoken.evaluation.stage_cache import StageCache
    from softspoken_lab.analysis.probe_data import paper_kinds
    from softspoken_lab.analysis.replacement import ReplacementOptions
    from softspoken_lab.report import inputs as read
    from softspoken_lab.report.build import make_report
    from softspoken_lab.report.page import write_csv, write_page
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
    write_page(made, heading(loaded.facts, sources | names, talk.notes), out)
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
