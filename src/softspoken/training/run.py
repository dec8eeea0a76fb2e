"""A training run from top to bottom: recipe, data, model, loop, export. One voice's words, or everybody's."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from rich import progress as rich_progress
from rich.console import Console
from torch import Tensor, nn

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.cpu import multiplies_bfloat16
from softspoken.data.batches import Batch
from softspoken.data.campplus_torch import load_learning_embedder
from softspoken.data.streaming import ShardedMixtures
from softspoken.decoding import DecodingOptions, decode_batch
from softspoken.engines import TorchEngine
from softspoken.errors import ConfigError
from softspoken.prompts import PromptInfo, save_prompts
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import score_utterance, summarize
from softspoken.speakers import SpeakerEmbedder
from softspoken.training.checkpoint import (
    new_trained,
    run_config,
    state_file,
    stored_metadata,
    untrained,
)
from softspoken.training.config import LoopConfig, MethodConfig, PromptMethod, TrainConfig
from softspoken.training.datasets import (
    development_data,
    training_data,
    training_source,
    window_data,
)
from softspoken.training.loop import BEST, STATE, Report, TrainingStopped, train
from softspoken.training.methods import Trained, attached, prompts_of, weights_of
from softspoken.training.objective import TargetSpeakerObjective, conditioning, voice_contrast
from softspoken.training.processes import average_of, require_supported
from softspoken.training.provenance import note_memory, note_sizes, training_metadata
from softspoken.training.run_folder import begin_run, finish_run
from softspoken.training.state import Progress, load_state, surviving_workers

PROMPT_FOLDER = "prompt"
CARD_KEYS = (
    *("method", "wer", "wer_low", "wer_high"),
    *("substitutions", "deletions", "insertions", "words", "rejection_rate"),
)
"""Figures of an evaluation that the model card shows."""


def run_training(
    config: TrainConfig, out: Path, stop_after_s: float | None = None, recipe: str | None = None
) -> Path | None:
    """Train by `config` in `out` and write `out/prompt`; where weights are trained, the best state is the result.

    Returns the result; None when it stopped early because the time was up. `recipe`: the text that `config` was read
    from, for the run's folder. Raises ConfigError when `out` holds another recipe's run.
    """
    # The recipe, and where it runs.
    begun = time.monotonic() if config.minutes is not None else None
    begin_run(config, out, recipe)
    accelerator = new_accelerator(config.precision)
    main = accelerator.is_main_process

    # Frozen models, and the mixtures that are made for them.
    backbone = load_backbone(config.backbone).to(accelerator.device)
    if accelerator.device.type == "cuda" and config.precision == "bf16" and config.method.kind == "prompt":
        backbone.round_weights(torch.bfloat16)
    embedder = _embedder(config, accelerator.device)
    dataset = window_data(config) if embedder is None else training_data(config, embedder)
    source = training_source(config, dataset, embedder, backbone)

    # What is trained, what for, and what shows how far it is.
    trained = new_trained(config, backbone, dataset.first if isinstance(dataset, ShardedMixtures) else dataset)
    objective = TargetSpeakerObjective(
        backbone, config.prompts, config.objective, weights_of(trained), average=average_of(accelerator)
    )
    found = development_data(config, embedder, backbone) if main else []
    development = [batch.to(accelerator.device) for batch in found]
    validate = partial(_validated, accelerator, objective, development, embedder is not None)
    if main:
        note_sizes(out, trained, backbone.parameter_count, config.start)

    # The loop, which goes on from the last state in `out`.
    def step(module: nn.Module, batch: Any) -> dict[str, Tensor]:
        return objective(module, source.rendered(batch))

    def once(again: bool) -> Progress:
        # What an earlier try took is in the state that it left.
        since, rates = None if again else begun, rates_of(config.method)
        items, collate = source.dataset, source.collate
        return train(config, trained, step, items, collate, out, validate, report, accelerator, rates, begun=since)

    with progress_bar(config, stop_after_s) if main else nullcontext() as report:
        try:
            surviving_workers(once, out / STATE, accelerator.num_processes)
        except TrainingStopped:
            return None
        finally:
            if main:
                note_memory(out)

    # The best state, as it is deployed.
    result = out / (PROMPT_FOLDER if config.method.kind == "prompt" else BEST)
    if main and config.method.kind == "prompt":
        export_run(out, result, "best", backbone=backbone)
    finish_run(out, result, config.steps)
    return result


def _validated(
    accelerator: Accelerator, objective: TargetSpeakerObjective, batches: list[Batch], follows_voice: bool, module: Any
) -> dict[str, float]:
    """Figures of the talkers who are put aside; the word error rate chooses the best state."""
    module.eval()
    # Weights that are rounded already must run as they are trained.
    with accelerator.autocast() if objective.backbone.rounded else nullcontext():
        figures = voice_contrast(objective, module, batches) if follows_voice else {}
        wer = development_wer(objective.backbone, module, batches)
    module.train()
    return {**figures, **wer, "score": wer["wer"]}


def _embedder(config: TrainConfig, device: torch.device) -> SpeakerEmbedder | None:
    """The speaker embedder, on a GPU if there is one; None for a run that follows no voice."""
    if config.task != "target-speaker":
        return None
    embedder = load_learning_embedder(config.embedder, str(device))
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
        **stored_metadata(config),
        silence_threshold=silence_threshold,
        training=training_metadata(run, config, progress),
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


@torch.no_grad()
def development_wer(backbone: WhisperBackbone, trained: Trained, batches: list[Batch]) -> dict[str, float]:
    """Word error rate of greedy search on the development mixtures, and its 95 % interval."""
    prompts, weights = prompts_of(trained), weights_of(trained)
    normalize = TextNormalizer()
    options = DecodingOptions(timestamps=False, temperatures=(0.0,), start="any")
    scores = []
    for batch in batches:
        batch = batch.to(backbone.device)
        given = conditioning(backbone, prompts.config, batch)
        with attached(weights):
            # Weights are attached in turns, and autocasting keeps copies of them: no recorded steps.
            engine = TorchEngine(backbone, graphs=False)
            rows = engine.compile_rows(prompts(*given.of_prompts))
            activity = None if given.activity is None else given.activity.float().cpu().numpy()
            heard = engine.encode(engine.features(batch.audio), rows, activity)
            found = decode_batch(heard, options, window_s=[len(a) / SAMPLE_RATE_HZ for a in batch.audio])
        scores += [
            score_utterance(text, window.text, normalize) for text, window in zip(batch.texts, found, strict=True)
        ]
    score = summarize(scores)
    if score.wer is None or score.wer_interval is None:
        return {"wer": float("nan")}
    return {"wer": score.wer, "wer_low": score.wer_interval.low, "wer_high": score.wer_interval.high}


def new_accelerator(precision: Literal["no", "bf16", "fp16"]) -> Accelerator:
    """For training in `precision`; says so where that is the slower one."""
    accelerator = Accelerator(mixed_precision=precision)
    require_supported(accelerator)
    if accelerator.device.type == "cuda":
        # Every batch has a shape of its own: cuDNN plans its attention anew for each, which takes most of the time, and
        # has failed on an H100. The other kernels need no plan.
        torch.backends.cuda.enable_cudnn_sdp(False)
    slower = precision == "bf16" and accelerator.device.type == "cpu" and not multiplies_bfloat16()
    if slower and accelerator.is_main_process:
        hint = 'bfloat16 is slower than float32 on this processor; a new run with precision = "no" trains faster'
        print(f"softspoken: {hint}", file=sys.stderr)
    return accelerator


@contextmanager
def progress_bar(config: LoopConfig, stop_after_s: float | None) -> Iterator[Report]:
    """Loss, development figures, speed and time left on stderr."""
    begun = time.monotonic()
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[figures]}"),
    )
    shown: dict[str, float] = {}
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=config.steps, figures="")

        def report(step: int, steps: int, figures: dict[str, float]) -> None:
            shown.update(figures)
            parts = {
                "loss": "loss",
                "valid/gap": "gap",
                "valid/wer": "wer",
                "valid/clean_wer": "clean wer",
                "valid/noisy_wer": "noisy wer",
                "examples_per_s": "examples/s",
            }
            text = "  ".join(f"{label} {shown[name]:.3g}" for name, label in parts.items() if name in shown)
            bar.update(task, completed=step, figures=text)
            if stop_after_s is not None and time.monotonic() - begun > stop_after_s and step < steps:
                raise TrainingStopped

        yield report
