"""`softspoken transcribe`: a recording to the words of one voice."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softspoken.cli.engines import EngineChoice, PrecisionChoice
from softspoken.defaults import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from softspoken.decoding import DecodingOptions, Segment, Transcript
    from softspoken.engines import EngineName, Precision

    Runs = tuple[str, EngineName, Precision | None]
    """Device, engine and precision."""
    Whole = Callable[[Path], Transcript]
    Stream = Callable[[Path], Iterator[Segment]]


class FileFormat(StrEnum):
    """What `--format` takes."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"


def transcribe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, of any length.")],
    speaker: Annotated[
        str | None, typer.Option(help="Whose words: an enrolled voice's name, or a clip of the voice alone.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Everybody's words: plain Whisper, or under --prompt short.")
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option(help="'shipped', a prompt's folder, or a hub repository (default: shipped; with --plain, none)."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Frozen Whisper (default: the prompt's own; with --plain, tiny.en).")
    ] = None,
    file_format: Annotated[FileFormat, typer.Option("--format", help="Of the output.")] = FileFormat.TXT,
    language: Annotated[
        str | None, typer.Option(help="A code such as 'de', for multilingual backbones (default: en).")
    ] = None,
    beam: Annotated[int, typer.Option(min=1, max=64, help="Hypotheses in the search; 1 is fastest.")] = 1,
    timestamps: Annotated[
        bool, typer.Option("--timestamps/--no-timestamps", help="Let the model time its sentences.")
    ] = True,
    vad: Annotated[
        bool, typer.Option("--vad", help="Cut windows in pauses, and leave out what holds no speech.")
    ] = False,
    engine: Annotated[EngineChoice, typer.Option(help="What runs the model; auto: openvino where it can.")] = (
        EngineChoice.AUTO
    ),
    precision: Annotated[
        PrecisionChoice | None, typer.Option(help="Of the weights; int8 is the fastest (default: float32).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of the standard output.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """Write what one voice says in recordings, and nothing else; nothing at all if it is silent there."""
    from softspoken.decoding import DecodingOptions, WindowOptions

    _check(files, speaker, plain, prompt, vad, file_format)
    windows = WindowOptions(cut="speech" if vad else "quiet")
    options = DecodingOptions(language=language, timestamps=timestamps, beam_size=beam, windows=windows)
    runs: Runs = (device, engine.value, None if precision is None else precision.value)
    if speaker is not None:
        whole, stream = _prompted("shipped" if prompt is None else prompt, backbone, runs, speaker, options)
    elif prompt is not None:
        whole, stream = _everybody(prompt, backbone, runs, options)
    else:
        whole, stream = _plain(backbone, runs, options)
    if file_format is FileFormat.TXT and out is None:
        _print_lines(files, stream)
        return
    text = _rendered(files, whole, file_format)
    if out is None:
        sys.stdout.write(text)
        return
    _write(out, text)
    typer.echo(f"written to {out}", err=True)


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


def _plain(backbone: str | None, runs: "Runs", options: "DecodingOptions") -> "tuple[Whole, Stream]":
    from softspoken.decoding import stream_plain, transcribe_plain
    from softspoken.engines import load_engine

    device, engine, precision = runs
    loaded = load_engine(DEFAULT_BACKBONE if backbone is None else backbone, engine, precision, device)
    return (
        lambda file: transcribe_plain(loaded, file, options),
        lambda file: stream_plain(loaded, file, options),
    )


def _everybody(prompt: str, backbone: str | None, runs: "Runs", options: "DecodingOptions") -> "tuple[Whole, Stream]":
    from softspoken.decoding import PromptedTranscriber

    transcriber = PromptedTranscriber.from_pretrained(prompt, backbone, *runs)
    return (
        lambda file: transcriber.transcribe(file, options),
        lambda file: transcriber.stream(file, options),
    )


def _prompted(
    prompt: str, backbone: str | None, runs: "Runs", speaker: str, options: "DecodingOptions"
) -> "tuple[Whole, Stream]":
    from softspoken.decoding import TargetSpeakerTranscriber

    device, engine, precision = runs
    transcriber = TargetSpeakerTranscriber.from_pretrained(prompt, backbone, device, engine=engine, precision=precision)
    voice = transcriber.voice(speaker)
    for warning in voice.warnings:
        typer.echo(f"softspoken: warning: {warning}", err=True)
    return (
        lambda file: transcriber.transcribe(file, voice, options),
        lambda file: transcriber.stream(file, voice, options),
    )


def _print_lines(files: Sequence[Path], stream: "Stream") -> None:
    """Every segment as soon as it is there."""
    for file in files:
        _announce(file, files)
        count = 0
        for segment in stream(file):
            sys.stdout.write(segment.text + "\n")
            sys.stdout.flush()
            count += 1
        if count == 0:
            typer.echo(f"{file}: nothing said", err=True)


def _rendered(files: Sequence[Path], whole: "Whole", file_format: FileFormat) -> str:
    """One text; as JSON one line a recording."""
    from softspoken.decoding import as_dict, render

    texts = []
    for file in files:
        _announce(file, files)
        transcript = whole(file)
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
