"""Only the words of one voice: the voice, the prompt and the frozen backbone joined."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.decoding.conditioning import Speaker, find_voice, window_embedder
from softspoken.decoding.longform import Reader, audio_blocks
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.plain import PlainTranscriber, language_of
from softspoken.decoding.prompt_options import options_under
from softspoken.decoding.result import Segment, Transcript
from softspoken.decoding.target_session import TargetSession, VoiceWindow, decode_session
from softspoken.engines import Engine, EngineName, Precision, TorchEngine, load_engine
from softspoken.errors import ConfigError
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts
from softspoken.speakers import DEFAULT_EMBEDDER, Enrolment, EnrolmentStore, SpeakerEmbedder, load_embedder


class Transcriber(Protocol):
    """What every front door does: `PlainTranscriber`, `PromptedTranscriber` and `TargetSpeakerTranscriber`."""

    def transcribe(
        self, audio: str | Path | np.ndarray, speaker: Any, options: DecodingOptions | None = None
    ) -> Transcript:
        """The words of a recording (a file, or mono samples at 16 kHz) that `speaker` says; None: everybody's, where
        no voice is followed."""
        ...

    def stream(
        self, audio: str | Path | np.ndarray, speaker: Any, options: DecodingOptions | None = None
    ) -> Iterator[Segment]:
        """`transcribe`, segment by segment as they are found, in order."""
        ...


class TargetSpeakerTranscriber:
    """Transcribes what one enrolled voice says in a recording, and nothing else. Safe to share between threads."""

    def __init__(
        self,
        backbone: WhisperBackbone,
        prompts: LoadedPrompts,
        embedder: SpeakerEmbedder,
        store: EnrolmentStore | None = None,
        engine: Engine | None = None,
    ) -> None:
        """`prompts`: checked against `backbone` (PromptMismatch); `store`: where names are looked up (the default one);
        `engine`: what runs the backbone; None: PyTorch.

        Raises ConfigError for prompts of another task.
        """
        prompts.check(backbone)
        if prompts.info.task != "target-speaker":
            raise ConfigError(
                f"the prompt was trained for '{prompts.info.task}', expected 'target-speaker'; choose another prompt"
            )
        self.backbone = backbone
        self.info = prompts.info
        self.embedder = embedder
        self.store = EnrolmentStore() if store is None else store
        self.engine = TorchEngine(backbone) if engine is None else engine
        prompts.check(self.engine.backbone)
        self._compiled = self.engine.compile(prompts.prompts)

    @classmethod
    def from_pretrained(
        cls,
        prompt: str | Path = "shipped",
        backbone: str | WhisperBackbone | None = None,
        device: str = "cpu",
        store: EnrolmentStore | None = None,
        engine: EngineName = "torch",
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> "TargetSpeakerTranscriber":
        """Load everything by name.

        Args:
            prompt: 'shipped', the name of a shipped one, a folder, or a hub repository.
            backbone: a reference for `load_backbone`, or one that is loaded; None: the one the prompt was trained on.
            engine: see `load_engine`, as for the next two.
            precision: of the weights.
            threads: of the processor; None: all.

        Raises:
            PromptError, BackboneError: something is missing, damaged, or does not fit.
            ConfigError, MissingExtra: the engine cannot run like that, or is not installed.
        """
        prompts = load_prompts(prompt)
        if not isinstance(backbone, WhisperBackbone):
            backbone = load_backbone(prompts.info.backbone.name if backbone is None else backbone, device)
        prompts.check(backbone)
        embedder = load_embedder(DEFAULT_EMBEDDER if prompts.info.embedder is None else prompts.info.embedder, device)
        return cls(backbone, prompts, embedder, store, load_engine(backbone, engine, precision, threads=threads))

    def transcribe(
        self, audio: str | Path | np.ndarray, speaker: Speaker, options: DecodingOptions | None = None
    ) -> Transcript:
        """What `speaker` says in a recording (a file, or mono samples at 16 kHz). Nothing, if they are silent.

        Raises:
            AudioError: the recording cannot be used.
            SpeakerNotFound, EnrolmentError: the voice cannot be found or used.
        """
        return self.transcribe_many(audio, [speaker], options)[0]

    def transcribe_many(
        self, audio: str | Path | np.ndarray, speakers: Sequence[Speaker], options: DecodingOptions | None = None
    ) -> list[Transcript]:
        """One transcript a voice. The recording is read and measured once, and all voices run as one batch."""
        options = self.resolved(options)
        voices = [self.voice(speaker) for speaker in speakers]
        if not voices:
            return []
        reader = Reader(audio_blocks(audio))
        heard = list(decode_session(self.session(voices), reader, options, options.windows.batch))
        language = language_of(self.backbone, options)
        return [
            transcript_of([window[index] for window in heard], voice.name, language, reader.position_s)
            for index, voice in enumerate(voices)
        ]

    def stream(
        self, audio: str | Path | np.ndarray, speaker: Speaker, options: DecodingOptions | None = None
    ) -> Iterator[Segment]:
        """`transcribe`, segment by segment as they are found, in order. The voice is looked up at once."""
        following = self.session([self.voice(speaker)])
        heard = decode_session(following, Reader(audio_blocks(audio)), self.resolved(options), batch=1)
        return (segment for (one,) in heard for segment in one.segments)

    def transcribe_plain(self, audio: str | Path | np.ndarray, options: DecodingOptions | None = None) -> Transcript:
        """What plain Whisper hears, without the prompt: everybody's words."""
        return PlainTranscriber(self.engine).transcribe(audio, options=options)

    def voice(self, speaker: Speaker) -> Enrolment:
        """The voice that is meant; see `Speaker`. Keep it to transcribe several recordings."""
        return find_voice(speaker, self.store, self.embedder)

    def session(self, voices: Sequence[Enrolment]) -> TargetSession:
        """These voices, ready to be followed through a recording."""
        return TargetSession(
            self.engine, self._compiled, self.info, window_embedder(self.embedder, self.engine), voices
        )

    @property
    def batch_key(self) -> tuple[int, float]:
        """Two prompts with the same key can run as rows of one batch."""
        frames = self.info.prompts.frames
        return self.info.prompts.taken_positions, 0.0 if frames is None else frames.mute_db

    def resolved(self, options: DecodingOptions | None) -> DecodingOptions:
        """The options as they count for this prompt."""
        return options_under(self.info, self.backbone, options)


def transcript_of(heard: Sequence[VoiceWindow], speaker: str, language: str, duration_s: float) -> Transcript:
    """What one voice said in all windows. It speaks in the recording if it speaks in one of them."""
    windows = tuple(one.evidence for one in heard)
    probabilities = [window.speaking for window in windows if window.speaking is not None]
    return Transcript(
        tuple(segment for one in heard for segment in one.segments),
        language,
        round(duration_s, 3),
        round(max((window.presence for window in windows), default=-1.0), 4),
        speaker,
        max(probabilities, default=None),
        windows,
    )
