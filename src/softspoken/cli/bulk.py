"""`softspoken bulk`: many recordings on all cores of a machine, or on a cluster."""

import os
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli import transcribe_options as given
from softspoken.cli.bulk_worker import LoadTranscriber
from softspoken.cli.checks import language_given, require_backbone, require_prompt
from softspoken.cli.engines import EngineChoice
from softspoken.cli.outputs import identities, require_folder, require_unread
from softspoken.cli.progress import Progress
from softspoken.cli.transcribe import speakers_given
from softspoken.cli.wanted import Everyone, Runs, open_store, require_voices

if TYPE_CHECKING:
    from softspoken.bulk import Item, Ledger, WorkerPool

app = typer.Typer(name="bulk", help="Many recordings at once, on one machine or on a cluster.", no_args_is_help=True)

WORK = "Workers"
_SHOWN_FAILURES = 20


class ShardChoice(StrEnum):
    """File formats of the shards."""

    JSONL = "jsonl"
    PARQUET = "parquet"


Source = Annotated[
    str,
    typer.Argument(
        help="A folder of recordings, or a manifest (*.jsonl, *.jsonl.gz): JSON lines with 'path' and, "
        "optionally, 'speakers', or lhotse cuts. Also as a URL: s3://bucket/folder."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the records.", rich_help_panel=given.WRITTEN)]
Store = Annotated[
    str | None,
    typer.Option(
        "--speakers",
        "--store",
        help="File of enrolled voices, or a database, as postgresql://... (default: that of `softspoken speaker`). "
        "Without other instructions, all of its voices that speak in a recording are transcribed.",
        rich_help_panel=given.WHOSE,
    ),
]
Speakers = Annotated[
    list[str] | None,
    typer.Option(
        "--speaker",
        help="A voice to transcribe where the manifest names none: an enrolled name, or a clip. Repeat it for more.",
        rich_help_panel=given.WHOSE,
    ),
]
Strangers = Annotated[
    bool,
    typer.Option("--everyone", help="Transcribe strangers too, as 'Speaker 1', ...", rich_help_panel=given.WHOSE),
]
Format = Annotated[
    ShardChoice,
    typer.Option("--format", help="File format of the shards; parquet needs pyarrow.", rich_help_panel=given.WRITTEN),
]
PerShard = Annotated[int, typer.Option(min=1, help="Records in a shard.", rich_help_panel=given.WRITTEN)]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of workers, each with its own models (default: one per core, or one for a GPU).",
        rich_help_panel=WORK,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="auto|local|ADDRESS",
        help="Run on a Ray cluster: the one this machine belongs to, a new one on this machine, or one elsewhere.",
        rich_help_panel=WORK,
    ),
]


@app.command("transcribe")
def transcribe(
    source: Source,
    out: Out,
    store: Store = None,
    speaker: Speakers = None,
    everyone: Strangers = False,
    plain: given.Plain = False,
    prompt: given.Prompt = None,
    backbone: given.Backbone = None,
    language: given.Language = None,
    words: given.Words = False,
    beam: given.Beam = 1,
    vad: given.Vad = False,
    engine: given.Engine = EngineChoice.AUTO,
    precision: given.Precision = None,
    device: given.Device = "cpu",
    file_format: Format = ShardChoice.JSONL,
    per_shard: PerShard = 1000,
    workers: Workers = None,
    ray: Ray = None,
) -> None:
    """Transcribe many recordings: one record each, with its words or the reason why there are none. If it is
    interrupted, run the same command again to continue."""
    found: Everyone = "no" if plain else "all" if everyone else "known"
    speakers = speakers_given(speaker, plain, prompt, vad, "all" if everyone else "no" if plain else "known")
    require_backbone(backbone, device)
    require_prompt(prompt)
    spoken = language_given(language, backbone, prompt)
    require_folder(out, "--out")
    for record in (*out.glob("part-*.jsonl"), out / "failures.jsonl"):
        require_unread(f"the file {record} of --out is", record, identities([source]))
    require_voices(speakers, store)

    from softspoken.bulk import Ledger, items_of
    from softspoken.decoding import DecodingOptions, WindowOptions
    from softspoken.errors import ConfigError

    items = items_of(source)
    if plain and any(item.speakers for item in items):
        raise ConfigError("--plain follows no voice, but the manifest names 'speakers'; leave out one of them")
    if found == "known" and not speakers:
        _require_someone(items, store)
    cut: Any = "speech" if vad else "quiet"
    chosen: dict[str, Any] = {"language": spoken, "words": words, "beam_size": beam, "windows": WindowOptions(cut=cut)}
    runs: Runs = (device, engine.value, None if precision is None else precision.value)
    options = DecodingOptions(**chosen)
    decided: dict[str, Any] = {"speakers": speakers, "voices": found, "prompt": prompt, "backbone": backbone}
    decided |= {"runs": list(runs), "language": spoken, "words": words, "beam": beam, "vad": vad}
    with Ledger(out, items, decided, file_format.value, per_shard) as ledger:
        if ledger.missing():
            count, threads = _shares(workers, ray, device)
            load = LoadTranscriber(tuple(speakers), found, store, prompt, backbone, runs, options, threads)
            _run(ledger, _pool(load, ray, count, threads, device), source)
        ledger.finish()
        _report(ledger)


