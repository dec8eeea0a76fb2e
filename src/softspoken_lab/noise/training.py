"""A run for speech in noise from its recipe to a recogniser folder."""

import functools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from softspoken.backbones import Backbone
from softspoken.backbones.base import EncodedLayers, valid_positions
from softspoken.backbones.features import FRAME_RATE_HZ
from softspoken.data.corpus import load_corpus
from softspoken.errors import ConfigError
from softspoken.prompts import SoftPrompts
from softspoken.scoring.word_errors import score_utterance, summarize
from softspoken.training.config import CONFIG
from softspoken.training.loop import BEST, STATE, TrainingStopped, train
from softspoken.training.processes import Average, alone, average_of
from softspoken.training.recipes import recipe_as, recipe_values
from softspoken.training.run import new_accelerator, progress_bar
from softspoken.training.run_folder import begin_run, finish_run
from softspoken.training.state import Progress, load_state, surviving_workers
from softspoken_lab.noise.bank import NoiseBank, read_noise
from softspoken_lab.noise.cached import CachedDataset, StatesBatch, collate_states
from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.config import NoiseTrainConfig
from softspoken_lab.noise.dataset import Accept, CTCBatch, NoisyDataset, NoisyUtterance, collate_ctc, fits_ctc
from softspoken_lab.noise.encoders import load_encoder
from softspoken_lab.noise.folder import RecognizerInfo, load_recognizer, save_recognizer
from softspoken_lab.noise.head import CTCHead
from softspoken_lab.noise.model import PromptedCTC
from softspoken_lab.noise.search import greedy

RECOGNIZER_FOLDER = "recognizer"
DEVELOPMENT_UTTERANCES = 96
DEVELOPMENT_BATCH = 16
DEVELOPMENT_SEED = 99
INITIAL_UTTERANCES = 8
"""Whose frames prompts begin as."""


@dataclass(frozen=True)
class NoiseData:
    """What a run trains on, and how it sees how far it is."""

    training: NoisyDataset
    clean: list[NoisyUtterance]
    """Development utterances as they are, by length."""
    noisy: list[NoisyUtterance]
    """Development utterances, all of them with noise."""


@dataclass(frozen=True)
class NoiseObjective:
    """CTC over characters ("Soft prompts as zero-shot learners", section 2.2)."""

    backbone: Backbone
    average: Average = alone
    """Over the processes that share a batch."""

    def __call__(self, trained: nn.Module, batch: CTCBatch | StatesBatch) -> dict[str, Tensor]:
        """`loss`, a character. `trained`: a `PromptedCTC`, possibly wrapped for several devices."""
        if isinstance(batch, StatesBatch):
            log_probs, lengths = trained(self.backbone, EncodedLayers((batch.states,), batch.lengths))
        else:
            log_probs, lengths = trained(self.backbone, self.backbone.features(batch.audio))
        rows = log_probs.new_full((), lengths.numel())
        return {"loss": ctc(log_probs, lengths, batch.labels, batch.label_lengths) * rows / self.average(rows)}


def ctc(
    log_probs: Float[Tensor, "B T V"],
    lengths: Int[Tensor, "B"],
    labels: Int[Tensor, "B U"],
    label_lengths: Int[Tensor, "B"],
) -> Float[Tensor, ""]:
    """Connectionist temporal classification (Graves et al. 2006), blank 0, in float32, as SUPERB weighs it.

    Mean over the rows of each one's loss a label. A row whose label does not fit its frames counts as zero and gives no
    gradient.
    """
    frames_first = log_probs.float().transpose(0, 1)
    return F.ctc_loss(frames_first, labels, lengths, label_lengths, blank=0, reduction="mean", zero_infinity=True)


def read_noise_recipe(reference: str | Path) -> NoiseTrainConfig:
    """The run that `FILE.toml` or `FILE.toml:ROW` describes. Raises ConfigError in one line."""
    return recipe_as(NoiseTrainConfig, reference, recipe_values(reference))


