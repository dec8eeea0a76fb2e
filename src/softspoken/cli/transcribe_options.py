"""What `softspoken transcribe` can be told, option by option."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from softspoken.cli.engines import EngineChoice, PrecisionChoice
from softspoken.cli.outputs import FileFormat


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
    ),
]
EveryoneOption = Annotated[
    bool,
    typer.Option(
        "--everyone",
        help="All enrolled voices that are there, and strangers as 'Speaker 1', ...; see speaker discover.",
    ),
]
KnownOnly = Annotated[bool, typer.Option("--known-only", help="As --everyone, without strangers.")]
Store = Annotated[Path | None, typer.Option(help="File of enrolled voices (default: that of `softspoken speaker`).")]
Plain = Annotated[
    bool, typer.Option("--plain", help="Write everybody's words, with plain Whisper or with --prompt short.")
]
Prompt = Annotated[
    str | None,
    typer.Option(
        help="'shipped' (the one for the backbone), a prompt's folder, or a hub repository; none with --plain."
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(help="The Whisper model to run (default: the one the prompt was made for; tiny.en with --plain)."),
]
Format = Annotated[
    FileFormat | None,
    typer.Option(
        "--format", help="What to write: text, subtitles, a page, ... (default: by the name of --out, else txt)."
    ),
]
Words = Annotated[bool, typer.Option("--words", help="Give every word its time, where the format has room for it.")]
Language = Annotated[
    str | None, typer.Option(help="Such as 'de' or 'German', for multilingual models (default: English).")
]
Beam = Annotated[int, typer.Option(min=1, max=64, help="Number of hypotheses in the beam search; 1 is fastest.")]
Timestamps = Annotated[
    bool,
    typer.Option("--timestamps/--no-timestamps", help="Let the model write when each sentence begins and ends."),
]
Vad = Annotated[bool, typer.Option("--vad", help="Find the speech first; skip the rest.")]
Insist = Annotated[bool, typer.Option("--insist", help="Write what there is, however little it sounds like the voice.")]
Channel = Annotated[
    Literal["mix", "left", "right", "each"],
    typer.Option(help="Channel to listen to; each: one after the other, as two recordings."),
]
Track = Annotated[
    int | None, typer.Option(min=1, help="Number of the audio track of a film (default: the film's own default).")
]
Partial = Annotated[
    bool, typer.Option("--partial", help="Take what can be read of a recording that is cut off or damaged.")
]
Raw = Annotated[int | None, typer.Option(metavar="HERTZ", help="The input is raw 16-bit mono PCM of this sample rate.")]
Engine = Annotated[EngineChoice, typer.Option(help="Software that runs the model; auto takes OpenVINO if installed.")]
Precision = Annotated[
    PrecisionChoice | None,
    typer.Option(help="Number format of the weights; int8 is the fastest (default: float32)."),
]
Out = Annotated[Path | None, typer.Option(help="Write to this file instead of the standard output.")]
OutDir = Annotated[Path | None, typer.Option(help="Write a file for each recording into this folder.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where a run that was stopped had got to (with --out or --out-dir).")
]
Device = Annotated[str, typer.Option(help="Device to run on: cpu, cuda, cuda:1 ...")]
