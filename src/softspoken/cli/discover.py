"""`softspoken speaker discover`: the voices of a recording, and enrolling one from what it says alone."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli.outputs import identities, require_folder, require_unread
from softspoken.cli.speaker_options import AsJson, Replace, Store, open_store
from softspoken.defaults import DEFAULT_EMBEDDER

if TYPE_CHECKING:
    from softspoken.speakers import EnrolmentStore, SpeakerEmbedder
    from softspoken.speakers.discovery import Found


def discover(
    file: Annotated[str, typer.Argument(help="A recording of several people; '-' is the standard input.")],
    out: Annotated[Path | None, typer.Option(help="Folder for a clip of each voice alone, to listen to.")] = None,
    start_s: Annotated[float | None, typer.Option("--from", help="Listen from this second on.")] = None,
    end_s: Annotated[float | None, typer.Option("--to", help="Listen up to this second.")] = None,
    fewest: Annotated[int, typer.Option(min=1, help="At least this many people speak.")] = 1,
    most: Annotated[int | None, typer.Option(min=1, help="At most this many people speak.")] = None,
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

    opened, wanted = open_store(store), [_kept_as(one) for one in keep or []]
    for _, name in wanted:
        opened.require_free(name, replace=replace)
    if out is not None:
        require_folder(out, "--out")
        for clip in out.glob("Speaker *.wav"):
            require_unread(f"the clip {clip} is", clip, identities([file]))
    options = DiarisationOptions(fewest=fewest, most=most)
    recording, embedder = Recording.of(file), load_embedder(DEFAULT_EMBEDDER)
    offset_s = 0.0 if start_s is None else start_s
    audio = load_audio(recording, start_s=start_s, end_s=end_s)
    found = [one.moved(offset_s) for one in found_in(audio, embedder, opened.list(), options)]
    if out is not None:
        _write_clips(found, out)
    typer.echo(json.dumps([_heard(one) for one in found], indent=2, ensure_ascii=False) if as_json else _table(found))
    _keep(found, wanted, opened, embedder, str(recording), replace)


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
