"""`softspoken transcribe`: a recording to the words of one voice."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli.engines import EngineChoice, PrecisionChoice
from softspoken.cli.trust import RequireSignature, require_signature_of
from softspoken.defaults import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from softspoken.decoding import DecodingOptions, Segment, Transcriber, Transcript
    from softspoken.engines import EngineName, Precision

    Runs = tuple[str, EngineName, Precision | None]
    """Device, engine and precision."""


class FileFormat(StrEnum):
    """What `--format` takes."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"


def transcribe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, of any length.")],
    speaker: Annotated[
        str | None,
        typer.Option(help="The voice to write down: its name if it is enrolled, or a clip of the voice alone."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Write everybody's words, with plain Whisper or with --prompt short.")
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="'shipped', the folder of a prompt, or a hub repository (default: shipped; none with --plain)."
        ),
    ] = None,
    require_signature: RequireSignature = False,
    backbone: Annotated[
        str | None,
        typer.Option(help="The Whisper model to run (default: the one the prompt was made for; tiny.en with --plain)."),
    ] = None,
    file_format: Annotated[
        FileFormat, typer.Option("--format", help="Write plain text, subtitles or JSON.")
    ] = FileFormat.TXT,
    language: Annotated[
        str | None, typer.Option(help="Language code, such as 'de', for multilingual models (default: en).")
    ] = None,
    beam: Annotated[
        int, typer.Option(min=1, max=64, help="Number of hypotheses in the beam search; 1 is fastest.")
    ] = 1,
    timestamps: Annotated[
        bool,
        typer.Option("--timestamps/--no-timestamps", help="Let the model write when each sentence begins and ends."),
    ] = True,
    vad: Annotated[bool, typer.Option("--vad", help="Find the speech first; skip the rest.")] = False,
    engine: Annotated[
        EngineChoice, typer.Option(help="Software that runs the model; auto takes OpenVINO if it is installed.")
    ] = (EngineChoice.AUTO),
    precision: Annotated[
        PrecisionChoice | None,
        typer.Option(help="Number format of the weights; int8 is the fastest (default: float32)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of the standard output.")] = None,
    device: Annotated[str, typer.Option(help="Device to run on: cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """Write what one voice says in recordings, and nothing else; nothing at all if it is silent there."""
    from softspoken.audio import require_readable

    _check(files, speaker, plain, prompt, vad, file_format)
    for file in files:
        require_readable(file)

    from softspoken.decoding import DecodingOptions, WindowOptions

    windows = WindowOptions(cut="speech" if vad else "quiet")
    options = DecodingOptions(language=language, timestamps=timestamps, beam_size=beam, windows=windows)
    runs: Runs = (device, engine.value, None if precision is None else precision.value)
    if require_signature and not (plain and prompt is None):
        require_signature_of("shipped" if prompt is None else prompt)
    wanted = _load(speaker, prompt, backbone, runs, options)
    if file_format is FileFormat.TXT and out is None:
        _print_lines(files, wanted)
        return
    text = _rendered(files, wanted, file_format)
    if out is None:
        sys.stdout.write(text)
        return
    _write(out, text)
    typer.echo(f"written to {out}", err=True)


@dataclass(frozen=True)
class _Wanted:
    """Whose words are wanted, and who writes them."""

    transcriber: "Transcriber"
    voice: Any
    """None: everybody's words."""
    options: "DecodingOptions"

    def transcribe(self, file: Path) -> "Transcript":
        return self.transcriber.transcribe(file, self.voice, self.options)

    def stream(self, file: Path) -> "Iterator[Segment]":
        return self.transcriber.stream(file, self.voice, self.options)


def _load(
    speaker: str | None, prompt: str | None, backbone: str | None, runs: "Runs", options: "DecodingOptions"
) -> _Wanted:
    from softspoken.decoding import PlainTranscriber, PromptedTranscriber, TargetSpeakerTranscriber

    device, engine, precision = runs
    if speaker is not None:
        following = TargetSpeakerTranscriber.from_pretrained(
            "shipped" if prompt is None else prompt, backbone, device, engine=engine, precision=precision
        )
        voice = following.voice(speaker)
        for warning in voice.warnings:
            typer.echo(f"softspoken: warning: {warning}", err=True)
        return _Wanted(following, voice, options)
    if prompt is not None:
        return _Wanted(PromptedTranscriber.from_pretrained(prompt, backbone, *runs), None, options)
    named = DEFAULT_BACKBONE if backbone is None else backbone
    return _Wanted(PlainTranscriber.from_pretrained(named, device, engine, precision), None, options)


def _check(
    files: Sequence[Path], speaker: str | None, plain: bool, prompt: str | None, vad: bool, file_format: FileFormat
) -> None:
    """Raises ConfigError for options that do not go together."""
    from softspoken.errors import ConfigError

    if plain and speaker is not None:
        raise ConfigError("--plain follows no voice; leave out --speaker, or --plain")
    if not plain and speaker is None:
        raise ConfigError("whose words? give --speaker NAME or --speaker CLIP, or --plain for everybody's")
    if plain and prompt is None and vad:
        raise ConfigError("--vad cuts windows for a prompt, plain Whisper has its own; give --prompt short, too")
    if file_format in (FileFormat.SRT, FileFormat.VTT) and len(files) > 1:
        raise ConfigError(f"{len(files)} recordings as one {file_format.value}; give one, or --format json")


def _print_lines(files: Sequence[Path], wanted: _Wanted) -> None:
    """Every segment as soon as it is there."""
    for file in files:
        _announce(file, files)
        count = 0
        for segment in wanted.stream(file):
            sys.stdout.write(segment.text + "\n")
            sys.stdout.flush()
            count += 1
        if count == 0:
            typer.echo(f"{file}: nothing said", err=True)


def _rendered(files: Sequence[Path], wanted: _Wanted, file_format: FileFormat) -> str:
    """One text; as JSON one line a recording."""
    from softspoken.decoding import as_dict, render

    texts = []
    for file in files:
        _announce(file, files)
        transcript = wanted.transcribe(file)
        if not transcript.segments:
            typer.echo(f"{file}: nothing said", err=True)
        if file_format is FileFormat.JSON:
            texts.append(json.dumps({"file": str(file), **as_dict(transcript)}, ensure_ascii=False) + "\n")
        else:
            texts.append(render(transcript, file_format.value))
    return "".join(texts)


def _announce(file: Path, files: Sequence[Path]) -> None:
    if len(files) > 1:
        typer.echo(f"{file}:", err=True)


def _write(out: Path, text: str) -> None:
    """All of it or nothing."""
    from softspoken.errors import ConfigError
    from softspoken.files import replace_text

    try:
        replace_text(out, text)
    except OSError as error:
        reason = error.strerror if error.strerror is not None else str(error)
        raise ConfigError(f"--out {out} cannot be written ({reason}); name a file in a folder that exists") from error
