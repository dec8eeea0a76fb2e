"""`softspoken speaker`: enrol voices, find those of a recording, look at them, rename, remove, take them elsewhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.defaults import DEFAULT_EMBEDDER

if TYPE_CHECKING:
    from softspoken.speakers import Enrolment, EnrolmentStore, SpeakerEmbedder
    from softspoken.speakers.discovery import Found

app = typer.Typer(
    name="speaker",
    help="Voices: enrol, discover, list, show, rename, remove, export, encrypt; fetch what tells them apart.",
    no_args_is_help=True,
)

EMBEDDERS = "campplus, ge2e, speechbrain/x-vector, speechbrain/ecapa, or a file *.onnx"

Name = Annotated[str, typer.Argument(help="The name of an enrolled voice.")]
Store = Annotated[Path | None, typer.Option("--store", help="File of voices; by default voices.db in the data folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace a voice of the same name.")]


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
        bool, typer.Option("--accept-mixed", help="Of a clip with two voices, take the one that says more.")
    ] = False,
    store: Store = None,
) -> None:
    """Learn a voice from clips with at least 3 s of speech each; 10 s or more is better."""
    from softspoken.audio import Recording, require_readable
    from softspoken.speakers import Clip, load_embedder

    opened = _open(store)
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


@app.command("discover")
def discover(
    file: Annotated[str, typer.Argument(help="A recording of several people; '-' is the standard input.")],
    out: Annotated[Path | None, typer.Option(help="Folder for a clip of each voice alone, to listen to.")] = None,
    start_s: Annotated[float | None, typer.Option("--from", help="Listen from this second on.")] = None,
    end_s: Annotated[float | None, typer.Option("--to", help="Listen up to this second.")] = None,
    fewest: Annotated[int, typer.Option(min=1, help="At least so many people speak.")] = 1,
    most: Annotated[int | None, typer.Option(min=1, help="At most so many people speak.")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--enrol", metavar="'Speaker 2=carla'", help="Keep this voice under this name; repeat it."),
    ] = None,
    replace: Replace = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Who speaks in a recording, how long, and which enrolled voice each resembles; enrols nobody unless told to."""
    from softspoken.audio import Recording, load_audio
    from softspoken.speakers import load_embedder
    from softspoken.speakers.diarisation import DiarisationOptions
    from softspoken.speakers.discovery import discover as found_in

    opened, wanted = _open(store), [_kept_as(one) for one in keep or []]
    for _, name in wanted:
        opened.require_free(name, replace=replace)
    if out is not None:
        _require_folder(out)
    options = DiarisationOptions(fewest=fewest, most=most)
    recording, embedder = Recording.of(file), load_embedder(DEFAULT_EMBEDDER)
    offset_s = 0.0 if start_s is None else start_s
    audio = load_audio(recording, start_s=start_s, end_s=end_s)
    found = [one.moved(offset_s) for one in found_in(audio, embedder, opened.list(), options)]
    if out is not None:
        _write_clips(found, out)
    typer.echo(json.dumps([_heard(one) for one in found], indent=2, ensure_ascii=False) if as_json else _table(found))
    _keep(found, wanted, opened, embedder, str(recording), replace)


def _require_folder(out: Path) -> None:
    from softspoken.errors import ConfigError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be made ({error.strerror}); name another folder") from None


def _kept_as(text: str) -> tuple[str, str]:
    """'Speaker 2=carla' as its two names."""
    from softspoken.errors import ConfigError

    heard, mark, name = (part.strip() for part in text.partition("="))
    if not (heard and mark and name):
        raise ConfigError(f"--enrol '{text}'; give a voice of the recording and its name: --enrol 'Speaker 2=carla'")
    return heard, name


def _keep(
    found: "list[Found]",
    wanted: list[tuple[str, str]],
    store: "EnrolmentStore",
    embedder: "SpeakerEmbedder",
    recording: str,
    replace: bool,
) -> None:
    from datetime import UTC, datetime

    from softspoken.errors import SpeakerNotFound
    from softspoken.speakers.discovery import learned

    by_name = {one.voice.name: one for one in found}
    missing = [heard for heard, _ in wanted if heard not in by_name]
    if missing:
        raise SpeakerNotFound(f"no '{missing[0]}' in '{recording}'; there are: {', '.join(by_name) or 'no voices'}")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = [learned(by_name[heard], name, embedder, recording, now) for heard, name in wanted]
    store.add(made, replace=replace)
    for voice in made:
        typer.echo(f"enrolled '{voice.name}' from {voice.sources[0]}", err=True)


