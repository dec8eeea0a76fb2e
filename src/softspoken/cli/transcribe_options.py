"""What `softspoken transcribe` can be told, option by option; `listen` and `serve` take some of these, too."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from softspoken.cli.engines import EngineChoice, PrecisionChoice
from softspoken.cli.outputs import FileFormat

WHOSE, RECORDING, WRITTEN, MODEL = "Whose words", "The recording", "What is written", "The model"
"""Headings of the help."""


def enrolled_names(incomplete: str) -> list[str]:
    """Names of voices, for the shell to complete."""
    from softspoken.speakers import EnrolmentStore

    return [name for name in EnrolmentStore().names() if name.startswith(incomplete)]


Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Recordings, of any length; '-' is the standard input.")
]
Speakers = Annotated[
    list[str] | None,
    typer.Option(
        help="A voice to write down: its name if it is enrolled, or a clip of the voice alone. Give it once for each.",
        autocompletion=enrolled_names,
        rich_help_panel=WHOSE,
    ),
]
EveryoneOption = Annotated[
    bool,
    typer.Option(
        "--everyone",
        help="All enrolled voices that are there, and strangers as 'Speaker 1', ...; see speaker discover.",
        rich_help_panel=WHOSE,
    ),
]
KnownOnly = Annotated[
    bool, typer.Option("--known-only", help="Like --everyone, but without strangers.", rich_help_panel=WHOSE)
]
Store = Annotated[
    str | None,
    typer.Option(
        help="File of enrolled voices, or a database, as postgresql://... (default: that of `softspoken speaker`).",
        rich_help_panel=WHOSE,
    ),
]
Plain = Annotated[
    bool,
    typer.Option(
        "--plain", help="Write everybody's words, with plain Whisper or with --prompt short.", rich_help_panel=WHOSE
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        help="'shipped' (the one for the backbone; default for following voices), a prompt's folder or hub repository.",
        rich_help_panel=MODEL,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="The Whisper model to run (default: the one the prompt was made for; tiny.en without a prompt).",
        rich_help_panel=MODEL,
    ),
]
Format = Annotated[
    FileFormat | None,
    typer.Option(
        "--format",
        help="What to write: text, subtitles, a page, ... (default: by the name of --out, else txt).",
        rich_help_panel=WRITTEN,
    ),
]
Words = Annotated[
    bool,
    typer.Option(
        "--words", help="Give every word its time, where the format has room for it.", rich_help_panel=WRITTEN
    ),
]
Language = Annotated[
    str | None,
    typer.Option(help="Such as 'de' or 'German', for multilingual models (default: English).", rich_help_panel=MODEL),
]
Beam = Annotated[
    int,
    typer.Option(min=1, max=64, help="Number of hypotheses in the beam search; 1 is fastest.", rich_help_panel=MODEL),
]
Timestamps = Annotated[
    bool,
    typer.Option(
        "--timestamps/--no-timestamps",
        help="Let the model write when each sentence begins and ends.",
        rich_help_panel=WRITTEN,
    ),
]
Vad = Annotated[bool, typer.Option("--vad", help="Find the speech first; skip the rest.", rich_help_panel=RECORDING)]
Insist = Annotated[
    bool,
    typer.Option(
        "--insist", help="Write the words even if the voice does not seem to be there.", rich_help_panel=WHOSE
    ),
]
Channel = Annotated[
    Literal["mix", "left", "right", "each"],
    typer.Option(help="Channel to listen to; each: one after the other, as two recordings.", rich_help_panel=RECORDING),
]
Track = Annotated[
    int | None,
    typer.Option(
        min=1, help="Number of the audio track of a film (default: the film's own default).", rich_help_panel=RECORDING
    ),
]
Partial = Annotated[
    bool,
    typer.Option(
        "--partial", help="Use what can be read of a recording that is cut off or damaged.", rich_help_panel=RECORDING
    ),
]
Raw = Annotated[
    int | None,
    typer.Option(
        min=1_000,
        max=768_000,
        metavar="HERTZ",
        help="The input is raw 16-bit mono PCM of this sample rate.",
        rich_help_panel=RECORDING,
    ),
]
Engine = Annotated[
    EngineChoice,
    typer.Option(help="Software that runs the model; auto takes OpenVINO if installed.", rich_help_panel=MODEL),
]
Precision = Annotated[
    PrecisionChoice | None,
    typer.Option(help="Number format of the weights; int8 is the fastest (default: float32).", rich_help_panel=MODEL),
]
Out = Annotated[
    Path | None, typer.Option(help="Write to this file instead of the standard output.", rich_help_panel=WRITTEN)
]
OutDir = Annotated[
    Path | None, typer.Option(help="Write a file for each recording into this folder.", rich_help_panel=WRITTEN)
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Carry on where a stopped run left off (with --out or --out-dir).",
        rich_help_panel=WRITTEN,
    ),
]
Device = Annotated[str, typer.Option(help="Device to run on: cpu, cuda, cuda:1 ...", rich_help_panel=MODEL)]
