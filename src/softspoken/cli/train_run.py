"""What `prompt train` puts together: data, backbone, prompts, development figures, progress, the finished folder."""

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.data.batches import Batch, activity, collate
from softspoken.data.corpus import Corpus, load_corpus, read_noises
from softspoken.data.examples import MixtureDataset, Scorer, read_texts
from softspoken.decoding import DecodingOptions, decode_batch
from softspoken.evaluation.scores import score_utterance, summarize
from softspoken.evaluation.text import TextNormalizer
from softspoken.prompts import FramePrompt, SoftPrompts, inject, save_prompts
from softspoken.speakers import FrameScores, SpeakerEmbedder, load_embedder
from softspoken.training.config import TrainConfig
from softspoken.training.loop import BEST, Report, TrainingStopped, train
from softspoken.training.state import load_state
from softspoken.training.target_speaker import TargetSpeakerObjective, voice_contrast

PROMPT_FOLDER = "prompt"
DEVELOPMENT_MIXTURES = 16
DEVELOPMENT_SEED = 99
STATISTICS_PIECES = 400
"""Pieces of training speech whose embeddings give the mean and scale of voices."""


def run_training(config: TrainConfig, out: Path, stop_after_s: float | None = None) -> Path | None:
    """Train by `config` in `out` and write `out/prompt`; None when it stopped early because the time was up."""
    accelerator = Accelerator(mixed_precision=config.precision)
    backbone = load_backbone(config.backbone).to(accelerator.device)
    embedder = load_embedder(config.embedder)
    dataset = training_data(config, embedder)
    prompts = new_prompts(config, backbone, dataset)
    objective = TargetSpeakerObjective(backbone, config.objective)
    development = development_batches(config, embedder, backbone, dataset.texts)

    def validate(module: SoftPrompts) -> dict[str, float]:
        figures = voice_contrast(objective, module, config.prompts, development)
        wer = development_wer(backbone, module, development)
        return {**figures, "wer": wer, "score": figures["right_voice"]}

    with progress_bar(config, stop_after_s) as report:
        try:
            progress = train(
                config,
                prompts,
                objective,
                dataset,
                functools.partial(collate, vocabulary=backbone.tokens, max_tokens=backbone.max_tokens // 2),
                out,
                validate,
                report,
                accelerator,
            )
        except TrainingStopped:
            return None
    if accelerator.is_main_process:
        load_state(out / BEST, prompts, None)
        facts = training_facts(config, dataset, progress.seconds, progress.best)
        save_prompts(prompts, out / PROMPT_FOLDER, backbone=backbone, embedder=config.embedder, training=facts)
    return out / PROMPT_FOLDER


def scorer_for(embedder: SpeakerEmbedder, frames: FramePrompt) -> Scorer:
    """Frame scores exactly as they are made when transcribing."""

    def score(audio: np.ndarray, voices: np.ndarray) -> np.ndarray:
        return FrameScores.measure(embedder, audio, (frames.window_s,), frames.hop_s).against(voices)

    return score


def training_data(config: TrainConfig, embedder: SpeakerEmbedder) -> MixtureDataset:
    """Mixtures of the training talkers."""
    corpus = load_corpus(config.data)
    texts = _texts(config, corpus)
    size = config.steps * config.accumulation * config.mixtures_per_batch
    return MixtureDataset(
        corpus,
        texts,
        embedder.embed,
        scorer_for(embedder, _frames(config)),
        config.mixing,
        config.seed,
        size,
        read_noises(config.data.noise),
    )


def development_batches(
    config: TrainConfig, embedder: SpeakerEmbedder, backbone: WhisperBackbone, texts: Any
) -> list[Batch]:
    """Two-talker mixtures of the talkers set aside, overlap at least half: pairs of targets, the same in every run."""
    fixed = {"talkers": {2: 1.0}, "overlap": (0.5, 1.0)}
    never = {"silent_probability": 0.0, "noise_probability": 0.0, "timestamp_probability": 0.0}
    mixing = config.mixing.model_copy(update=fixed | never)
    corpus = load_corpus(config.data, development=True)
    texts = _texts(config, corpus) if config.data.texts is None else texts
    scorer = scorer_for(embedder, _frames(config))
    dataset = MixtureDataset(corpus, texts, embedder.embed, scorer, mixing, DEVELOPMENT_SEED, 10**6)
    pairs = (group for group in (dataset[index] for index in range(10**6)) if len(group) == 2)
    chosen = [next(pairs) for _ in range(DEVELOPMENT_MIXTURES)]
    size = 4
    return [
        collate(chosen[first : first + size], backbone.tokens, backbone.max_tokens // 2)
        for first in range(0, len(chosen), size)
    ]


def _frames(config: TrainConfig) -> FramePrompt:
    return config.prompts.frames if config.prompts.frames is not None else FramePrompt()


def _texts(config: TrainConfig, corpus: Corpus) -> dict[str, str]:
    if config.data.texts is not None:
        return read_texts(config.data.texts)
    return {piece.id: piece.text for piece in corpus.pieces if piece.text.strip()}


def new_prompts(config: TrainConfig, backbone: WhisperBackbone, dataset: MixtureDataset) -> SoftPrompts:
    """Untrained prompts for a backbone; voices are centred and scaled by those of the training talkers."""
    torch.manual_seed(config.seed)
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    prompts = SoftPrompts(config.prompts, backbone.stacks["encoder"].width, layers)
    if config.prompts.speaker is not None:
        rng = np.random.default_rng(config.seed)
        pieces = dataset.corpus.pieces
        chosen = rng.permutation(len(pieces))[:STATISTICS_PIECES]
        vectors = np.stack([dataset.embed(dataset.corpus.audio(pieces[i])) for i in chosen])
        prompts.speaker_mean.copy_(torch.from_numpy(vectors.mean(axis=0)))
        prompts.speaker_scale.fill_(float(1.0 / vectors.std(axis=0).mean()))
    return prompts


@torch.no_grad()
def development_wer(backbone: WhisperBackbone, prompts: SoftPrompts, batches: list[Batch]) -> float:
    """Word error rate of greedy search on the development mixtures."""
    normalize = TextNormalizer()
    options = DecodingOptions(timestamps=False, temperatures=(0.0,), start="any")
    scores = []
    for batch in batches:
        batch = batch.to(backbone.device)
        with inject(backbone, prompts, **conditioning(prompts, batch)):
            encoded = backbone.encode(backbone.features(batch.audio))
            found = decode_batch(backbone, encoded, options, window_s=[len(a) / 16000 for a in batch.audio])
        scores += [
            score_utterance(text, window.text, normalize) for text, window in zip(batch.texts, found, strict=True)
        ]
    wer = summarize(scores, resamples=1).wer
    return wer if wer is not None else float("nan")


def conditioning(prompts: SoftPrompts, batch: Batch) -> dict[str, Any]:
    """What `inject` needs besides the prompts, from a batch."""
    frames = prompts.config.frames
    return {
        "speaker": batch.voices if prompts.config.speaker is not None else None,
        "activity": activity(batch.scores, frames.slope, frames.threshold) if frames is not None else None,
    }


def training_facts(config: TrainConfig, dataset: MixtureDataset, seconds: float, best: float | None) -> dict[str, Any]:
    """For the model card."""
    speech_s = sum(piece.duration_s for piece in dataset.corpus.pieces)
    return {
        "talkers": len(dataset.corpus.speakers),
        "speech_hours": round(speech_s / 3600, 2),
        "mixtures": config.steps * config.accumulation * config.mixtures_per_batch,
        "steps": config.steps,
        "hours": round(seconds / 3600, 2),
        "seed": config.seed,
        "development_loss": best,
        "objective": config.objective.model_dump(),
    }


@contextmanager
def progress_bar(config: TrainConfig, stop_after_s: float | None) -> Iterator[Report]:
    """Loss, development figures, speed and time left on stderr."""
    begun = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    shown: dict[str, float] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=config.steps, figures="")

        def report(step: int, steps: int, figures: dict[str, float]) -> None:
            shown.update(figures)
            parts = {"loss": "loss", "valid/gap": "gap", "valid/wer": "wer", "examples_per_s": "examples/s"}
            text = "  ".join(f"{label} {shown[name]:.3g}" for name, label in parts.items() if name in shown)
            bar.update(task, completed=step, figures=text)
            if stop_after_s is not None and time.monotonic() - begun > stop_after_s and step < steps:
                raise TrainingStopped

        yield report
