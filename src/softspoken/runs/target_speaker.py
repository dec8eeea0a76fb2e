"""A run on speech from its recipe to a prompt folder: one voice's words, or everybody's."""

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.backbones.whisper import FRAME_RATE_HZ
from softspoken.data.batches import Batch
from softspoken.data.config import DataConfig
from softspoken.data.corpus import load_corpus
from softspoken.data.examples import MixtureDataset
from softspoken.data.fixed_mixtures import read_fixed_mixtures
from softspoken.data.windows import short_speech
from softspoken.decoding import DecodingOptions, decode_batch
from softspoken.errors import ConfigError
from softspoken.evaluation.scores import score_utterance, summarize
from softspoken.evaluation.text import TextNormalizer
from softspoken.prompts import PromptInfo, inject, save_prompts
from softspoken.prompts.starts import begin_as_silence
from softspoken.runs.accelerator import new_accelerator
from softspoken.runs.beginnings import begin_as, run_facts
from softspoken.runs.data import (
    development_batches,
    development_windows,
    training_data,
    training_source,
    window_data,
)
from softspoken.runs.facts import begin_facts, note_memory
from softspoken.runs.progress import progress_bar
from softspoken.runs.trained import (
    WEIGHT_FILE,
    load_run,
    run_config,
    state_file,
    store_weights,
    stored_facts,
    untrained,
)
from softspoken.speakers import SpeakerEmbedder, load_embedder
from softspoken.training.config import TrainConfig
from softspoken.training.loop import TrainingStopped, train
from softspoken.training.method_config import MethodConfig, PromptMethod
from softspoken.training.methods import Trained, attached, prompts_of, weights_of
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
STARTING_CLIPS = 8
STARTING_S = 8.0
"""Clips, and seconds of them at most, behind whose speech the silence is heard that prompts may begin as."""


def run_training(config: TrainConfig, out: Path, stop_after_s: float | None = None) -> Path | None:
    """Train by `config` in `out` and write `out/prompt`, or `out/weights.safetensors` where weights are trained.

    Returns what was written; None when it stopped early because the time was up.
    """
    begun = time.monotonic() if config.minutes is not None else None
    accelerator = new_accelerator(config.precision)
    backbone = load_backbone(config.backbone).to(accelerator.device)
    if accelerator.device.type == "cuda" and config.precision == "bf16" and config.method.kind == "prompt":
        backbone.round_weights(torch.bfloat16)
    embedder = _embedder(config, accelerator.device)
    dataset = window_data(config) if embedder is None else training_data(config, embedder)
    trained = new_trained(config, backbone, dataset)
    objective = TargetSpeakerObjective(backbone, config.prompts, config.objective, tuned=weights_of(trained))
    development = (
        development_windows(config, backbone)
        if embedder is None
        else development_batches(config, embedder, backbone, dataset.texts)
    )

    development = [batch.to(accelerator.device) for batch in development]
    source = training_source(config, dataset, embedder, backbone)

    def step(module: nn.Module, batch: Any) -> dict[str, Tensor]:
        return objective(module, source.rendered(batch))

    def validate(module: Trained) -> dict[str, float]:
        module.eval()
        # Weights that are rounded already must be heard as they are trained.
        with accelerator.autocast() if backbone.rounded else nullcontext():
            figures = {} if embedder is None else voice_contrast(objective, module, development)
            wer = development_wer(backbone, module, development)
        module.train()
        return {**figures, "wer": wer, "score": wer}

    sizes: dict[str, Any] = {}
    if accelerator.is_main_process:
        sizes = begin_facts(out, trained, backbone.parameter_count, config.start)
    with progress_bar(config, stop_after_s) as report:
        try:
            train(
                config,
                trained,
                step,
                source.dataset,
                source.collate,
                out,
                validate,
                report,
                accelerator,
                rates_of(config.method),
                begun=begun,
            )
        except TrainingStopped:
            return None
        finally:
            if accelerator.is_main_process:
                note_memory(out)
    if config.method.kind == "prompt":
        if accelerator.is_main_process:
            export_run(out, out / PROMPT_FOLDER, "best", backbone=backbone)
        return out / PROMPT_FOLDER
    if accelerator.is_main_process:
        store_weights(out, load_run(out, "best", backbone), sizes)
    return out / WEIGHT_FILE


def _embedder(config: TrainConfig, device: torch.device) -> SpeakerEmbedder | None:
    """What tells voices apart, on a GPU where there is one; None for a run that follows no voice."""
    if config.task != "target-speaker":
        return None
    embedder = load_embedder(config.embedder) if device.type == "cpu" else load_embedder(config.embedder, str(device))
    return embedder.rounding() if config.precision == "bf16" else embedder


