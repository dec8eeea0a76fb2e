"""Only the words of one voice: the voice, the prompt and the frozen backbone joined."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.backbones.whisper import FRAME_RATE_HZ, MAX_WINDOW_S
from softspoken.decoding.conditioning import Speaker, Target, activity, find_voice, listen
from softspoken.decoding.longform import Reader, Window, audio_blocks
from softspoken.decoding.options import DecodingOptions
from softspoken.decoding.plain import language_of, transcribe_plain
from softspoken.decoding.result import Segment, Transcript, WindowEvidence
from softspoken.decoding.search import DecodedWindow, decode_batch
from softspoken.decoding.segments import window_segments
from softspoken.decoding.silence import verdict, window_features
from softspoken.decoding.windows import cut_windows
from softspoken.engines import Engine, EngineName, Precision, TorchEngine, load_engine
from softspoken.errors import ConfigError, EnrolmentError
from softspoken.prompts.checkpoint import LoadedPrompts, load_prompts
from softspoken.prompts.enrolment import clip_states
from softspoken.speakers import DEFAULT_EMBEDDER, Enrolment, EnrolmentStore, SpeakerEmbedder, load_embedder


@dataclass(frozen=True)
class _Heard:
    """What one voice said in one window."""

    segments: tuple[Segment, ...]
    evidence: WindowEvidence


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
    ) -> "TargetSpeakerTranscriber":
        """Load everything by name.

        Args:
            prompt: 'shipped', the name of a shipped one, a folder, or a hub repository.
            backbone: a reference for `load_backbone`, or one that is loaded; None: the one the prompt was trained on.
            engine, precision: see `load_engine`.

        Raises:
            PromptError, BackboneError: something is missing, damaged, or does not fit.
            ConfigError, MissingExtra: the engine cannot run like that, or is not installed.
        """
        prompts = load_prompts(prompt)
        if not isinstance(backbone, WhisperBackbone):
            backbone = load_backbone(prompts.info.backbone.name if backbone is None else backbone, device)
        prompts.check(backbone)
        embedder = load_embedder(DEFAULT_EMBEDDER if prompts.info.embedder is None else prompts.info.embedder, device)
        return cls(backbone, prompts, embedder, store, load_engine(backbone, engine, precision))

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
        options = self._resolved(options)
        voices = [self.voice(speaker) for speaker in speakers]
        if not voices:
            return []
        reader = Reader(audio_blocks(audio))
        heard = list(self._heard(reader, voices, options, options.windows.batch))
        language, duration_s = language_of(self.backbone, options), round(reader.position_s, 3)
        return [
            _transcript([window[index] for window in heard], voice.name, language, duration_s)
            for index, voice in enumerate(voices)
        ]

    def stream(
        self, audio: str | Path | np.ndarray, speaker: Speaker, options: DecodingOptions | None = None
    ) -> Iterator[Segment]:
        """`transcribe`, segment by segment as they are found, in order. The voice is looked up at once."""
        resolved = self._resolved(options)
        voices = [self.voice(speaker)]
        heard = self._heard(Reader(audio_blocks(audio)), voices, resolved, batch=1)
        return (segment for (one,) in heard for segment in one.segments)

    def transcribe_plain(self, audio: str | Path | np.ndarray, options: DecodingOptions | None = None) -> Transcript:
        """What plain Whisper hears, without the prompt: everybody's words."""
        return transcribe_plain(self.engine, audio, options)

    def voice(self, speaker: Speaker) -> Enrolment:
        """The voice that is meant; see `Speaker`. Keep it to transcribe several recordings."""
        return find_voice(speaker, self.store, self.embedder)

    def _resolved(self, options: DecodingOptions | None) -> DecodingOptions:
        options = DecodingOptions() if options is None else options
        return options.model_copy(
            update={
                # A target may be silent in a window, or begin to speak late.
                "start": "any" if options.start == "auto" else options.start,
                "timestamps": options.timestamps and self.info.timestamps,
            }
        )

    def _heard(
        self, reader: Reader, voices: Sequence[Enrolment], options: DecodingOptions, batch: int
    ) -> Iterator[list[_Heard]]:
        """By window, what each voice said in it."""
        longest_s = MAX_WINDOW_S if self.info.window == "30s" else options.windows.longest_s
        limits = options.windows.model_copy(update={"longest_s": min(longest_s, self._room_s())})
        vectors = np.stack([voice.vector for voice in voices])
        clips = self._clips(voices)
        windows = cut_windows(reader, limits)
        number = 0
        while group := list(islice(windows, batch)):
            targets = [listen(self.embedder, window.audio, vectors, self.info.prompts.frames) for window in group]
            yield from self._decode(group, targets, vectors, clips, options, number)
            number += len(group)

    def _clips(self, voices: Sequence[Enrolment]) -> Float[torch.Tensor, "L K F D"] | None:
        """What the frozen encoder hears in each voice's clip, for prompts that want to know: once for a recording."""
        config = self.info.prompts.enrolment
        if config is None:
            return None
        for voice in voices:
            if voice.clip is None:
                raise EnrolmentError(
                    f"this prompt hears the enrolment clip itself, of '{voice.name}' only the embedding is stored; "
                    "give a clip of the voice instead of its name"
                )
        return clip_states(self.backbone, [voice.clip for voice in voices if voice.clip is not None], config)

    def _room_s(self) -> float:
        """Seconds of audio that the encoder has positions for; shifted prompts take some of them."""
        return min(MAX_WINDOW_S, (self.backbone.max_frames - self.info.prompts.taken_positions) / FRAME_RATE_HZ)

    @torch.no_grad()
    def _decode(
        self,
        windows: Sequence[Window],
        targets: Sequence[Target],
        vectors: np.ndarray,
        clips: torch.Tensor | None,
        options: DecodingOptions,
        number: int,
    ) -> list[list[_Heard]]:
        """Rows of the batch are the pairs of a window and a voice; without a silence model, one present in it."""
        threshold = self.info.silence_threshold if self.info.silence is None else None
        pairs = [
            (index, voice)
            for index, target in enumerate(targets)
            for voice, score in enumerate(target.presence)
            if threshold is None or score >= threshold
        ]
        results = [
            [_Heard((), WindowEvidence(window.start_s, _end_s(window), score)) for score in target.presence]
            for window, target in zip(windows, targets, strict=True)
        ]
        if not pairs:
            return results
        decoded = self._run(windows, targets, vectors, clips, options, pairs, number)
        for (index, voice), found in zip(pairs, decoded, strict=True):
            window = windows[index]
            segments = window_segments(found, self.backbone.tokens, offset_s=window.start_s, window_s=window.duration_s)
            evidence = self._evidence(window, targets[index], voice, found)
            results[index][voice] = _Heard(tuple(segments), evidence)
        return results

    def _evidence(self, window: Window, target: Target, voice: int, found: DecodedWindow) -> WindowEvidence:
        assert found.empty_logprob is not None
        features = window_features(target.scores[voice], found.empty_logprob)
        return WindowEvidence(
            window.start_s,
            _end_s(window),
            target.presence[voice],
            found.empty_logprob,
            found.avg_logprob,
            {name: round(value, 5) for name, value in features.items()},
            None if self.info.silence is None else self.info.silence.probability(features),
        )

    def _run(
        self,
        windows: Sequence[Window],
        targets: Sequence[Target],
        vectors: np.ndarray,
        clips: torch.Tensor | None,
        options: DecodingOptions,
        pairs: Sequence[tuple[int, int]],
        number: int,
    ) -> list[DecodedWindow]:
        engine, config = self.engine, self.info.prompts
        padded_s = MAX_WINDOW_S if self.info.window == "30s" else None
        features = self.backbone.features([window.audio for window in windows], padded_s)
        rows = torch.tensor([index for index, _ in pairs], device=self.backbone.device)
        spoken = [voice for _, voice in pairs]
        speaker = torch.from_numpy(vectors[spoken]).to(self.backbone.device) if config.speaker is not None else None
        scored = [targets[index].scores[voice] for index, voice in pairs]
        active = activity(scored, config.frames, self.backbone.device) if config.frames is not None else None
        prompts = self._compiled.rows(speaker, clips[:, spoken] if clips is not None else None)

        def speaks(empty: Sequence[float]) -> list[bool | None]:
            return [verdict(self.info.silence, row, logprob) for row, logprob in zip(scored, empty, strict=True)]

        return decode_batch(
            self.backbone,
            engine.hear_each(features, rows, prompts, active),
            options,
            window_s=[windows[index].duration_s for index, _ in pairs],
            # The seed is the window's place in the recording, whatever else is in the batch.
            seeds=[number + index for index, _ in pairs],
            speaks=speaks,
        )


def _end_s(window: Window) -> float:
    return round(window.start_s + window.duration_s, 3)


def _transcript(heard: Sequence[_Heard], speaker: str, language: str, duration_s: float) -> Transcript:
    """What one voice said in all windows. It speaks in the recording if it speaks in one of them."""
    windows = tuple(one.evidence for one in heard)
    probabilities = [window.speaking for window in windows if window.speaking is not None]
    return Transcript(
        tuple(segment for one in heard for segment in one.segments),
        language,
        duration_s,
        round(max((window.presence for window in windows), default=-1.0), 4),
        speaker,
        max(probabilities, default=None),
        windows,
    )
