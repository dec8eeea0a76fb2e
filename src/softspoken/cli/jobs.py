"""The recordings of one command: each is transcribed, written and kept, and what fails is reported at the end."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from softspoken.cli.outputs import Output
from softspoken.cli.progress import Progress, clock
from softspoken.cli.wanted import Wanted

if TYPE_CHECKING:
    from softspoken.audio import Recording
    from softspoken.decoding import Journal, Segment


class Jobs:
    """The recordings of one command, and what became of those that could not be used."""

    def __init__(self, recordings: "list[Recording]", failures: dict[str, str]) -> None:
        self.recordings, self._failures = recordings, failures
        self._alone = len(recordings) + len(failures) == 1
        self._written = 0

    @classmethod
    def of(cls, files: Sequence[str], channel: str, given: dict[str, Any]) -> "Jobs":
        """Open every recording once; one that cannot be used is an error if it is alone, or if none can."""
        from softspoken.audio import Recording, require_readable
        from softspoken.errors import ConfigError, SoftspokenError

        if list(files).count("-") > 1:
            raise ConfigError("'-' is given twice; the standard input can be read once")
        recordings, failures = [], {}
        for file in files:
            try:
                recording = replace(Recording.of(file, **given), salvage="take what is there with --partial")
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
            jobs._report()
        return jobs

    def run(self, wanted: Wanted, output: Output) -> None:
        """Transcribe all; raises Exit with code 1 if some could not be. What would help a later run to go on is removed
        when all are done."""
        journals = [self._one(recording, wanted, output) for recording in self.recordings]
        output.save()
        for journal in journals:
            if journal is not None:
                journal.remove()
        if output.out is not None:
            typer.echo(f"written to {output.out}", err=True)
        self._report()

    def _one(self, recording: "Recording", wanted: Wanted, output: Output) -> "Journal | None":
        """An error of ours is kept for the report, Ctrl-C keeps what is there. Its journal stays unless the recording
        itself is bad, with which no later run could go on."""
        from softspoken.decoding import conversation_of
        from softspoken.errors import AudioError, SoftspokenError

        if not self._alone:
            typer.echo(f"{recording}:", err=True)
        journal: Journal | None = None
        progress = Progress(recording.name, _length_s(recording))
        found: list[Segment] = []
        reached_s = 0.0

        def heard(segment: "Segment") -> None:
            found.append(segment)
            if output.prints_lines:
                progress.clear()
                sys.stdout.write(output.line(segment))
                sys.stdout.flush()
            elif output.due:
                so_far = conversation_of(found, wanted.before(round(reached_s, 3)))
                output.add(recording.name, so_far, partial=True)

        def read(seconds: float) -> None:
            nonlocal reached_s
            reached_s = seconds
            progress(seconds)

        try:
            wanted = wanted.in_recording(recording, partial(typer.echo, err=True))
            journal = _journal(recording, wanted, output)
            whole = wanted.transcribe(replace(recording, on_read=read), heard, journal)
            progress.clear()
            for line in wanted.silent(whole):
                typer.echo(f"{recording}: {line}", err=True)
            output.add(recording.name, whole)
        except KeyboardInterrupt:
            progress.clear()
            if found:
                so_far = conversation_of(found, wanted.before(round(reached_s, 3)))
                output.add(recording.name, so_far, partial=True)
            self._interrupted(recording, found, output, journal)
        except SoftspokenError as error:
            progress.clear()
            if journal is not None and isinstance(error, AudioError):
                journal.remove()
            self._failed(recording, error)
            return None
        self._written += 1
        return journal

    def _failed(self, recording: "Recording", error: Exception) -> None:
        if self._alone:
            raise error
        self._failures[recording.name] = str(error)
        typer.echo(f"softspoken: {error}", err=True)

    def _interrupted(
        self, recording: "Recording", found: "list[Segment]", output: Output, journal: "Journal | None"
    ) -> None:
        output.save()
        kept = f"what was found so far is {'' if output.prints_lines else 'in '}{output.place(recording.name)}"
        until = f"at {clock(found[-1].end_s)}" if found else "before anything was found"
        there = found or (self._written and output.folder is None)
        goes_on = "; --resume goes on there" if journal is not None else ""
        typer.echo(f"softspoken: stopped in '{recording}' {until}" + (f"; {kept}" if there else "") + goes_on, err=True)
        raise typer.Exit(130)

    def _report(self) -> None:
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


def _journal(recording: "Recording", wanted: Wanted, output: Output) -> "Journal | None":
    """Where the run keeps what it has done; None where nothing is kept: on a terminal, of what can be read once."""
    from softspoken.decoding import Journal
    from softspoken.errors import ConfigError

    path, source = output.journal(recording.name), recording.path
    if path is None or source is None:
        return None
    with Path(source).open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    facts = (content, recording.sample_rate, recording.track, recording.channel, recording.partial)
    key = hashlib.sha256(f"{facts!r} {wanted.key}".encode()).hexdigest()
    try:
        journal = Journal(path, key, output.resume)
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written ({error.strerror}); give --out in another folder") from None
    if journal.steps:
        typer.echo(f"{recording}: going on at {clock(journal.steps[-1].position / 16_000)}", err=True)
    elif output.resume:
        typer.echo(f"{recording}: nothing to go on from here; from its beginning", err=True)
    return journal
