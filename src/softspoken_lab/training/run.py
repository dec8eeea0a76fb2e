"""A training run of a study: as the product's, by any method, on any mixtures, for one voice or for everybody."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from softspoken.backbones import load_backbone
from softspoken.data.streaming import ShardedMixtures
from softspoken.errors import ConfigError
from softspoken.prompts import PromptInfo
from softspoken.training.checkpoint import StateName, run_config
from softspoken.training.datasets import require_development
from softspoken.training.loop import BEST
from softspoken.training.objective import TargetSpeakerObjective
from softspoken.training.processes import average_of
from softspoken.training.provenance import note_sizes
from softspoken.training.run import PROMPT_FOLDER, learning_embedder, new_accelerator, train_to_end
from softspoken.training.run import export_run as export_prompts
from softspoken.training.run_folder import begin_run, finish_run
from softspoken_lab.training.checkpoint import new_trained
from softspoken_lab.training.config import PromptMethod, StudyTrainConfig
from softspoken_lab.training.datasets import development_data, heard_mixtures, training_data, training_source
from softspoken_lab.training.methods import attached, prompts_of, weights_of


def run_training(
    config: StudyTrainConfig, out: Path, stop_after_s: float | None = None, recipe: str | None = None
) -> Path | None:
    """Train by `config` in `out` and write `out/prompt`; where weights are trained, the best state is the result.

    Arguments, result and errors are those of `softspoken.training.run.run_training`.
    """
    begun = time.monotonic() if config.minutes is not None else None
    begin_run(config, out, recipe)
    follows_voice = config.task == "target-speaker"
    if follows_voice:
        require_development(config.data)
    accelerator = new_accelerator(config.precision)
    main = accelerator.is_main_process
    of_prompts = isinstance(config.method, PromptMethod)

    backbone = load_backbone(config.backbone).to(accelerator.device)
    if accelerator.device.type == "cuda" and config.precision == "bf16" and of_prompts:
        backbone.round_weights(torch.bfloat16)
    embedder = learning_embedder(config, accelerator.device) if follows_voice else None
    dataset = training_data(config, embedder)
    source = training_source(config, dataset, embedder, backbone)

    trained = new_trained(config, backbone, dataset.first if isinstance(dataset, ShardedMixtures) else dataset)
    prompts, weights = prompts_of(trained), weights_of(trained)
    objective = TargetSpeakerObjective(
        backbone,
        config.prompts,
        config.objective,
        partial(attached, weights),
        config.window_s,
        average_of(accelerator),
    )
    development = development_data(config, embedder, backbone) if main else []
    if main:
        note_sizes(out, config, prompts, backbone.parameter_count, 0 if weights is None else weights.parameter_count)

    rates = {} if isinstance(config.method, PromptMethod) else {"weights": config.method.weight_rate}
    made = (config, out, trained, objective, source, development, accelerator, begun, stop_after_s)
    if not train_to_end(*made, rates, contrast=follows_voice):
        return None
    result = out / (PROMPT_FOLDER if of_prompts else BEST)
    if main and of_prompts:
        export_prompts(out, result, "best", backbone=backbone, config=config, heard=heard_mixtures(config))
    finish_run(out, result)
    return result


def export_run(
    run: Path,
    out: Path,
    state: StateName,
    half: bool = False,
    results: Sequence[Path] = (),
) -> PromptInfo:
    """Make a prompt folder out of a state of a run. Raises ConfigError when there is none, or it trains more."""
    config = run_config(run, StudyTrainConfig)
    if config.method.kind != "prompt":
        raise ConfigError(
            f"the run in '{run}' trains weights of the backbone ('{config.method.kind}'), which are no prompt; "
            f"'softspoken-lab evaluate --method run:{run}' uses them"
        )
    return export_prompts(run, out, state, half, results, config=config, heard=heard_mixtures(config))
