"""Only the words of one voice: the voice, the prompt and the frozen backbone joined."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from softspoken.audio import AudioLike
from softspoken.decoding.conditioning import Speaker, find_voice, told_apart, window_embedder
from softspoken.decoding.conversation import Conversation
from softspoken.decoding.journal import Journal, OnSegment, run_through, segments_of
from softspoken.decoding.longform import Reader, audio_blocks
from softspoken.decoding.options import DecodingOptions, options_under
from softspoken.decoding.plain import PlainTranscriber, language_of
from softspoken.decoding.result import Segment, Transcript, VoiceWindow
from softspoken.decoding.settlement import Verification, needed_likeness
from softspoken.decoding.target_session import TargetSession, decode_session
from softspoken.engines.base import Engine, Precision
from softspoken.engines.load import EngineName, load_engine
from softspoken.errors import ConfigError
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts
from softspoken.prompts.fit import prompt_for, require_fit
from softspoken.speakers import DEFAULT_EMBEDDER, Enrolment, EnrolmentStore, SpeakerEmbedder, load_embedder


class Transcriber(Protocol):
    """What every front door does: `PlainTranscriber`, `PromptedTranscriber` and `TargetSpeakerTranscriber`."""

    @property
    def identity(self) -> str:
        """Says which models, in which precision: equal ones write the same."""
        ...

    def transcribe(
        self,
        audio: AudioLike,
        speaker: Any,
        options: DecodingOptions | None = None,
        *,
        sample_rate: int | None = None,
        on_segment: OnSegment | None = None,
        journal: Journal | None = None,
    ) -> Transcript:
        """The words of a recording that `speaker` says; None: everybody's, where no voice is followed.

        `audio`: a path, bytes, an open file or samples (see `AudioLike`), these at `sample_rate` (None: 16 kHz);
        `on_segment`: called with each segment as soon as it is there; `journal`: keeps what is done, and what a run
        before did is taken from it.
        """
        ...

    def stream(
        self, audio: AudioLike, speaker: Any, options: DecodingOptions | None = None, *, sample_rate: int | None = None
    ) -> Iterator[Segment]:
        """`transcribe`, segment by segment as they are found, in order."""
        ...


class TargetSpeakerTranscriber:
    """Transcribes what one enrolled voice says in a recording, and nothing else. Safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        prompts: LoadedPrompts,
        embedder: SpeakerEmbedder,
        store: EnrolmentStore | None = None,
    ) -> None:
        """`engine`: see `load_engine`; `prompts`: checked against its backbone (PromptMismatch); `store`: where names
        are looked up (the default one).

        Raises ConfigError for prompts of another task.
        """
        prompts.check(engine.backbone)
        if prompts.info.task != "target-speaker":
            raise ConfigError(
                f"the prompt was trained for '{prompts.info.task}', expected 'target-speaker'; choose another prompt"
            )
        self.info = prompts.info
        self.embedder = embedder
        self.store = EnrolmentStore() if store is None else store
        self.engine = engine
        self._compiled = engine.compile(prompts)

    @classmethod
    def from_pretrained(
        cls,
        prompt: str | Path = "shipped",
        backbone: str | None = None,
        device: str = "cpu",
        store: EnrolmentStore | None = None,
        engine: EngineName = "auto",
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> "TargetSpeakerTranscriber":
        """Load everything by name.

        Args:
            prompt: 'shipped' (the one for `backbone`), the name of a shipped one, a folder, or a hub repository.
            backbone: a reference for `read_whisper`; None: the one the prompt was trained on.
            engine: see `load_engine`, as for the next two.
            precision: of the weights.
            threads: of the processor; None: all.

        Raises:
            PromptError, BackboneError: something is missing, damaged, or does not fit.
            ConfigError, MissingExtra: the engine cannot run like that, or is not installed.
        """
        prompts = load_prompts(prompt_for(prompt, backbone))
        require_fit(prompts.info, backbone)
        reference = prompts.info.backbone.name if backbone is None else backbone
        loaded = load_engine(reference, engine, precision, device, threads)
        prompts.check(loaded.backbone)
        embedder = load_embedder(DEFAULT_EMBEDDER if prompts.info.embedder is None else prompts.info.embedder, device)
        return cls(loaded, prompts, embedder, store)

    def transcribe(
        self,
        audio: AudioLike,
        speaker: Speaker,
        options: DecodingOptions | None = None,
        *,
        sample_rate: int | None = None,
        on_segment: OnSegment | None = None,
        journal: Journal | None = None,
    ) -> Transcript:
        """What `speaker` says in a recording. Nothing, if they are silent. Arguments: see `Transcriber.transcribe`.

        Raises:
            AudioError: the recording cannot be used.
            SpeakerNotFound, EnrolmentError: the voice cannot be found or used.
        """
        return self._transcripts(audio, [speaker], options, sample_rate, on_segment, journal)[0]

    def transcribe_many(
        self,
        audio: AudioLike,
        speakers: Sequence[Speaker] | Speaker,
        options: DecodingOptions | None = None,
        *,
        sample_rate: int | None = None,
    ) -> list[Transcript]:
        """One transcript a voice. The recording is read and measured once, and all voices run as one batch."""
        one = isinstance(speakers, str | Path | Enrolment | np.ndarray)
        return self._transcripts(audio, [speakers] if one else list(speakers), options, sample_rate)  # type: ignore

    def transcribe_conversation(
        self,
        audio: AudioLike,
        speakers: Sequence[Speaker],
        options: DecodingOptions | None = None,
        *,
        sample_rate: int | None = None,
        on_segment: OnSegment | None = None,
        journal: Journal | None = None,
    ) -> Conversation:
        """What several voices say, as one transcript. A word that two of them claim at the same time goes to the one
        for whom it is likelier. Voices of one name are numbered. Arguments and errors: see `transcribe`."""
        words = options is not None and options.words
        asked = (DecodingOptions() if options is None else options).model_copy(update={"words": True})

        def tell(segment: Segment) -> None:
            if on_segment is not None:
                on_segment(segment if words else replace(segment, words=()))

        found = self._transcripts(audio, speakers, asked, sample_rate, tell, journal, exclusive=True)
        return Conversation(tuple(found if words else map(without_words, found)))

    def _transcripts(
        self,
        audio: AudioLike,
        speakers: Sequence[Speaker],
        options: DecodingOptions | None,
        sample_rate: int | None,
        on_segment: OnSegment | None = None,
        journal: Journal | None = None,
        exclusive: bool = False,
    ) -> list[Transcript]:
        options = self.resolved(options)
        voices = [self.voice(speaker) for speaker in speakers]
        voices = told_apart(voices) if exclusive else voices
        if not voices:
            return []
        session = self.session(voices)
        # Memory goes with the rows: windows times voices.
        batch = max(1, options.windows.batch // len(voices))
        reader = Reader(audio_blocks(audio, sample_rate))
        heard = run_through(
            lambda reader, last: decode_session(session, reader, options, batch, last, exclusive),
            reader,
            Verification(len(voices), options.insist),
            journal,
            on_segment,
            tuple(voice.name for voice in voices) if exclusive else (),
        )
        language = language_of(options)
        return [
            transcript_of([window[index] for window in heard], voice.name, language, reader.position_s, options.insist)
            for index, voice in enumerate(voices)
        ]

    def stream(
        self,
        audio: AudioLike,
        speaker: Speaker,
        options: DecodingOptions | None = None,
        *,
        sample_rate: int | None = None,
    ) -> Iterator[Segment]:
        """`transcribe`, segment by segment as they are found, in order. The voice is looked up at once."""
        options = self.resolved(options)
        following, reader = self.session([self.voice(speaker)]), Reader(audio_blocks(audio, sample_rate))
        steps = decode_session(following, reader, options, batch=1)
        return segments_of(steps, reader, Verification(1, options.insist))

    def transcribe_plain(self, audio: AudioLike, options: DecodingOptions | None = None) -> Transcript:
        """What plain Whisper hears, without the prompt: everybody's words."""
        return PlainTranscriber(self.engine).transcribe(audio, options=options)

    def voice(self, speaker: Speaker) -> Enrolment:
        """The voice that is meant; see `Speaker`. Keep it to transcribe several recordings."""
        return find_voice(speaker, self.store, self.embedder)

    def session(self, voices: Sequence[Enrolment]) -> TargetSession:
        """These voices, ready to be followed through a recording."""
        embedder = window_embedder(self.embedder, self.engine)
        return TargetSession(self.engine, self._compiled, self.info, embedder, voices)

    def why_empty(self, transcript: Transcript) -> str:
        """One line for a transcript without words: how near the voice was, and what to try."""
        needed: float | None = needed_likeness(transcript.duration_s)
        score: float | None = transcript.likeness
        what, nearest = "likeness", max(transcript.windows, key=lambda window: window.likeness, default=None)
        if transcript.likeness >= needed_likeness(transcript.duration_s):
            needed = None if self.info.silence is None else self.info.silence.threshold
            score = transcript.speaking
            what, nearest = "probability", max(transcript.windows, key=lambda one: one.speaking or 0.0, default=None)
        where = "" if nearest is None else f", best from {nearest.start_s:.1f} to {nearest.end_s:.1f} s"
        measured = "" if score is None or needed is None else f" ({what} {score:.2f}, {needed:.2f} is needed{where})"
        if score is not None and needed is not None and score >= needed:
            return f"no words, though the voice seems to be there{measured}; give a longer recording"
        wanted = "this voice" if transcript.speaker is None else f"'{transcript.speaker}'"
        return (
            f"nothing that {wanted} says{measured}; try another clip of the voice, or --insist to write what there is"
        )

    @property
    def identity(self) -> str:
        """See `Transcriber`."""
        return f"{self.engine.identity} {self.info.digest} {self.info.model_dump_json()}"

    @property
    def batch_key(self) -> tuple[int, float]:
        """Two prompts with the same key can run as rows of one batch."""
        frames = self.info.prompts.frames
        return self.info.prompts.taken_positions, 0.0 if frames is None else frames.mute_db

    def resolved(self, options: DecodingOptions | None) -> DecodingOptions:
        """The options as they count for this prompt."""
        return options_under(self.info, self.engine.max_frames, options)


def without_words(transcript: Transcript) -> Transcript:
    """The same segments without the times of their words."""
    return replace(transcript, segments=tuple(replace(segment, words=()) for segment in transcript.segments))


def transcript_of(
    heard: Sequence[VoiceWindow], speaker: str, language: str, duration_s: float, insist: bool = False
) -> Transcript:
    """What one voice said in all windows. It speaks in the recording if it speaks in one of them, and (unless `insist`)
    is there (see `needed_likeness`)."""
    windows = tuple(one.evidence for one in heard if one.evidence is not None)
    probabilities = [window.speaking for window in windows if window.speaking is not None]
    found = Transcript(
        tuple(segment for one in heard for segment in one.segments),
        language,
        round(duration_s, 3),
        round(max((window.presence for window in windows), default=-1.0), 4),
        speaker,
        max(probabilities, default=None),
        windows,
    )
    there = insist or found.likeness >= needed_likeness(duration_s)
    return found if there else replace(found, segments=())
