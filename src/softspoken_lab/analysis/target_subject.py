"""Target-speaker prompts as what is analysed: the vectors of one stack change, voice and frame vectors stay.

Shapes: K variants, B batch, L layers, M vectors, D width, S speaker dimensions.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from softspoken.audio import load_audio
from softspoken.backbones import WhisperBackbone
from softspoken.backbones.weights import StackName
from softspoken.decoding.conditioning import Target, activity, score_voices
from softspoken.decoding.longform import Reader, Window, audio_blocks, cut_windows
from softspoken.decoding.options import DecodingOptions, options_under
from softspoken.decoding.result import joined
from softspoken.decoding.search import decode_batch
from softspoken.decoding.segments import window_segments
from softspoken.engines import TorchEngine
from softspoken.errors import AudioError, ConfigError, DataError, EnrolmentError
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.prompts.checkpoint import LoadedPrompts
from softspoken.prompts.modules import clip_states
from softspoken.prompts.rows import PromptRows
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import score_utterance
from softspoken.speakers import Clip, Enrolment, EnrolmentLimits, SpeakerEmbedder
from softspoken.speakers.enrolment import enrol
from softspoken_lab.analysis.ctc_subject import check_width, source_of
from softspoken_lab.analysis.results import Counts, SubjectInfo
from softspoken_lab.analysis.subject import Report, Subject, TestSet, Vectors

_OPTIONS = DecodingOptions(start="any", temperatures=(0.0,))
"""One attempt: sampling after a failed one would make differences between variants a matter of luck."""
_LENIENT = EnrolmentLimits(shortest_speech_s=1.0)
"""As the evaluation's transcriber has it."""
_ROWS = 8
"""Variants decoded together."""


