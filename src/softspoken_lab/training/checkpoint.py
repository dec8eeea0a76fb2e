"""What a run of a study has trained, by whatever method: begun, loaded again, made to transcribe."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch

from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.backbones.features import FRAME_RATE_HZ
from softspoken.backbones.weights import fingerprint
from softspoken.data.examples import MixtureDataset
from softspoken.decoding import TargetSpeakerTranscriber
from softspoken.engines import EngineName, Precision, load_engine
from softspoken.errors import ConfigError
from softspoken.prompts import LoadedPrompts
from softspoken.prompts.checkpoint import prompt_files
from softspoken.speakers import load_embedder
from softspoken.training.checkpoint import (
    OF_A_RUN,
    StateName,
    centre_voices,
    run_config,
    start_from_prompt,
    start_from_run,
    state_file,
    untrained,
)
from softspoken.training.run_folder import is_run
from softspoken.training.state import load_state
from softspoken_lab.training.config import StudyTrainConfig
from softspoken_lab.training.initialization import initialize_as_silence
from softspoken_lab.training.methods import Trained, prompts_of, tuned, weights_of
from softspoken_lab.training.windows import short_speech

INITIAL_CLIPS = 8
INITIAL_S = 8.0
"""Clips, and seconds of them at most, behind whose speech the silence is heard that prompts may begin as."""


@dataclass(frozen=True)
class LoadedRun:
    """A state of a run, on the CPU and in evaluation mode; its weights are not attached yet."""

    config: StudyTrainConfig
    backbone: WhisperBackbone
    trained: Trained


def new_trained(config: StudyTrainConfig, backbone: WhisperBackbone, dataset: MixtureDataset) -> Trained:
    """What is to be trained: as what it starts from left it, else new. Errors as of `new_prompts`."""
    torch.manual_seed(config.seed)
    trained = _untrained(config, backbone)
    prompts = prompts_of(trained)
    if config.start is None:
        if config.prompt_start == "silence":
            longest_s = min(INITIAL_S, backbone.max_frames / FRAME_RATE_HZ / 4)
            initialize_as_silence(prompts, backbone, short_speech(dataset.corpus, INITIAL_CLIPS, longest_s))
        centre_voices(prompts, dataset, config.seed)
    elif is_run(config.start):
        start_from_run(config.start, trained, config, (*OF_A_RUN, "method"))
    elif config.method.kind == "prompt":
        start_from_prompt(config.start, prompts, config, backbone)
    else:
        raise ConfigError(
            f"'{config.start}' is a prompt, and method '{config.method.kind}' also trains weights; start from a run"
        )
    return trained


def load_run(run: Path, state: StateName = "best", backbone: WhisperBackbone | None = None) -> LoadedRun:
    """What a run has trained so far. `backbone`: instead of loading the recipe's; it gets weights of its own.

    Raises:
        ConfigError: there is no such run or state.
        PromptDamaged: the state cannot be read, or does not fit this backbone.
    """
    config = run_config(run, StudyTrainConfig)
    path = state_file(run, state)
    backbone = load_backbone(config.backbone) if backbone is None else backbone
    trained = _untrained(config, backbone)
    load_state(path, trained, None)
    return LoadedRun(config, backbone, trained.eval())


def _untrained(config: StudyTrainConfig, backbone: WhisperBackbone) -> Trained:
    return tuned(config.method, untrained(config.prompts, backbone), backbone)


def transcriber_of(
    loaded: LoadedRun,
    engine: EngineName = "torch",
    precision: Precision | None = None,
    threads: int | None = None,
) -> TargetSpeakerTranscriber:
    """Transcribes as the model that was trained; from now on its backbone runs with the trained weights.

    `engine`, `precision`, `threads`: see `load_engine`; engines other than PyTorch run a backbone as it was before
    training.

    Raises ConfigError for a run that follows no voice.
    """
    if loaded.config.task != "target-speaker":
        raise ConfigError(f"the run trains '{loaded.config.task}', which follows no voice; export and use its prompt")
    backbone = loaded.backbone
    prompts = prompts_of(loaded.trained)
    info, _ = prompt_files(prompts, backbone=backbone, **loaded.config.stored)
    weights = weights_of(loaded.trained)
    if weights is not None:
        weights.attach()
    embedder = load_embedder(loaded.config.embedder)
    made = load_engine(backbone, engine, precision, threads=threads)
    return TargetSpeakerTranscriber(made, LoadedPrompts.of(prompts.fold(), info), embedder)


def digest_of(trained: Trained) -> str:
    """Names the trained numbers, rounded to half precision."""
    return fingerprint({name: tensor.float().cpu() for name, tensor in trained.state_dict().items()})


def run_named(name: str) -> tuple[Path, StateName] | None:
    """The run and the state that 'run:FOLDER' or 'run:FOLDER@last' mean; None for other names."""
    kind, colon, reference = name.partition(":")
    if kind != "run" or not colon:
        return None
    folder, _, asked = reference.rpartition("@")
    states: tuple[StateName, ...] = get_args(StateName)
    found = next((state for state in states if state == asked), None)
    return (Path(reference), "best") if found is None or not folder else (Path(folder), found)