def _write_clips(found: "list[Found]", folder: Path) -> None:
    from softspoken.audio import write_wav

    for one in found:
        if one.voice.clip is not None:
            write_wav(folder / f"{one.voice.name}.wav", one.voice.clip)
    typer.echo(f"clips of each voice alone: {folder}", err=True)


def _heard(one: "Found") -> dict[str, Any]:
    return {
        "name": one.voice.name,
        "speaks_s": round(one.speaks_s, 2),
        "alone_s": round(one.alone_s, 2),
        "resembles": one.resembles,
        "likeness": one.likeness,
        "known": one.known,
        "speaks": [[round(start_s, 2), round(end_s, 2)] for start_s, end_s in one.speaks],
    }


def _table(found: "list[Found]") -> str:
    lines = ["VOICE         SPEAKS    ALONE  RESEMBLES"]
    for one in found:
        like = "-" if one.resembles is None else f"{one.resembles} ({one.likeness:.2f})"
        guess = like if one.known or one.resembles is None else f"nobody enrolled; nearest: {like}"
        lines.append(f"{one.voice.name:12} {one.speaks_s:5.0f} s  {one.alone_s:5.0f} s  {guess}")
    return "\n".join(lines)


@app.command("list")
def list_voices(as_json: AsJson = False, store: Store = None) -> None:
    """All enrolled voices, one a line."""
    opened = _open(store)
    voices = opened.list(clips=as_json)
    if as_json:
        typer.echo(json.dumps([_record(voice) for voice in voices], indent=2, ensure_ascii=False))
        return
    if not voices:
        typer.echo(f"no voices in {opened.path}; enrol one: softspoken speaker enrol NAME FILE", err=True)
        return
    width = max(len("NAME"), *(len(voice.name) for voice in voices))
    rows = [f"{one.name.ljust(width)}  {one.speech_s:5.1f} s  {one.created[:10]}  {one.embedder}" for one in voices]
    typer.echo("\n".join([f"{'NAME'.ljust(width)}  SPEECH   ENROLLED    EMBEDDER", *rows]))


@app.command("show")
def show(name: Name, as_json: AsJson = False, store: Store = None) -> None:
    """Show what is stored about one voice."""
    record = _record(_open(store).get(name))
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
    _open(store).rename(name, new_name, replace=replace)
    typer.echo(f"renamed '{name}' to '{new_name}'", err=True)


@app.command("remove")
def remove(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names of enrolled voices.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Forget every voice.")] = False,
    store: Store = None,
) -> None:
    """Forget voices; nothing of them can be read from the file afterwards."""
    from softspoken.errors import ConfigError

    opened = _open(store)
    if everyone == bool(names):
        raise ConfigError("which voices? give names, or --all alone")
    for name in names or []:
        opened.get(name)
    removed = opened.delete_all() if everyone else list(names or [])
    for name in names or []:
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
    typer.echo(_open(store).export(names or None, clips=clips))


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
    taken_in = _open(store).import_json(text, replace=replace)
    typer.echo(f"took in {', '.join(voice.name for voice in taken_in) or 'no voices'}", err=True)


@app.command("encrypt")
def encrypt(
    key: Annotated[
        str,
        typer.Option(help="File of the key, made where there is none, or 'keyring': the one of your system."),
    ],
    store: Store = None,
) -> None:
    """Encrypt all voices, those to come too. Without the key nobody can read them, you neither."""
    opened = _open(store)
    place = opened.encrypt(key)
    count = len(opened.names())
    typer.echo(f"the voices in {opened.path} ({count}) are encrypted; the key: {place}; lost without it", err=True)


@app.command("decrypt")
def decrypt(store: Store = None) -> None:
    """Keep the voices readable for whoever may read their file, as at first."""
    opened = _open(store)
    opened.decrypt()
    typer.echo(f"the voices in {opened.path} are readable again", err=True)


@app.command("fetch")
def fetch(embedder: Annotated[str, typer.Argument(help=f"{EMBEDDERS}.")] = DEFAULT_EMBEDDER) -> None:
    """Fetch a speaker embedder into the cache and verify it, so that later work needs no network."""
    from softspoken.speakers import load_embedder

    ready = load_embedder(embedder)
    typer.echo(f"{ready.name} is ready: {ready.dimension} dimensions")


def _open(store: Path | None) -> "EnrolmentStore":
    from softspoken.speakers import EnrolmentStore

    return EnrolmentStore(store)


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
