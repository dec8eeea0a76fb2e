"""What the benchmark of training compares: the ways to train, and the mixtures and prompts that all of them share."""

import argparse
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones import WhisperBackbone
from softspoken.data.batches import Batch, collate
from softspoken.data.config import DataConfig, MixingConfig
from softspoken.data.corpus import load_corpus
from softspoken.data.examples import Example, MixtureDataset
from softspoken.prompts import PromptConfig, SoftPrompts
from softspoken.prompts.config import SpeakerPrompt
from softspoken.speakers import SpeakerEmbedder
from softspoken.training.config import ObjectiveConfig, TrainConfig
from softspoken.training.loop import learning_rate
from softspoken.training.objective import TargetSpeakerObjective

Group = list[Example]
"""All targets of one mixture."""
BF16_WORTH = 1.2
"""How much faster a product must be in bfloat16 before it is used."""


@dataclass(frozen=True)
class Way:
    """One way to train."""

    name: str
    window_s: float | None
    """None: as long as the mixture."""
    mixtures: int | None
    """Mixtures a step, with all their targets; None: one target."""
    bf16: bool
    authors_schedule: bool = False
    """AdamW at a constant rate, nothing clipped; else warm-up, cosine, gradients clipped, no weight decay."""


def ways_of(mixtures: int, bf16: bool) -> list[Way]:
    """From the authors' way to ours, one thing changed at a time."""
    ways = [
        Way("authors", 30.0, None, False, authors_schedule=True),
        Way("+ short windows", None, None, False),
        Way("+ batches", None, mixtures, False),
    ]
    return [*ways, Way("+ bfloat16", None, mixtures, True)] if bf16 else ways


class Trainer:
    """Prompts from a given start, trained in one way."""

    def __init__(self, way: Way, backbone: WhisperBackbone, start: SoftPrompts, config: TrainConfig) -> None:
        """`config` gives the peak of the learning rate and how long it lasts."""
        self.way, self.backbone, self.config = way, backbone, config
        self.prompts = SoftPrompts(start.config, start.width, start.layers)
        self.prompts.load_state_dict(start.state_dict())
        self.prompts.to(backbone.device)
        self.objective = TargetSpeakerObjective(backbone, start.config, ObjectiveConfig(), window_s=way.window_s)
        # The authors' is torch's own.
        decay = 0.01 if way.authors_schedule else config.weight_decay
        self.optimiser = torch.optim.AdamW(self.prompts.parameters(), lr=config.learning_rate, weight_decay=decay)
        self.steps = 0

    def batches(self, groups: Sequence[Group]) -> list[list[Group]]:
        """The mixtures cut into what one step takes."""
        size = self.way.mixtures
        if size is None:
            return [[[example]] for group in groups for example in group]
        return [list(groups[first : first + size]) for first in range(0, len(groups), size)]

    def collated(self, groups: list[Group]) -> Batch:
        return collate(groups, self.backbone.tokens, self.backbone.max_tokens // 2).to(self.backbone.device)

    def autocast(self) -> Any:
        return torch.autocast(self.backbone.device.type, torch.bfloat16) if self.way.bf16 else nullcontext()

    def train(self, groups: Sequence[Group]) -> None:
        """One pass over the mixtures."""
        for part in self.batches(groups):
            if not self.way.authors_schedule:
                for group in self.optimiser.param_groups:
                    group["lr"] = learning_rate(self.steps, self.config)
            with self.autocast():
                loss = self.objective(self.prompts, self.collated(part))["loss"]
            loss.backward()
            if not self.way.authors_schedule:
                torch.nn.utils.clip_grad_norm_(self.prompts.parameters(), self.config.clip_norm)
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.steps += 1
        if self.backbone.device.type == "cuda":
            torch.cuda.synchronize()

    @torch.no_grad()
    def losses(self, groups: Sequence[Group]) -> np.ndarray:
        """Loss a token of each mixture, all its targets together (M,), in this way's own window, float32."""
        return np.array([float(self.objective(self.prompts, self.collated([group]))["loss"]) for group in groups])


def draw(embedder: SpeakerEmbedder, given: argparse.Namespace, count: int, development: bool, seed: int) -> list[Group]:
    """Two-talker mixtures of about the seconds asked for, at least half overlapped, each talker a target once."""
    seconds = given.seconds
    data = DataConfig(speech=(given.speech,), piece_s=(0.5 * seconds, 0.9 * seconds), exclude=("fsdd",))
    corpus = load_corpus(data, development=development)
    texts = {piece.id: piece.text.lower() for piece in corpus.pieces if piece.text.strip() and piece.verified}
    mixing = MixingConfig(
        talkers={2: 1.0},
        overlap=(0.5, 1.0),
        max_s=1.3 * seconds,
        silent_probability=0.0,
        noise_probability=0.0,
        timestamp_probability=0.0,
    )

    def no_scores(audio: np.ndarray, voices: np.ndarray) -> np.ndarray:
        # These prompts hear no activity.
        return np.zeros((len(voices), 1), dtype=np.float32)

    dataset = MixtureDataset(corpus, texts, embedder.embed, no_scores, mixing, seed, 10**6)
    pairs = (dataset[index] for index in range(10**6))
    wanted = (group for group in pairs if len(group) == 2 and group[0].audio.size > 0.8 * seconds * SAMPLE_RATE_HZ)
    return [next(wanted) for _ in range(count)]


def new_start(backbone: WhisperBackbone, groups: Sequence[Group], seed: int) -> SoftPrompts:
    """The paper's prompts, untrained, for voices of this size, centred and scaled by those of the mixtures."""
    voices = np.stack([example.voice for group in groups for example in group])
    speaker = SpeakerPrompt(dimension=voices.shape[1])
    config = PromptConfig(placement="shifted", reparameterisation="separate", speaker=speaker)
    torch.manual_seed(seed)
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    prompts = SoftPrompts(config, backbone.stacks["encoder"].width, layers)
    prompts.speaker_mean.copy_(torch.from_numpy(voices.mean(axis=0)))
    prompts.speaker_scale.fill_(float(1.0 / voices.std(axis=0).mean()))
    return prompts


def bf16_gain(device: torch.device, repeats: int = 30) -> float:
    """How many times as fast a product of the size at hand is in bfloat16."""
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        one, other = (torch.randn(shape, device=device).to(dtype) for shape in ((2048, 384), (384, 1536)))
        for count in (3, repeats):
            begin = time.perf_counter()
            for _ in range(count):
                product = one @ other
            float(product[0, 0])
        seconds.append(time.perf_counter() - begin)
    return seconds[0] / seconds[1]
