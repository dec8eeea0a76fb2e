"""`softspoken listen`: words while they are said, from a microphone or the standard input."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softspoken.cli import transcribe_options as given
from softspoken.cli.checks import language_given, require_backbone, require_prompt
from softspoken.cli.engines import EngineChoice
from softspoken.cli.outputs import FileFormat, Output
from softspoken.cli.wanted import Runs, load_wanted, require_voices

if TYPE_CHECKING:
    from softspoken.decoding import Conversation
    from softspoken.live import LiveEvent, LiveTranscriber, Said


def listen(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[-]", help="'-' listens to the standard input (with --raw) instead of a microphone."),
    ] = None,
    speaker: given.Speakers = None,
    everyone: Annotated[
        bool,
        typer.Option(
            "--everyone",
            help="Follow all enrolled voices; each costs time even while it is silent.",
            rich_help_panel=given.WHOSE,
        ),
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Write everybody's words, strangers' too.", rich_help_panel=given.WHOSE)
    ] = False,
    raw: given.Raw = None,
    device: Annotated[
        str | None, typer.Option(help="Microphone to listen to: its number or a part of its name.")
    ] = None,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="Print the microphones and exit.")] = False,
    prompt: given.Prompt = None,
    backbone: given.Backbone = None,
    language: given.Language = None,
    step: Annotated[float, typer.Option(min=0.1, help="Seconds of new audio before the transcript is updated.")] = 0.6,
    out: Annotated[Path | None, typer.Option(help="Keep the transcript in this file, too.")] = None,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Format of --out (default: by its name, else txt).")
    ] = None,
    engine: given.Engine = EngineChoice.AUTO,
    precision: given.Precision = None,
) -> None:
    """Transcribe live, until Ctrl-C. Words that have been written do not change again."""
    from softspoken.audio.streams import microphone, microphones, raw_stream
    from softspoken.errors import ConfigError

    if list_devices:
        typer.echo("\n".join(microphones()) or "no microphone")
        return
    if [plain, everyone, bool(speaker)].count(True) != 1:
        raise ConfigError("whose words? give --speaker NAME or CLIP, --everyone (who is enrolled), or --plain (all)")
    if source not in (None, "-") or (source == "-") != (raw is not None):
        raise ConfigError("raw sound from the standard input is '- --raw 16000'; without both it is a microphone")
    require_backbone(backbone, "cpu")
    require_prompt(prompt)
    spoken = language_given(language, backbone, prompt)
    speakers = _enrolled() if everyone else speaker or []
    clips = require_voices(speakers, None)
    if raw is not None and (sys.stdin is None or sys.stdin.isatty()):
        raise ConfigError("'-' is the standard input, and nothing is piped into it; pipe raw sound in")
    if raw is None:
        # Without sounddevice or a library of its own it says so before a model is loaded.
        microphones()
    kept = _Kept(out, file_format, clips)
    runs: Runs = ("cpu", engine.value, None if precision is None else precision.value)
    live = _load(speakers, prompt, backbone, spoken, step, runs)
    number = int(device) if device is not None and device.isdecimal() else device
    blocks = microphone(number) if raw is None else raw_stream(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer), raw)
    _follow(live, blocks, _Screen(several=len(speakers) > 1), kept)


def _enrolled() -> list[str]:
    """All names. Raises ConfigError where there is none."""
    from softspoken.errors import ConfigError
    from softspoken.speakers import EnrolmentStore

    names = EnrolmentStore().names()
    if not names:
        raise ConfigError("--everyone follows enrolled voices, and there is none; enrol one: softspoken speaker enrol")
    return names


def _load(
    speakers: list[str],
    prompt: str | None,
    backbone: str | None,
    language: str | None,
    step_s: float,
    runs: Runs,
) -> "LiveTranscriber":
    from softspoken.live import LiveOptions, LiveTranscriber
    from softspoken.prompts.short import SHORT

    options = LiveOptions(step_s=step_s)
    decoding = options.decoding.model_copy(update={"language": language})
    options = options.model_copy(update={"decoding": decoding})
    everybodys = SHORT if prompt is None else prompt
    wanted = load_wanted(speakers, None, prompt if speakers else everybodys, backbone, runs, decoding)
    transcriber: Any = wanted.transcriber
    return LiveTranscriber.of(transcriber, wanted.voices, options)


def _follow(live: "LiveTranscriber", blocks: Iterator[Any], screen: "_Screen", kept: "_Kept") -> None:
    """Until the sound ends, somebody presses Ctrl-C, or nobody reads any more; what was said till then is kept."""
    typer.echo("softspoken: listening; Ctrl-C ends it", err=True)
    try:
        for block in blocks:
            _tell(live.feed(block), live, screen, kept)
            if screen.left:
                break
    except KeyboardInterrupt:
        pass
    finally:
        _tell(live.finish(), live, screen, kept)
        screen.end()
        kept.save(live.position_s)
    if kept.out is not None:
        typer.echo(f"written to {kept.out}", err=True)


def _tell(events: "Sequence[LiveEvent]", live: "LiveTranscriber", screen: "_Screen", kept: "_Kept") -> None:
    from softspoken.live import Confirmed, Pace, Partial, Said

    for event in events:
        if isinstance(event, Confirmed):
            screen.write(event.speaker, event.text)
        elif isinstance(event, Partial):
            screen.partial(event.speaker, event.text)
        elif isinstance(event, Said):
            screen.over(event.speaker)
            kept.add(event, live.position_s)
        elif isinstance(event, Pace):
            screen.note(f"softspoken: an attempt every {event.step_s:g} s, as fast as this machine can")


class _Screen:
    """Confirmed words on the standard output, a line a stretch; on a terminal what follows them for now, dim."""

    def __init__(self, several: bool) -> None:
        self._several = several
        self._line = ""
        self._speaker: str | None = None
        self._terminal = sys.stdout.isatty()
        self.left = False
        """Whether the reader has left, as `head` does."""

    def write(self, speaker: str | None, text: str) -> None:
        """Words that stay."""
        if self._line and speaker != self._speaker:
            self._break()
        self._speaker = speaker
        for word in text.split(" "):
            if self._terminal and len(self._line) + len(word) + 1 >= self._width:
                self._break()
            head = f"{speaker}: " if self._several and not self._line else ""
            text = f"{head or (' ' if self._line else '')}{word}"
            self._line += text
            self._show(f"\r\x1b[K{self._line}" if self._terminal else text)

    def partial(self, speaker: str | None, text: str) -> None:
        """Words that may change."""
        if not self._terminal or (self._line and speaker != self._speaker):
            return
        room = self._width - len(self._line) - 2
        shown = text if len(text) <= room else text[: max(room - 1, 0)] + "…"
        space = " " if self._line and shown else ""
        self._show(f"\r\x1b[K{self._line}{space}\x1b[2m{shown}\x1b[22m")

    def over(self, speaker: str | None) -> None:
        """A stretch is over."""
        if self._line and speaker == self._speaker:
            self._break()

    def note(self, text: str) -> None:
        """Something about the machine."""
        self.end()
        typer.echo(text, err=True)

    def end(self) -> None:
        """Leave the last line."""
        if self._line:
            self._break()

    @property
    def _width(self) -> int:
        return shutil.get_terminal_size().columns

    def _break(self) -> None:
        self._show(f"\r\x1b[K{self._line}\n" if self._terminal else "\n")
        self._line = ""

    def _show(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            self.left = True


class _Kept:
    """The transcript so far, and the file that it is kept in."""

    def __init__(self, out: Path | None, file_format: FileFormat | None, clips: Sequence[Path]) -> None:
        """Raises ConfigError for a place where nothing can be written, or where one of the voices' clips is."""
        self.out = out
        self._output = None if out is None else Output.of(out, None, file_format, ["microphone"], clips)
        self._said: list[Said] = []

    def add(self, said: "Said", position_s: float) -> None:
        """A stretch; every few seconds all of them are written."""
        self._said.append(said)
        if self._output is not None and self._output.due:
            self.save(position_s)

    def save(self, position_s: float) -> None:
        """Write the file anew."""
        if self._output is not None:
            self._output.add("microphone", self._conversation(position_s))
            self._output.save()

    def _conversation(self, position_s: float) -> "Conversation":
        from softspoken.decoding import Conversation, Segment, Transcript

        def of(speaker: str | None) -> Transcript:
            said = [one for one in self._said if one.speaker == speaker]
            segments = [Segment(one.start_s, one.end_s, one.text) for one in said]
            return Transcript(tuple(segments), duration_s=round(position_s, 3), speaker=speaker)

        return Conversation(tuple(of(speaker) for speaker in dict.fromkeys(one.speaker for one in self._said)))
