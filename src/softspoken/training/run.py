"""A training run from top to bottom: recipe, data, prompts, loop, export."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
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
from softspoken.training.checkpoint import StateName, new_prompts, run_config, state_file, untrained
from softspoken.training.config import LoopConfig, TrainConfig
from softspoken.training.datasets import Source, development_data, require_development, training_data, training_source
from softspoken.training.loop import STATE, Report, TrainingStopped, train
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
    """Train by `config` in `out` and write `out/prompt`, which is the result.

    Returns None when it stopped early because the time was up. `recipe`: the text that `config` was read from, for the
    run's folder. Raises ConfigError when `out` holds another recipe's run.
    """
    # The recipe, and where it runs.
    begun = time.monotonic() if config.minutes is not None else None
    begin_run(config, out, recipe)
    require_development(config.data)
    accelerator = new_accelerator(config.precision)
    main = accelerator.is_main_process

    # Frozen models, and the mixtures that are made for them.
    backbone = load_backbone(config.backbone).to(accelerator.device)
    if accelerator.device.type == "cuda" and config.precision == "bf16":
        backbone.round_weights(torch.bfloat16)
    embedder = learning_embedder(config, accelerator.device)
    dataset = training_data(config, embedder)
    source = training_source(dataset, backbone)

    # What is trained, what for, and what shows how far it is.
    prompts = new_prompts(config, backbone, dataset.first if isinstance(dataset, ShardedMixtures) else dataset)
    objective = TargetSpeakerObjective(backbone, config.prompts, config.objective, average=average_of(accelerator))
    development = development_data(config, embedder, backbone) if main else []
    if main:
        note_sizes(out, config, prompts, backbone.parameter_count)

    # The loop, and the best state as it is deployed.
    if not train_to_end(config, out, prompts, objective, source, development, accelerator, begun, stop_after_s):
        return None
    if main:
        export_run(out, out / PROMPT_FOLDER, "best", backbone=backbone)
    finish_run(out, out / PROMPT_FOLDER)
    return out / PROMPT_FOLDER


def learning_embedder(config: TrainConfig, device: torch.device) -> SpeakerEmbedder:
    """The speaker embedder, on a GPU if there is one. Raises ConfigError where the prompts expect other vectors."""
    embedder = load_learning_embedder(config.embedder, str(device))
    speaker = config.prompts.speaker
    if speaker is not None and speaker.dimension != embedder.dimension:
        raise ConfigError(
            f"'prompts.speaker.dimension' is {speaker.dimension}, but '{config.embedder}' makes vectors of "
            f"{embedder.dimension}; set it to {embedder.dimension}"
        )
    return embedder.rounding() if config.precision == "bf16" else embedder


def train_to_end(
    config: TrainConfig,
    out: Path,
    trained: nn.Module,
    objective: TargetSpeakerObjective,
    source: Source,
    development: Sequence[Batch],
    accelerator: Accelerator,
    begun: float | None,
    stop_after_s: float | None,
    rates: Mapping[str, float] = MappingProxyType({}),
    contrast: bool = True,
) -> bool:
    """The loop with its progress on stderr, which goes on from the last state in `out`; False: the time was up first.

    `begun`, `rates`: as of `train`. `contrast`: whether `voice_contrast` is among the figures.
    """
    main = accelerator.is_main_process
    batches = [batch.to(accelerator.device) for batch in development]
    validate = partial(_validated, accelerator, objective, batches, contrast)

    def step(module: nn.Module, batch: Any) -> dict[str, Tensor]:
        return objective(module, source.rendered(batch))

    def once(again: bool) -> Progress:
        # What an earlier try took is in the state that it left.
        since = None if again else begun
        items, collate = source.dataset, source.collate
        return train(config, trained, step, items, collate, out, validate, report, accelerator, rates, begun=since)

    with progress_bar(config, stop_after_s) if main else nullcontext() as report:
        try:
            surviving_workers(once, out / STATE, accelerator.num_processes)
        except TrainingStopped:
            return False
        finally:
            if main:
                note_memory(out)
    return True


def _validated(
    accelerator: Accelerator, objective: TargetSpeakerObjective, batches: list[Batch], contrast: bool, module: Any
) -> dict[str, float]:
    """Figures of the talkers who are put aside; the word error rate chooses the best state."""
    module.eval()
    # Weights that are rounded already must run as they are trained.
    with accelerator.autocast() if objective.backbone.rounded else nullcontext():
        figures = voice_contrast(objective, module, batches) if contrast else {}
        wer = development_wer(objective, module, batches)
    module.train()
    return {**figures, **wer, "score": wer["wer"]}


def export_run(
    run: Path,
    out: Path,
    state: StateName,
    half: bool = False,
    results: Sequence[Path] = (),
    backbone: WhisperBackbone | None = None,
    config: TrainConfig | None = None,
    heard: Mapping[str, Any] | None = None,
) -> PromptInfo:
    """Make a prompt folder out of a state of a run.

    `config`: as what the run is read; None: the `TrainConfig` in its folder. `heard`: what the model card says of the
    speech; None: what is in the manifests of `config`. Raises ConfigError when the run has no such state yet.
    """
    config = run_config(run, TrainConfig) if config is None else config
    path = state_file(run, state)
    backbone = load_backbone(config.backbone) if backbone is None else backbone
    prompts = untrained(config.prompts, backbone)
    progress = load_state(path, prompts, None)
    return save_prompts(
        prompts,
        out,
        backbone=backbone,
        dtype="float16" if half else "float32",
        **config.stored,
        training=training_metadata(run, config, progress, heard),
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


@torch.no_grad()
def development_wer(
    objective: TargetSpeakerObjective, trained: nn.Module, batches: Sequence[Batch]
) -> dict[str, float]:
    """Word error rate of greedy search on the development mixtures, and its 95 % interval."""
    backbone = objective.backbone
    normalize = TextNormalizer()
    options = DecodingOptions(timestamps=False, temperatures=(0.0,), start="any")
    scores = []
    for batch in batches:
        batch = batch.to(backbone.device)
        given = conditioning(backbone, objective.prompts, batch)
        with objective.beside():
            # Weights are attached in turns, and autocasting keeps copies of them: no recorded steps.
            engine = TorchEngine(backbone, graphs=False)
            rows = engine.compile_rows(trained(*given.of_prompts))
            activity = None if given.activity is None else given.activity.float().cpu().numpy()
            heard = engine.encode(engine.features(batch.audio, objective.window_s), rows, activity)
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