class TargetSpeakerSubject(Subject):
    """Prompts that follow a voice, in one stack. A deep prompt's number i is slot i of every layer."""

    def __init__(
        self,
        prompts: LoadedPrompts,
        backbone: WhisperBackbone,
        embedder: SpeakerEmbedder,
        stack: StackName = "encoder",
        name: str = "prompt",
        options: DecodingOptions = _OPTIONS,
    ) -> None:
        """Raises PromptMismatch for another backbone, ConfigError for a stack without vectors or another task."""
        prompts.check(backbone)
        if prompts.info.task != "target-speaker":
            raise ConfigError(f"'{name}' was trained for '{prompts.info.task}'; give its recogniser folder")
        have = list(prompts.prompts.stacks)
        if stack not in have:
            raise ConfigError(f"'{name}' has no {stack} vectors (it has: {', '.join(have) or 'none'}); choose another")
        self.backbone = backbone
        self._engine = TorchEngine(backbone)
        self.embedder = embedder
        self.stack: StackName = stack
        self.about = prompts.info
        self._name = name
        self._options = options_under(prompts.info, backbone.max_frames, options)
        self._prompts = prompts.prompts.fold().to(backbone.device).eval()
        self._normalize = TextNormalizer()

    @property
    def info(self) -> SubjectInfo:
        config = self.about.prompts.encoder if self.stack == "encoder" else self.about.prompts.decoder
        assert config is not None
        return SubjectInfo(
            name=self._name,
            kind="target-speaker",
            backbone=self.about.backbone.name,
            prompts=config.length,
            depth=config.depth,
            stack=self.stack,
            digest=self.about.digest,
        )

    @property
    def vectors(self) -> Vectors:
        with torch.no_grad():
            vectors: Tensor = self._prompts.stacks[self.stack]()
        return vectors.detach()

    def score(self, test_set: TestSet, variants: Sequence[Vectors | None], report: Report | None = None) -> Counts:
        """Targets that are silent have no words, and are left out."""
        items = [item for item in test_set.items if isinstance(item, EvaluationItem)]
        if len(items) < len(test_set.items):
            raise DataError(
                f"the set '{test_set.name}' follows no voices; target-speaker prompts need an evaluation manifest "
                "(audio, enrolment, text)"
            )
        spoken = [item for item in items if not item.silent and self._normalize(item.text)]
        if not spoken:
            raise DataError(f"the set '{test_set.name}' has no target with words; give one that has")
        check_width(variants, self.backbone)
        scores = []
        for done, item in enumerate(spoken, start=1):
            texts = self._write(item, variants)
            scores.append([score_utterance(item.text, text, self._normalize) for text in texts])
            if report is not None:
                report(len(variants) * len(items) * done // len(spoken), len(variants) * len(items))
        return Counts(
            sources=tuple(source_of(item) for item in spoken),
            words=tuple(row[0].words for row in scores),
            errors=tuple(tuple(row[index].errors for row in scores) for index in range(len(variants))),
        )

    def _write(self, item: EvaluationItem, variants: Sequence[Vectors | None]) -> list[str]:
        """What each variant writes for the item's voice."""
        try:
            voice = enrol(item.id, [Clip(load_audio(item.enrolment))], self.embedder, limits=_LENIENT)
            windows = list(cut_windows(Reader(audio_blocks(load_audio(item.audio))), self._options.windows))
        except (AudioError, EnrolmentError) as error:
            raise type(error)(f"item '{item.id}': {error}") from error
        own = self._own(voice)
        texts: list[list[str]] = [[] for _ in variants]
        for window in windows:
            target = score_voices(self.embedder, window.audio, voice.vector[None], self.about.prompts.frames)
            for index, text in self._decode(window, target, own, variants).items():
                texts[index].append(text)
        return [" ".join(parts) for parts in texts]

    @torch.no_grad()
    def _own(self, voice: Enrolment) -> PromptRows:
        """The prompt as it is, for this voice."""
        config = self.about.prompts
        vector = torch.from_numpy(voice.vector[None]).to(self.backbone.device) if config.speaker is not None else None
        heard = None
        if config.enrolment is not None:
            assert voice.clip is not None
            heard = clip_states(self.backbone, [voice.clip], config.enrolment)
        rows: PromptRows = self._prompts(vector, heard)
        return rows

    @torch.no_grad()
    def _decode(
        self, window: Window, target: Target, own: PromptRows, variants: Sequence[Vectors | None]
    ) -> dict[int, str]:
        """Variants of one size run as rows of one batch; what is heard in the window was measured once."""
        config = self.about.prompts
        features = self._engine.features([window.audio], 30.0 if self.about.window == "30s" else None)
        groups: dict[int, list[int]] = defaultdict(list)
        for index, one in enumerate(variants):
            groups[0 if one is None else one.shape[1]].append(index)
        found: dict[int, str] = {}
        for indices in groups.values():
            for start in range(0, len(indices), _ROWS):
                chosen = indices[start : start + _ROWS]
                count = len(chosen)
                rows = self._engine.compile_rows(self._with(own, [variants[index] for index in chosen]))
                active = None
                if config.frames is not None:
                    active = activity([target.scores[0]] * count, config.frames)
                heard = self._engine.encode_rows(features, [0] * count, rows, active)
                decoded = decode_batch(heard, self._options, window_s=[window.duration_s] * count, seeds=[0] * count)
                for index, written in zip(chosen, decoded, strict=True):
                    segments = window_segments(written, self.backbone.tokens, offset_s=0.0, window_s=window.duration_s)
                    found[index] = joined([segment.text for segment in segments], self._options.language)
        return found

    def _with(self, own: PromptRows, variants: Sequence[Vectors | None]) -> PromptRows:
        """Rows for a batch of these variants, all of one size."""
        part = own.encoder if self.stack == "encoder" else own.decoder
        assert part is not None
        count, width = len(variants), part.rows.shape[-1]
        # What is made of the clip stands in front of the learned vectors.
        heard = part.rows[:, :, : part.rows.shape[2] - self.vectors.shape[1]].expand(-1, count, -1, -1)
        chosen = [one if one is not None else part.rows.new_zeros(part.rows.shape[0], 0, width) for one in variants]
        vectors = torch.cat([heard, torch.stack(chosen, dim=1)], dim=2)
        shallow = part.shallow.expand(count, -1, -1)
        changed = replace(part, shallow=shallow, rows=vectors) if shallow.shape[1] + vectors.shape[2] else None
        return replace(own, encoder=changed) if self.stack == "encoder" else replace(own, decoder=changed)
