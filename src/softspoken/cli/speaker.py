"""`softspoken speaker`: enrol voices, look at them, rename, remove, take them elsewhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli.discover import discover
from softspoken.cli.speaker_options import AsJson, Replace, Store, open_store
from softspoken.defaults import DEFAULT_EMBEDDER

if TYPE_CHECKING:
    from softspoken.speakers import Enrolment

app = typer.Typer(
    name="speaker",
    help="Voices: enrol, discover, list, show, rename, remove, export, encrypt; fetch the speaker encoder.",
    no_args_is_help=True,
)

EMBEDDERS = "campplus, ge2e, speechbrain/x-vector, speechbrain/ecapa, or a file *.onnx"

Name = Annotated[str, typer.Argument(help="The name of an enrolled voice.")]


@app.command("enrol")
def enrol(
    name: Annotated[str, typer.Argument(help="A name for the voice.")],
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Recordings of that voice alone; '-' is the standard input.")
    ],
    start_s: Annotated[float | None, typer.Option("--from", help="Use each file from this second on.")] = None,
    end_s: Annotated[float | None, typer.Option("--to", help="Use each file up to this second.")] = None,
    replace: Replace = False,
    embedder: Annotated[str, typer.Option(help=f"{EMBEDDERS}; the one that the prompt follows.")] = DEFAULT_EMBEDDER,
    clip: Annotated[
        bool, typer.Option("--clip/--no-clip", help="Keep up to 30 s of the sound, too, for prompts that hear it.")
    ] = True,
    accept_mixed: Annotated[
        bool, typer.Option("--accept-mixed", help="If two voices are in a clip, use the one that speaks more.")
    ] = False,
    store: Store = None,
) -> None:
    """Learn a voice from clips with at least 3 s of speech each; 10 s or more is better."""
    from softspoken.audio import Recording, require_readable
    from softspoken.speakers import Clip, load_embedder

    opened = open_store(store)
    opened.require_free(name, replace=replace)
    clips = [Clip(Recording.of(file), start_s, end_s) for file in files]
    for one in clips:
        require_readable(one.audio)
    loaded = load_embedder(embedder)
    enrolment = opened.enrol(name, clips, loaded, replace=replace, keep_clip=clip, accept_mixed=accept_mixed)
    for warning in enrolment.warnings:
        typer.echo(f"softspoken: warning: {warning}", err=True)
    count = "one clip" if len(clips) == 1 else f"{len(clips)} clips"
    typer.echo(f"enrolled '{enrolment.name}' from {enrolment.speech_s:.1f} s of speech in {count}", err=True)


app.command("discover")(discover)


@app.command("list")
def list_voices(as_json: AsJson = False, store: Store = None) -> None:
    """List all enrolled voices, one per line."""
    opened = open_store(store)
    voices = opened.list(clips=as_json)
    if as_json:
        typer.echo(json.dumps([_record(voice) for voice in voices], indent=2, ensure_ascii=False))
        return
    if not voices:
        typer.echo(f"no voices in {opened.place}; enrol one: softspoken speaker enrol NAME FILE", err=True)
        return
    width = max(len("NAME"), *(len(voice.name) for voice in voices))
    rows = [f"{one.name.ljust(width)}  {one.speech_s:5.1f} s  {one.created[:10]}  {one.embedder}" for one in voices]
    typer.echo("\n".join([f"{'NAME'.ljust(width)}  SPEECH   ENROLLED    EMBEDDER", *rows]))


@app.command("show")
def show(name: Name, as_json: AsJson = False, store: Store = None) -> None:
    """Show what is stored about one voice."""
    record = _record(open_store(store).get(name))
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    for key, value in record.items():
        lines = value if isinstance(value, list) else [f"{value:.1f}" if isinstance(value, float) else value]
        for line in lines:
            typer.echo(f"{key.replace('_', ' '):10} {line}")


@app.command("rename")
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(help="Its new name.")],
    replace: Replace = False,
    store: Store = None,
) -> None:
    """Give a voice another name."""
    open_store(store).rename(name, new_name, replace=replace)
    typer.echo(f"renamed '{name}' to '{new_name}'", err=True)


@app.command("remove")
def remove(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of enrolled voices.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Forget every voice.")] = False,
    store: Store = None,
) -> None:
    """Forget voices; nothing of them can be read from the file afterwards."""
    from softspoken.errors import ConfigError

    opened = open_store(store)
    if everyone == bool(names):
        raise ConfigError("which voices? give names, or --all alone")
    chosen = list(dict.fromkeys(names or []))
    for name in chosen:
        opened.get(name)
    removed = opened.delete_all() if everyone else chosen
    for name in chosen:
        opened.delete(name)
    typer.echo("removed " + (", ".join(f"'{name}'" for name in removed) or "no voices"), err=True)


@app.command("export")
def export(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of voices; all of them by default.")
    ] = None,
    clips: Annotated[bool, typer.Option("--clips/--no-clips", help="Include the sound that is kept of them.")] = False,
    store: Store = None,
) -> None:
    """Print voices as JSON, vectors included: softspoken speaker export > voices.json"""
    typer.echo(open_store(store).export(names or None, clips=clips))


@app.command("import")
def import_voices(
    file: Annotated[Path, typer.Argument(help="JSON that `export` printed.")],
    replace: Replace = False,
    store: Store = None,
) -> None:
    """Take in exported voices, all or none."""
    from softspoken.errors import EnrolmentError

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EnrolmentError(f"cannot read '{file}' ({type(error).__name__}): name a file made by export") from None
    taken_in = open_store(store).import_json(text, replace=replace)
    typer.echo(f"took in {', '.join(voice.name for voice in taken_in) or 'no voices'}", err=True)


@app.command("encrypt")
def encrypt(
    key: Annotated[
        str,
        typer.Option(help="File of the key, made where there is none, or 'keyring': the one of your system."),
    ],
    store: Store = None,
) -> None:
    """Encrypt all voices, including future ones. Without the key nobody can read them, not even you."""
    opened = open_store(store)
    place = opened.encrypt(key)
    count = len(opened.names())
    typer.echo(f"the voices in {opened.place} ({count}) are encrypted; the key: {place}; lost without it", err=True)


@app.command("decrypt")
def decrypt(store: Store = None) -> None:
    """Undo `encrypt`: anyone who may read the file can read the voices again."""
    opened = open_store(store)
    opened.decrypt()
    typer.echo(f"the voices in {opened.place} are readable again", err=True)


@app.command("fetch")
def fetch(embedder: Annotated[str, typer.Argument(help=f"{EMBEDDERS}.")] = DEFAULT_EMBEDDER) -> None:
    """Fetch a speaker embedder into the cache and verify it, so that later work needs no network."""
    from softspoken.speakers import load_embedder

    ready = load_embedder(embedder)
    typer.echo(f"{ready.name} is ready: {ready.dimension} dimensions")


def _record(voice: "Enrolment") -> dict[str, Any]:
    """What is shown of a voice: everything but the numbers of its vector and the samples of its clip."""
    from softspoken.audio import SAMPLE_RATE_HZ

    return {
        "name": voice.name,
        "embedder": voice.embedder,
        "dimension": len(voice.vector),
        "speech_s": round(voice.speech_s, 2),
        "created": voice.created,
        "sources": list(voice.sources),
        "warnings": list(voice.warnings),
        "clip_s": 0.0 if voice.clip is None else round(len(voice.clip) / SAMPLE_RATE_HZ, 2),
    }
