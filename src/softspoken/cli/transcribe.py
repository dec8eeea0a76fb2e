"""`softspoken transcribe`: a recording to the words of one voice."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from softspoken.cli.checks import require_backbone, require_prompt
from softspoken.cli.engines import EngineChoice, PrecisionChoice
from softspoken.cli.outputs import FileFormat, Output
from softspoken.cli.progress import Progress, clock
from softspoken.cli.trust import RequireSignature, require_signature_of
from softspoken.defaults import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from softspoken.audio import Recording
    from softspoken.decoding import DecodingOptions, Segment, Transcriber, Transcript
    from softspoken.engines import EngineName, Precision

    Runs = tuple[str, EngineName, Precision | None]
    """Device, engine and precision."""


def enrolled_names(incomplete: str) -> list[str]:
    """Names of voices, for the shell to complete."""
    from softspoken.speakers import EnrolmentStore

    return [name for name in EnrolmentStore().names() if name.startswith(incomplete)]


def transcribe(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Recordings, of any length; '-' is the standard input.")
    ],
    speaker: Annotated[
        list[str] | None,
        typer.Option(
            help="The voice to write down: its name if it is enrolled, or a clip of the voice alone.",
            autocompletion=enrolled_names,
        ),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Write everybody's words, with plain Whisper or with --prompt short.")
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option(
            help="'shipped' (the one for the backbone), a prompt's folder, or a hub repository; none with --plain."
        ),
    ] = None,
    require_signature: RequireSignature = False,
    backbone: Annotated[
        str | None,
        typer.Option(help="The Whisper model to run (default: the one the prompt was made for; tiny.en with --plain)."),
    ] = None,
    file_format: Annotated[
        FileFormat | None,
        typer.Option("--format", help="Write plain text, subtitles or JSON (default: by the name of --out, else txt)."),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Such as 'de' or 'German', for multilingual models (default: English).")
    ] = None,
    beam: Annotated[
        int, typer.Option(min=1, max=64, help="Number of hypotheses in the beam search; 1 is fastest.")
    ] = 1,
    timestamps: Annotated[
        bool,
        typer.Option("--timestamps/--no-timestamps", help="Let the model write when each sentence begins and ends."),
    ] = True,
    vad: Annotated[bool, typer.Option("--vad", help="Find the speech first; skip the rest.")] = False,
    insist: Annotated[
        bool, typer.Option("--insist", help="Write what there is, however little it sounds like the voice.")
    ] = False,
    channel: Annotated[
        Literal["mix", "left", "right", "each"],
        typer.Option(help="Channel to listen to; each: one after the other, as two recordings."),
    ] = "mix",
    track: Annotated[
        int | None, typer.Option(min=1, help="Number of the audio track of a film (default: the film's own default).")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what can be read of a recording that is cut off or damaged.")
    ] = False,
    raw: Annotated[
        int | None, typer.Option(metavar="HERTZ", help="The input is raw 16-bit mono PCM of this sample rate.")
    ] = None,
    engine: Annotated[
        EngineChoice, typer.Option(help="Software that runs the model; auto takes OpenVINO if it is installed.")
    ] = (EngineChoice.AUTO),
    precision: Annotated[
        PrecisionChoice | None,
        typer.Option(help="Number format of the weights; int8 is the fastest (default: float32)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of the standard output.")] = None,
    out_dir: Annotated[Path | None, typer.Option(help="Write a file for each recording into this folder.")] = None,
    device: Annotated[str, typer.Option(help="Device to run on: cpu, cuda, cuda:1 ...")] = "cpu",
) -> None:
    """Write what one voice says in recordings, and nothing else; nothing at all if it is silent there."""
    voice = _one_voice(speaker, plain, prompt, vad)
    spoken = _language(language, backbone)
    require_backbone(backbone, device)
    require_prompt(prompt)
    output = Output.of(out, out_dir, file_format, len(files) * (2 if channel == "each" else 1))
    if voice is not None:
        _require_voice(voice)
    jobs = _Jobs.of(files, channel, {"sample_rate": raw, "track": track, "partial": partial})

    from softspoken.decoding import DecodingOptions, WindowOptions

    cut: Any = "speech" if vad else "quiet"
    windows = WindowOptions(cut=cut, batch=1) if output.prints_lines else WindowOptions(cut=cut)
    options = DecodingOptions(language=spoken, timestamps=timestamps, beam_size=beam, windows=windows, insist=insist)
    runs: Runs = (device, engine.value, None if precision is None else precision.value)
    if require_signature and not (plain and prompt is None):
        require_signature_of("shipped" if prompt is None else prompt)
    wanted = _load(voice, prompt, backbone, runs, options)
    for recording in jobs.recordings:
        jobs.run(recording, wanted, output)
    output.save()
    if out is not None:
        typer.echo(f"written to {out}", err=True)
    jobs.report()


@dataclass(frozen=True)
class _Wanted:
    """Whose words are wanted, and who writes them."""

    transcriber: "Transcriber"
    voice: Any
    """None: everybody's words."""
    options: "DecodingOptions"

    def why_empty(self, transcript: "Transcript") -> str:
        said = getattr(self.transcriber, "why_empty", None)
        return "nothing said" if said is None or self.voice is None else str(said(transcript))