def export_run(
    run: Path,
    out: Path,
    state: Literal["best", "last"],
    half: bool = False,
    silence_threshold: float | None = None,
    results: Sequence[Path] = (),
    backbone: WhisperBackbone | None = None,
) -> PromptInfo:
    """Make a prompt folder out of a state of a run.

    Raises ConfigError when the run has none yet, or trains more than prompts.
    """
    config = run_config(run)
    path = state_file(run, state)
    if config.method.kind != "prompt":
        raise ConfigError(
            f"the run in '{run}' trains weights of the backbone ('{config.method.kind}'), which are no prompt; "
            f"'softspoken evaluate --method run:{run}' uses them"
        )
    backbone = load_backbone(config.backbone) if backbone is None else backbone
    prompts = prompts_of(untrained(config, backbone))
    progress = load_state(path, prompts, None)
    return save_prompts(
        prompts,
        out,
        backbone=backbone,
        dtype="float16" if half else "float32",
        **stored_facts(config),
        silence_threshold=silence_threshold,
        training=training_facts(run, config, progress),
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


def rates_of(method: MethodConfig) -> dict[str, float]:
    """Factors on the learning rate of the parts of what is trained."""
    return {} if isinstance(method, PromptMethod) else {"weights": method.weight_rate}


def new_trained(config: TrainConfig, backbone: WhisperBackbone, dataset: MixtureDataset) -> Trained:
    """What is to be trained: as what it starts from left it, else new. Errors as of `begin_as`.

    New prompts centre and scale voices by those of the training talkers.
    """
    torch.manual_seed(config.seed)
    trained = untrained(config, backbone)
    if config.start is not None:
        begin_as(config.start, trained, config, backbone)
        return trained
    prompts = prompts_of(trained)
    if config.prompt_start == "silence":
        speech = short_speech(dataset.corpus, STARTING_CLIPS, min(STARTING_S, backbone.max_frames / FRAME_RATE_HZ / 4))
        begin_as_silence(prompts, backbone, speech)
    if config.prompts.speaker is not None:
        rng = np.random.default_rng(config.seed)
        pieces = dataset.corpus.pieces
        chosen = rng.permutation(len(pieces))[:STATISTICS_PIECES]
        vectors = np.stack([dataset.vector(pieces[i]) for i in chosen])
        prompts.speaker_mean.copy_(torch.from_numpy(vectors.mean(axis=0)))
        prompts.speaker_scale.fill_(float(1.0 / vectors.std(axis=0).mean()))
    return trained


@torch.no_grad()
def development_wer(backbone: WhisperBackbone, trained: Trained, batches: list[Batch]) -> float:
    """Word error rate of greedy search on the development mixtures."""
    prompts, weights = prompts_of(trained), weights_of(trained)
    normalize = TextNormalizer()
    options = DecodingOptions(timestamps=False, temperatures=(0.0,), start="any")
    scores = []
    for batch in batches:
        batch = batch.to(backbone.device)
        given = conditioning(backbone, prompts.config, batch)
        with attached(weights), inject(backbone, prompts(*given.of_prompts), activity=given.activity):
            encoded = backbone.encode(backbone.features(batch.audio))
            found = decode_batch(backbone, encoded, options, window_s=[len(a) / SAMPLE_RATE_HZ for a in batch.audio])
        scores += [
            score_utterance(text, window.text, normalize) for text, window in zip(batch.texts, found, strict=True)
        ]
    wer = summarize(scores, resamples=1).wer
    return wer if wer is not None else float("nan")


def training_facts(run: Path, config: TrainConfig, progress: Progress) -> dict[str, Any]:
    """For the model card; `before` tells of the run that this one began with, as far as that could be read then."""
    return {
        **_speech_facts(config.data),
        **run_facts(run, config, progress),
        "development_wer": progress.best,
        "objective": config.objective.model_dump(),
    }


def _speech_facts(data: DataConfig) -> dict[str, Any]:
    """What was heard: a corpus's own mixtures, or the speech that mixtures are drawn from."""
    if data.mixtures is not None:
        fixed = read_fixed_mixtures(data.mixtures)
        talkers = {talker for mixture in fixed for talker in mixture.talkers}
        seconds = sum(mixture.duration_s for mixture in fixed)
        return {"corpus": data.mixtures.parent.name, "talkers": len(talkers), "mixture_hours": round(seconds / 3600, 2)}
    pieces = [piece for piece in load_corpus(data).pieces if piece.speed == 1.0]
    return {
        "talkers": len({piece.speaker for piece in pieces}),
        "speech_hours": round(sum(piece.duration_s for piece in pieces) / 3600, 2),
        "speeds": list(data.speeds),
    }
