"""A target-speaker run from its recipe to a prompt folder."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.backbones.base import StackName
from softspoken.data.batches import Batch, collate
from softspoken.data.corpus import load_corpus
from softspoken.data.examples import MixtureDataset
from softspoken.decoding import DecodingOptions, decode_batch
from softspoken.errors import ConfigError
from softspoken.evaluation.scores import score_utterance, summarize
from softspoken.evaluation.text import TextNormalizer
from softspoken.prompts import PromptInfo, SoftPrompts, inject, save_prompts
from softspoken.runs.data import development_batches, training_data
from softspoken.runs.progress import progress_bar
from softspoken.speakers import load_embedder
from softspoken.training.config import TrainConfig
from softspoken.training.loop import BEST, CONFIG, STATE, TrainingStopped, train
from softspoken.training.state import Progress, load_state
from softspoken.training.target_speaker import TargetSpeakerObjective, conditioning, voice_contrast

PROMPT_FOLDER = "prompt"
CARD_KEYS = (
    *("method", "wer", "wer_low", "wer_high"),
    *("substitutions", "deletions", "insertions", "words", "rejection_rate"),
)
"""Of an evaluation, what the model card shows."""
STATISTICS_PIECES = 400
"""Pieces of training speech whose embeddings give the mean and scale of voices."""


def run_training(config: TrainConfig, out: Path, stop_after_s: float | None = None) -> Path | None:
    """Train by `config` in `out` and write `out/prompt`; None when it stopped early because the time was up."""
    accelerator = Accelerator(mixed_precision=config.precision)
    backbone = load_backbone(config.backbone).to(accelerator.device)
    embedder = load_embedder(config.embedder)
    dataset = training_data(config, embedder)
    prompts = new_prompts(config, backbone, dataset)
    objective = TargetSpeakerObjective(backbone, config.prompts, config.objective)
    development = development_batches(config, embedder, backbone, dataset.texts)

    def validate(module: SoftPrompts) -> dict[str, float]:
        figures = voice_contrast(objective, module, development)
        wer = development_wer(backbone, module, development)
        return {**figures, "wer": wer, "score": wer}

    with progress_bar(config, stop_after_s) as report:
        try:
            train(
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
        export_run(out, out / PROMPT_FOLDER, "best", backbone=backbone)
    return out / PROMPT_FOLDER


def export_run(
    run: Path,
    out: Path,
    state: Literal["best", "last"],
    half: bool = False,
    silence_threshold: float | None = None,
    results: Sequence[Path] = (),
    backbone: WhisperBackbone | None = None,
) -> PromptInfo:
    """Make a prompt folder out of a state of a run. Raises ConfigError when the run has none yet."""
    path = run / (BEST if state == "best" else STATE)
    if not path.is_file() or not (run / CONFIG).is_file():
        raise ConfigError(f"no state '{state}' of a training run in '{run}'; train first, or wait for its first save")
    config = TrainConfig.model_validate_json((run / CONFIG).read_text(encoding="utf-8"))
    backbone = load_backbone(config.backbone) if backbone is None else backbone
    prompts = SoftPrompts(config.prompts, backbone.stacks["encoder"].width, layers_of(backbone))
    progress = load_state(path, prompts, None)
    return save_prompts(
        prompts,
        out,
        backbone=backbone,
        dtype="float16" if half else "float32",
        embedder=config.embedder,
        silence_threshold=silence_threshold,
        training=training_facts(config, progress),
        results=[row for path in results for row in card_rows(path)],
    )


def card_rows(path: Path) -> list[dict[str, Any]]:
    """Rows for the model card out of the JSON of an evaluation; the file's name is the name of the test set."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = found if isinstance(found, list) else [found]
        return [{"test set": path.stem, **{key: row[key] for key in CARD_KEYS}} for row in rows]
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"no results in '{path}' ({error}); give what 'softspoken evaluate --json' prints") from error


def layers_of(backbone: WhisperBackbone) -> dict[StackName, int]:
    """How many layers each stack has."""
    return {name: len(stack.layers) for name, stack in backbone.stacks.items()}


def new_prompts(config: TrainConfig, backbone: WhisperBackbone, dataset: MixtureDataset) -> SoftPrompts:
    """Untrained prompts for a backbone; voices are centred and scaled by those of the training talkers."""
    torch.manual_seed(config.seed)
    prompts = SoftPrompts(config.prompts, backbone.stacks["encoder"].width, layers_of(backbone))
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
        given = conditioning(backbone, prompts.config, batch)
        with inject(backbone, prompts(*given.of_prompts), activity=given.activity):
            encoded = backbone.encode(backbone.features(batch.audio))
            found = decode_batch(backbone, encoded, options, window_s=[len(a) / SAMPLE_RATE_HZ for a in batch.audio])
        scores += [
            score_utterance(text, window.text, normalize) for text, window in zip(batch.texts, found, strict=True)
        ]
    wer = summarize(scores, resamples=1).wer
    return wer if wer is not None else float("nan")


def training_facts(config: TrainConfig, progress: Progress) -> dict[str, Any]:
    """For the model card."""
    corpus = load_corpus(config.data)
    speech_s = sum(piece.duration_s for piece in corpus.pieces if piece.speed == 1.0)
    return {
        "talkers": len({piece.speaker for piece in corpus.pieces if piece.speed == 1.0}),
        "speech_hours": round(speech_s / 3600, 2),
        "speeds": list(config.data.speeds),
        "mixtures": progress.step * config.accumulation * config.mixtures_per_batch,
        "steps": progress.step,
        "hours": round(progress.seconds / 3600, 2),
        "seed": config.seed,
        "development_wer": progress.best,
        "objective": config.objective.model_dump(),
    }