class _Jobs:
    """The recordings of one command, and what became of those that could not be used."""

    def __init__(self, recordings: "list[Recording]", failures: dict[str, str]) -> None:
        self.recordings, self._failures = recordings, failures
        self._alone = len(recordings) + len(failures) == 1
        self._written = 0

    @classmethod
    def of(cls, files: Sequence[str], channel: str, given: dict[str, Any]) -> "_Jobs":
        """Open every recording once; one that cannot be used is an error if it is alone, or if none can."""
        from softspoken.audio import Recording, require_readable
        from softspoken.errors import ConfigError, SoftspokenError

        if list(files).count("-") > 1:
            raise ConfigError("'-' is given twice; the standard input can be read once")
        recordings, failures = [], {}
        for file in files:
            try:
                recording = Recording.of(file, **given)
                sides = (channel,) if channel != "each" else ("left", "right")
                for side in sides:
                    one = recording if side == "mix" else recording.only(side)  # type: ignore[arg-type]
                    require_readable(one)
                    recordings.append(one)
            except SoftspokenError as error:
                if len(files) == 1:
                    raise
                failures[file] = str(error)
                typer.echo(f"softspoken: {error}", err=True)
        jobs = cls(recordings, failures)
        if not recordings:
            jobs.report()
        return jobs

    def run(self, recording: "Recording", wanted: _Wanted, output: Output) -> None:
        """Transcribe one; an error of ours is kept for the report, Ctrl-C keeps what is there."""
        from softspoken.errors import SoftspokenError

        if not self._alone:
            typer.echo(f"{recording}:", err=True)
        found: list[Segment] = []
        progress = Progress(recording.name, _length_s(recording))
        reached = [0.0]

        def heard(segment: "Segment") -> None:
            found.append(segment)
            if output.prints_lines:
                progress.clear()
                sys.stdout.write(segment.text + "\n")
                sys.stdout.flush()

        def read(seconds: float) -> None:
            reached[0] = seconds
            progress(seconds)

        try:
            transcript = wanted.transcriber.transcribe(
                replace(recording, on_read=read), wanted.voice, wanted.options, on_segment=heard
            )
        except KeyboardInterrupt:
            progress.clear()
            self._interrupted(recording, found, output, reached[0])
        except SoftspokenError as error:
            progress.clear()
            if self._alone:
                raise
            self._failures[recording.name] = str(error)
            typer.echo(f"softspoken: {error}", err=True)
            return
        progress.clear()
        if not transcript.segments:
            typer.echo(f"{recording}: {wanted.why_empty(transcript)}", err=True)
        output.add(recording.name, transcript)
        self._written += 1

    def _interrupted(self, recording: "Recording", found: "list[Segment]", output: Output, reached_s: float) -> None:
        from softspoken.decoding import Transcript

        if found:
            output.add(recording.name, Transcript(tuple(found), duration_s=round(reached_s, 3)), partial=True)
        output.save()
        kept = f"what was found so far is {'' if output.prints_lines else 'in '}{output.place(recording.name)}"
        until = f"at {clock(found[-1].end_s)}" if found else "before anything was found"
        typer.echo(f"softspoken: stopped in '{recording}' {until}" + (f"; {kept}" if found else ""), err=True)
        raise typer.Exit(130)

    def report(self) -> None:
        """At the end: which recordings are missing. Raises Exit with code 1 if there are any."""
        if not self._failures:
            return
        count = self._written + len(self._failures)
        typer.echo(f"softspoken: {len(self._failures)} of {count} recordings could not be transcribed:", err=True)
        for reason in self._failures.values():
            typer.echo(f"  {reason}", err=True)
        raise typer.Exit(1)


def _length_s(recording: "Recording") -> float | None:
    from softspoken.audio import promised_duration_s
    from softspoken.errors import SoftspokenError

    try:
        return promised_duration_s(recording)
    except SoftspokenError:
        return None


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


def _one_voice(speakers: list[str] | None, plain: bool, prompt: str | None, vad: bool) -> str | None:
    """Whose words; None: everybody's. Raises ConfigError for options that do not go together."""
    from softspoken.errors import ConfigError

    if speakers and len(speakers) > 1:
        raise ConfigError(f"--speaker is given {len(speakers)} times; one run writes one voice: run it once for each")
    speaker = speakers[0] if speakers else None
    if plain and speaker is not None:
        raise ConfigError("--plain follows no voice; leave out --speaker, or --plain")
    if not plain and speaker is None:
        raise ConfigError("whose words? give --speaker NAME or --speaker CLIP, or --plain for everybody's")
    if plain and prompt is None and vad:
        raise ConfigError("--vad cuts windows for a prompt, plain Whisper has its own; give --prompt short, too")
    return speaker


def _language(language: str | None, backbone: str | None) -> str | None:
    from softspoken.errors import ConfigError
    from softspoken.languages import language_code

    code = None if language is None else language_code(language)
    english = backbone is None or backbone.endswith(".en")
    if code not in (None, "en") and english:
        model = DEFAULT_BACKBONE if backbone is None else backbone
        raise ConfigError(f"--language {language} with '{model}', which knows English only; give --backbone base, too")
    return code


def _require_voice(reference: str) -> None:
    """Raise SpeakerNotFound or AudioError at once for a voice that cannot be found."""
    from softspoken.audio import require_readable
    from softspoken.speakers import EnrolmentStore
    from softspoken.speakers.store import find_voice

    found = find_voice(reference, EnrolmentStore())
    if isinstance(found, Path):
        require_readable(found)
