"""`softspoken prompt doctor`: whether a prompt does any good, on recordings that the package carries."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from softspoken.cli.engines import EngineChoice

if TYPE_CHECKING:
    from softspoken.demo.health import Signs


def doctor(
    reference: Annotated[
        str, typer.Argument(metavar="REF", help="'shipped', 'tiny.en', a folder, or a hub id owner/name.")
    ] = "shipped",
    engine: Annotated[
        EngineChoice, typer.Option(help="Software that runs the model; auto takes OpenVINO if it is installed.")
    ] = EngineChoice.AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """A minute's check that a prompt, which may be whole and still harm, does what it is for. Exit code 1 if not.

    It is compared with the prompt that comes with the package for the same model, where there is one.
    """
    from softspoken.demo.health import complaints
    from softspoken.errors import PromptError
    from softspoken.prompts.checkpoint import find_prompts, load_prompts, shipped_prompts
    from softspoken.prompts.integrity import read_integrity

    asked = load_prompts(reference).info
    signs = _signs(reference, engine)
    known = [
        name
        for name in shipped_prompts()
        if read_integrity(find_prompts(name)).identity != read_integrity(find_prompts(reference)).identity
        and load_prompts(name).info.backbone.fingerprint == asked.backbone.fingerprint
    ]
    sound = _signs(known[0], engine) if known else None
    found = complaints(signs, sound)
    if as_json:
        compared = None if sound is None else sound.as_json()
        typer.echo(json.dumps({"well": not found, "complaints": found, "signs": signs.as_json(), "sound": compared}))
    else:
        typer.echo(f"mixtures       {signs.mixed_errors} errors in {signs.mixed_words} words")
        typer.echo(f"plain Whisper  {signs.plain_errors}")
        typer.echo(f"a voice alone  {signs.alone_errors} errors in {signs.alone_words} words")
        typer.echo(f"nobody         {signs.silent_words} words")
    if found:
        raise PromptError(f"'{reference}' is not well: {'; '.join(found)}; do not use it")
    if not as_json:
        typer.echo(f"{reference}: well" + (f", compared with '{known[0]}'" if known else ""))


def _signs(reference: str, engine: EngineChoice) -> "Signs":
    from softspoken.decoding import TargetSpeakerTranscriber
    from softspoken.demo import load_recordings
    from softspoken.demo.health import Signs, examine

    def report(what: str) -> None:
        typer.echo(f"{reference}: {what}", err=True)

    transcriber = TargetSpeakerTranscriber.from_pretrained(reference, engine=engine.value)
    return Signs.total(examine(load_recordings(), transcriber, report).values())
