"""Items of a test set as what prompts are trained on: for attacks that need a gradient."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from softspoken.audio import load_audio
from softspoken.backbones import WhisperBackbone
from softspoken.data.batches import collate
from softspoken.data.examples import Example
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.prompts import FramePrompt, PromptConfig
from softspoken.speakers import SpeakerEmbedder
from softspoken.training.config import ObjectiveConfig
from softspoken.training.datasets import scorer_for
from softspoken.training.objective import TargetSpeakerObjective
from softspoken_lab.analysis.attacks import Loss

Waveform = Float[np.ndarray, " N"]


class Examples:
    """Makes examples for prompts of one configuration, and the loss of a few of them."""

    def __init__(self, backbone: WhisperBackbone, embedder: SpeakerEmbedder, config: PromptConfig) -> None:
        only_words = ObjectiveConfig(cross_entropy=1.0, states=0.0, layers=0.0, tokens=0.0)
        self._objective = TargetSpeakerObjective(backbone, config, only_words)
        self._backbone, self._embedder, self._config = backbone, embedder, config
        self._score = scorer_for(embedder, config.frames if config.frames is not None else FramePrompt())

    def of(self, item: EvaluationItem) -> Example:
        """What is to be written for the item, as its manifest has it."""
        audio = load_audio(item.audio)
        clean = np.zeros_like(audio) if item.clean is None else load_audio(item.clean)
        return self.made(item, audio, clean, item.text)

    def made(self, item: EvaluationItem, audio: Waveform, clean: Waveform, text: str) -> Example:
        """The item's voice in another recording with another text. `clean`: says from when to when text is spoken."""
        clip = load_audio(item.enrolment)
        voice = self._embedder.embed(clip)
        scores = self._score(audio, voice[None])[0]
        heard = clip if self._config.enrolment is not None else None
        return Example(audio, clean, voice, scores, text.capitalize(), "", True, heard)

    def loss(self, examples: Sequence[Example]) -> Loss:
        """Cross-entropy of the examples' texts, for prompts of this configuration."""
        batch = collate([[example] for example in examples], self._backbone.tokens, self._backbone.max_tokens // 2)

        def loss(prompts: nn.Module) -> torch.Tensor:
            return self._objective(prompts, batch)["loss"]

        return loss
