"""What attacks on a prompt cost, by strength, and whether `softspoken prompt doctor` sees them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from softspoken.audio import load_audio
from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.data.batches import Batch, collate
from softspoken.data.examples import Example
from softspoken.decoding import TargetSpeakerTranscriber
from softspoken.decoding.conditioning import find_voice
from softspoken.demo import load_recordings
from softspoken.demo.health import Signs, complaints, examine
from softspoken.engines import EngineName, load_engine
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.prompts import FramePrompt, LoadedPrompts, SoftPrompts, load_prompts
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import Score, score_utterance, summarize
from softspoken.speakers import DEFAULT_EMBEDDER, Enrolment, EnrolmentStore, SpeakerEmbedder, load_embedder
from softspoken.training.config import ObjectiveConfig
from softspoken.training.datasets import scorer_for
from softspoken.training.objective import TargetSpeakerObjective
from softspoken_lab.analysis.attacks import Loss, Setting, attacked

GRADIENT_ITEMS = 6
"""Of the manifest's end: what a gradient attack is made on. They are not scored."""


@dataclass(frozen=True)
class AttackRow:
    """An attack at one strength. `setting` None: the prompt as it is."""

    setting: Setting | None
    wer: float | None
    wer_low: float | None
    wer_high: float | None
    rejection_rate: float | None
    signs: Signs
    complaints: tuple[str, ...]
    """Of the doctor, without a sound prompt to compare with."""
    compared: tuple[str, ...]
    """Of the doctor, with the unchanged prompt to compare with."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


class AttackBench:
    """One prompt, its backbone and the items that it is scored on."""

    def __init__(self, prompt: str, manifest: Path, limit: int | None = None, engine: EngineName = "torch") -> None:
        """`limit`: so many items, spread over the manifest."""
        self.loaded = load_prompts(prompt)
        info = self.loaded.info
        self.backbone: WhisperBackbone = load_backbone(info.backbone.name)
        self.embedder: SpeakerEmbedder = load_embedder(DEFAULT_EMBEDDER if info.embedder is None else info.embedder)
        self.engine = load_engine(self.backbone, engine)
        items = read_evaluation_manifest(manifest)
        self.for_gradient = [item for item in items if not item.silent][-GRADIENT_ITEMS:]
        rest = [item for item in items if item not in self.for_gradient]
        chosen = (
            np.linspace(0, len(rest) - 1, len(rest) if limit is None else min(limit, len(rest))).round().astype(int)
        )
        self.items: list[EvaluationItem] = [rest[index] for index in chosen]
        self._sound: Signs | None = None
        self._voices: dict[Path, Enrolment] = {}

    def rows(self, settings: Sequence[Setting], report: Callable[[AttackRow], None]) -> list[AttackRow]:
        """The prompt as it is, then each attack; `report` is told each row as soon as it is there."""
        loss = self._loss() if any(setting.attack == "gradient" for setting in settings) else None
        found = []
        for setting in (None, *settings):
            prompts = self.loaded.prompts if setting is None else attacked(self.loaded.prompts, setting, loss)
            found.append(self._row(setting, prompts))
            report(found[-1])
        return found

    def _row(self, setting: Setting | None, prompts: SoftPrompts) -> AttackRow:
        changed = LoadedPrompts.of(prompts, self.loaded.info)
        transcriber = TargetSpeakerTranscriber(self.engine, changed, self.embedder)
        score = self._score(transcriber)
        signs = examine(load_recordings(), transcriber)
        if setting is None:
            self._sound = signs
        interval = score.wer_interval
        return AttackRow(
            setting,
            score.wer,
            None if interval is None else interval.low,
            None if interval is None else interval.high,
            score.rejection_rate,
            signs,
            tuple(complaints(signs)),
            tuple(complaints(signs, self._sound)),
        )

    def _score(self, transcriber: TargetSpeakerTranscriber) -> Score:
        normalize = TextNormalizer()
        return summarize(
            [
                score_utterance(item.text, transcriber.transcribe(item.audio, self._voice(item)).text, normalize)
                for item in self.items
            ]
        )

    def _voice(self, item: EvaluationItem) -> Enrolment:
        """Of its clip, which may be shorter than what people are asked for; made once for all attacks."""
        if item.enrolment not in self._voices:
            clip = load_audio(item.enrolment)
            self._voices[item.enrolment] = find_voice(clip, EnrolmentStore(), self.embedder)
        return self._voices[item.enrolment]

    def _loss(self) -> Loss:
        """Cross-entropy of the true words of a few items that are not scored."""
        config = self.loaded.prompts.fold().config
        frames = config.frames if config.frames is not None else FramePrompt()
        score = scorer_for(self.embedder, frames)
        groups = []
        for item in self.for_gradient:
            audio, enrolment = load_audio(item.audio), load_audio(item.enrolment)
            voice = self.embedder.embed(enrolment)
            scores = score(audio, voice[None])[0]
            clip = enrolment if config.enrolment is not None else None
            groups.append([Example(audio, audio, voice, scores, item.text.capitalize(), "", False, clip)])
        batch: Batch = collate(groups, self.backbone.tokens, self.backbone.max_tokens // 2)
        only_words = ObjectiveConfig(cross_entropy=1.0, states=0.0, layers=0.0, tokens=0.0)
        objective = TargetSpeakerObjective(self.backbone, config, only_words)

        def loss(prompts: nn.Module) -> torch.Tensor:
            return objective(prompts, batch)["loss"]

        return loss