def run_noise_training(
    config: NoiseTrainConfig, out: Path, stop_after_s: float | None = None, recipe: str | None = None
) -> Path | None:
    """Train by `config` in `out` and write `out/recognizer`; None when it stopped early because the time was up.

    `recipe`: the text that `config` was read from, for the run's folder. Raises ConfigError when `out` holds another
    recipe's run.
    """
    begin_run(config, out, recipe)
    accelerator = new_accelerator(config.precision)
    backbone = load_encoder(config.backbone, device=str(accelerator.device))
    characters = Characters()
    data = noise_data(config, characters)
    model = new_model(config, backbone, characters)
    if model.prompts is not None and config.prompt_start == "frames":
        initialize_as_frames(
            model.prompts, backbone, [data.training[index].audio for index in range(INITIAL_UTTERANCES)]
        )

    def validate(trained: PromptedCTC) -> dict[str, float]:
        with accelerator.autocast():
            clean = development_wer(trained, backbone, characters, data.clean)
            noisy = development_wer(trained, backbone, characters, data.noisy) if data.noisy else clean
        return {"clean_wer": clean, "noisy_wer": noisy, "score": (clean + noisy) / 2}

    with progress_bar(config, stop_after_s) if accelerator.is_main_process else nullcontext() as report:
        try:
            once = functools.partial(
                train,
                config,
                model,
                NoiseObjective(backbone, average_of(accelerator)),
                *_items(config, data.training, backbone, characters),
                out,
                validate,
                report,
                accelerator,
                {"prompts": config.prompt_rate, "head": config.head_rate},
            )
            surviving_workers(lambda _: once(), out / STATE, accelerator.num_processes)
        except TrainingStopped:
            return None
    if accelerator.is_main_process:
        export_noise_run(out, out / RECOGNIZER_FOLDER, "best", backbone=backbone)
    finish_run(out, out / RECOGNIZER_FOLDER)
    return out / RECOGNIZER_FOLDER


def _items(
    config: NoiseTrainConfig, training: NoisyDataset, backbone: Backbone, characters: Characters
) -> tuple[Dataset[Any], Callable[[list[Any]], CTCBatch | StatesBatch]]:
    """What is trained on, and how batches are made of it."""
    if config.cache is None:
        return training, functools.partial(collate_ctc, encode=characters.encode)

    def encode(audio: list[np.ndarray]) -> list[Tensor]:
        enabled = config.precision != "no"
        with torch.no_grad(), torch.autocast(backbone.device.type, torch.bfloat16, enabled=enabled):
            found = backbone.encode(backbone.features(audio))
        return [states[:length].float().cpu() for states, length in zip(found.states, found.lengths, strict=True)]

    name = f"{backbone.fingerprint} {config.precision}"
    cached = CachedDataset(training, config.cache, backbone.width, name, encode)
    return cached, functools.partial(collate_states, encode=characters.encode)


def new_model(config: NoiseTrainConfig, backbone: Backbone, characters: Characters) -> PromptedCTC:
    """A model before training. The head is the same whatever the prompts are, so that runs of one seed compare.

    Raises ConfigError when the head that the recipe starts with is another one.
    """
    torch.manual_seed(config.seed)
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    width = backbone.stacks["encoder"].width
    head = CTCHead(config.head, width, 1 + layers["encoder"], characters.size)
    prompts = SoftPrompts(config.prompts, width, layers) if config.prompts is not None else None
    if config.start is not None:
        known = load_recognizer(config.start, backbone)
        if (known.model.head.config, known.characters) != (config.head, characters):
            raise ConfigError(f"the head in '{config.start}' has other sizes or symbols than the recipe; give the same")
        head.load_state_dict(known.model.head.state_dict())
    return PromptedCTC(prompts, head)


@torch.no_grad()
def initialize_as_frames(prompts: SoftPrompts, backbone: Backbone, audio: list[np.ndarray]) -> None:
    """Set the prompt vectors of each layer to frames of speech as they enter it, spread evenly over the audio."""
    found = backbone.encode_layers(backbone.features(audio))
    vectors = prompts.get_parameter("stacks.encoder.vectors")
    valid = valid_positions(found.lengths, found.states[0].shape[1])
    for layer in range(vectors.shape[0]):
        frames = found.states[layer][valid]
        chosen = torch.linspace(0, frames.shape[0] - 1, vectors.shape[1]).long()
        vectors[layer].copy_(frames[chosen].to(vectors))


