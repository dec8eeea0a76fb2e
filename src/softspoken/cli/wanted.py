"""Whose words a command writes, and who finds them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from softspoken.defaults import DEFAULT_BACKBONE

Runs = tuple[str, "EngineName", "Precision | None"]
"""Device, engine and precision."""

if TYPE_CHECKING:
    from softspoken.audio import Recording
    from softspoken.decoding import Conversation, DecodingOptions, Journal, Transcriber
    from softspoken.decoding.journal import OnSegment
    from softspoken.engines import EngineName, Precision
    from softspoken.speakers import EnrolmentStore


Everyone = Literal["no", "known", "all"]
"""Whether the voices are found in the recording: not at all, those of the store that are there, or strangers, too."""


@dataclass(frozen=True)
class Wanted:
    """Whose words are wanted, and who writes them."""

    transcriber: "Transcriber"
    voices: list[Any]
    """Enrolled; none: everybody's words."""
    options: "DecodingOptions"
    everyone: Everyone = "no"
    """Whether the voices of each recording are to be found: see `in_recording`."""

    def in_recording(self, recording: "Recording", say: Callable[[str], object]) -> "Wanted":
        """The same with the voices that are in this recording, where everyone's words are wanted; `say` is told who
        they are. Raises ConfigError for a recording that can be read only once."""
        if self.everyone == "no":
            return self
        from softspoken.audio import load_audio
        from softspoken.errors import ConfigError
        from softspoken.speakers.discovery import discover, followed

        if recording.path is None and not recording.is_samples:
            raise ConfigError("--everyone reads a recording twice, the standard input can be read once; give a file")
        following: Any = self.transcriber
        given = {voice.name for voice in self.voices}
        stored = [*self.voices, *(voice for voice in following.store.list() if voice.name not in given)]
        found = discover(load_audio(recording), following.embedder, stored)
        voices = followed(found, stored, known_only=self.everyone == "known")
        names = ", ".join(voice.name for voice in voices) or "nobody"
        unclear = [f"{one.voice.name} ({one.alone_s:.1f} s alone)" for one in found if not (one.clear or one.known)]
        left_out = f"; too little for a voice: {', '.join(unclear)}" if unclear else ""
        say(f"{recording}: {names}{left_out}")
        return replace(self, voices=voices)

    def transcribe(
        self, recording: "Recording", on_segment: "OnSegment", journal: "Journal | None" = None
    ) -> "Conversation":
        """The words in a recording; `on_segment` and `journal`: see `Transcriber.transcribe`."""
        from softspoken.decoding import Conversation

        following: Any = self.transcriber
        if self.everyone != "no" and not self.voices:
            return self.before(0.0)
        told = {"on_segment": on_segment, "journal": journal}
        if len(self.voices) > 1:
            several: Conversation = following.transcribe_conversation(recording, self.voices, self.options, **told)
            return several
        voice = self.voices[0] if self.voices else None
        return Conversation((following.transcribe(recording, voice, self.options, **told),))

    def before(self, duration_s: float) -> "Conversation":
        """The conversation of which nothing has been heard yet."""
        from softspoken.decoding import Conversation, Transcript
        from softspoken.decoding.plain import language_of

        names = [voice.name for voice in self.voices] or [None]
        language = language_of(self.options)
        return Conversation(tuple(Transcript((), language, duration_s, speaker=name) for name in names))

    def silent(self, found: "Conversation") -> list[str]:
        """One line for each voice that has no words."""
        said = getattr(self.transcriber, "why_empty", None)
        empty = [one for one in found.transcripts if not one.segments]
        return ["nothing said" if said is None or not self.voices else str(said(one)) for one in empty]

    @property
    def key(self) -> str:
        """Says all that decides what is written, but for the recording."""
        voices = [(voice.name, voice.vector.tobytes().hex()) for voice in self.voices]
        return repr((self.transcriber.identity, self.options.model_dump_json(), voices))


def load_wanted(
    speakers: list[str],
    store: str | None,
    prompt: str | None,
    backbone: str | None,
    runs: Runs,
    options: "DecodingOptions",
    everyone: Everyone = "no",
    threads: int | None = None,
) -> Wanted:
    """Load the models, and say what is odd about a voice. `speakers`: none for everybody's words, unless `everyone` is
    to be found; `threads`: of the processor, None for all.

    Raises ConfigError for two voices with one name.
    """
    from softspoken.decoding import PlainTranscriber, PromptedTranscriber, TargetSpeakerTranscriber

    device, engine, precision = runs
    share: dict[str, Any] = {} if threads is None else {"threads": threads}
    if speakers or everyone != "no":
        shipped = "shipped" if prompt is None else prompt
        own = None if store is None else open_store(store)
        following = TargetSpeakerTranscriber.from_pretrained(
            shipped, backbone, device, own, engine=engine, precision=precision, **share
        )
        return Wanted(following, _voices(following, speakers), options, everyone)
    if prompt is not None:
        return Wanted(PromptedTranscriber.from_pretrained(prompt, backbone, *runs, **share), [], options)
    named = DEFAULT_BACKBONE if backbone is None else backbone
    return Wanted(PlainTranscriber.from_pretrained(named, *runs, **share), [], options)


def _voices(following: Any, speakers: list[str]) -> list[Any]:
    voices = [following.voice(speaker) for speaker in speakers]
    for warning in (warning for voice in voices for warning in voice.warnings):
        typer.echo(f"softspoken: warning: {warning}", err=True)
    require_names_apart(voices)
    return voices


def require_names_apart(voices: list[Any]) -> None:
    """Raise ConfigError for two voices with one name."""
    from softspoken.errors import ConfigError

    names = [voice.name for voice in voices]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{names.count(name)} voices are called '{name}'; enrol them, or rename a clip")


def open_store(place: str | None) -> "EnrolmentStore":
    """The store that `--store` names. Raises ConfigError for one that nothing was ever kept in."""
    from softspoken.errors import ConfigError
    from softspoken.speakers import EnrolmentStore

    store = EnrolmentStore(place)
    if place is not None and not store.exists():
        raise ConfigError(f"--store {store.place} does not exist; leave it out for your own voices")
    return store


def require_voices(references: list[str], store: str | None) -> list[Path]:
    """Raise SpeakerNotFound or AudioError at once for a voice that cannot be found. The clips among them."""
    if not references:
        return []
    from softspoken.audio import require_readable
    from softspoken.speakers.store.lookup import find_voice

    own = open_store(store)
    found = [find_voice(reference, own) for reference in references]
    clips = [one for one in found if isinstance(one, Path)]
    for clip in clips:
        require_readable(clip)
    return clips