def _require_someone(items: "list[Item]", store: str | None) -> None:
    from softspoken.errors import ConfigError

    voices = open_store(store)
    if not all(item.speakers for item in items) and not voices.names():
        raise ConfigError(
            f"whose words? no voice is enrolled in {voices.place}; enrol some, give --speaker CLIP, name the "
            "'speakers' in each line of a manifest, or give --plain for everybody's words together"
        )


def _shares(workers: int | None, ray: str | None, device: str) -> tuple[int | None, int]:
    """How many workers (None: as a cluster has room), and how many threads of the processor for each."""
    if ray not in (None, "local"):
        return workers, 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = workers if workers is not None else 1 if device.startswith("cuda") else cores
    return count, max(1, cores // count)


def _pool(load: LoadTranscriber, ray: str | None, count: int | None, threads: int, device: str) -> "WorkerPool":
    from softspoken.bulk import Processes, RayActors

    if ray is not None:
        return RayActors(load, ray, count, threads, device.startswith("cuda"))
    assert count is not None
    return Processes(load, count)


def _run(ledger: "Ledger", pool: "WorkerPool", source: str) -> None:
    """Until nothing is missing. Raises Exit with code 130 on Ctrl-C."""
    from softspoken.bulk import run_pool

    whole, before = len(ledger.items), ledger.done
    if before:
        typer.echo(f"softspoken: {before} of {whole} records are there; going on", err=True)
    progress = Progress(source, whole, before, lambda amount: f"{amount:.0f} recordings")
    try:
        with closing(pool):
            for item, line in run_pool(ledger.missing(), pool):
                ledger.add(item, line)
                progress(ledger.done)
    except KeyboardInterrupt:
        typer.echo(f"softspoken: stopped at {ledger.done} of {whole}; run the same command to continue", err=True)
        raise typer.Exit(130) from None
    finally:
        progress.clear()


def _report(ledger: "Ledger") -> None:
    """At the end: what there is, and what could not be transcribed. Raises Exit with code 1 if that is anything."""
    whole, failures = len(ledger.items), [ledger.failures[number] for number in sorted(ledger.failures)]
    typer.echo(f"{whole - len(failures)} of {whole} recordings transcribed, records in {ledger.folder}", err=True)
    if not failures:
        return
    typer.echo(f"softspoken: {len(failures)} of {whole} recordings could not be transcribed:", err=True)
    for reason in failures[:_SHOWN_FAILURES]:
        typer.echo(f"  {reason}", err=True)
    rest = len(failures) - _SHOWN_FAILURES
    if rest > 0:
        typer.echo(f"  and {rest} more: {ledger.folder / 'failures.jsonl'}", err=True)
    raise typer.Exit(1)