def noise_data(config: NoiseTrainConfig, characters: Characters) -> NoiseData:
    """Training utterances, and those of the talkers set aside, clean and noisy."""
    bank = read_noise(config.data.noise, split="train") if config.data.noise else None
    common: dict[str, Any] = {"normalise": characters.text, "accept": _accept(config, characters)}
    pool = max(config.pool // config.utterances_per_batch, 1) * config.utterances_per_batch
    training = NoisyDataset(
        load_corpus(config.data),
        bank,
        config.corruption,
        config.seed,
        config.items,
        pool=pool,
        batch=config.utterances_per_batch,
        **common,
    )
    development = functools.partial(_development, config, normalise=characters.text, accept=_accept(config, characters))
    return NoiseData(training, development(None), development(bank) if bank is not None else [])


def _accept(config: NoiseTrainConfig, characters: Characters) -> Accept:
    return fits_ctc(characters.encode, FRAME_RATE_HZ / config.head.joined)


def _development(
    config: NoiseTrainConfig, bank: NoiseBank | None, normalise: Callable[[str], str], accept: Any
) -> list[NoisyUtterance]:
    always = config.corruption.model_copy(update={"probability": 1.0})
    corpus = load_corpus(config.data, development=True)
    whole = NoisyDataset(corpus, bank, always, DEVELOPMENT_SEED, normalise=normalise, accept=accept)
    chosen = [whole[index] for index in range(min(len(whole), DEVELOPMENT_UTTERANCES))]
    return sorted(chosen, key=lambda utterance: utterance.audio.size)


@torch.no_grad()
def development_wer(
    model: PromptedCTC, backbone: Backbone, characters: Characters, utterances: list[NoisyUtterance]
) -> float:
    """Word error rate of greedy search."""
    training = model.training
    model.eval()
    scores = []
    for batch in _batches(utterances):
        log_probs, lengths = model(backbone, backbone.features([utterance.audio for utterance in batch]))
        found = greedy(log_probs, lengths, characters)
        scores += [score_utterance(utterance.text, text, str) for utterance, text in zip(batch, found, strict=True)]
    model.train(training)
    wer = summarize(scores, resamples=1).wer
    return wer if wer is not None else float("nan")


def _batches(utterances: list[NoisyUtterance]) -> Iterator[list[NoisyUtterance]]:
    for first in range(0, len(utterances), DEVELOPMENT_BATCH):
        yield utterances[first : first + DEVELOPMENT_BATCH]


def export_noise_run(
    run: Path,
    out: Path,
    state: Literal["best", "last"],
    half: bool = False,
    backbone: Backbone | None = None,
) -> RecognizerInfo:
    """Make a recogniser folder out of a state of a run. Raises ConfigError when the run has none yet."""
    path = run / (BEST if state == "best" else STATE)
    if not path.is_file() or not (run / CONFIG).is_file():
        raise ConfigError(f"no state '{state}' of a training run in '{run}'; train first, or wait for its first save")
    config = NoiseTrainConfig.model_validate_json((run / CONFIG).read_text(encoding="utf-8"))
    backbone = load_encoder(config.backbone) if backbone is None else backbone
    characters = Characters()
    model = new_model(config, backbone, characters)
    progress = load_state(path, model, None)
    return save_recognizer(
        model,
        out,
        backbone=backbone,
        characters=characters,
        training=training_metadata(config, progress),
        dtype="float16" if half else "float32",
    )


def training_metadata(config: NoiseTrainConfig, progress: Progress) -> dict[str, Any]:
    """For the card."""
    return {
        "prompts": config.prompts.encoder.length if config.prompts is not None and config.prompts.encoder else 0,
        "utterances": progress.step * config.accumulation * config.utterances_per_batch,
        "steps": progress.step,
        "hours": round(progress.seconds / 3600, 2),
        "seed": config.seed,
        "learning_rate": config.learning_rate,
        "prompt_rate": config.prompt_rate,
        "head_rate": config.head_rate,
        "noise": config.corruption.model_dump(),
        "development_wer": progress.best,
    }
