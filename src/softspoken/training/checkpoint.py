"""What a run has trained: how its prompts begin, and its states found again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from softspoken.backbones import WhisperBackbone
from softspoken.data.examples import MixtureDataset
from softspoken.errors import ConfigError
from softspoken.prompts import LoadedPrompts, PromptConfig, SoftPrompts, load_prompts
from softspoken.prompts.folder import first_problem
from softspoken.training.config import CONFIG, TrainConfig
from softspoken.training.loop import BEST, STATE
from softspoken.training.run_folder import is_run
from softspoken.training.state import load_state

StateName = Literal["best", "last"]
Config = TypeVar("Config", bound=TrainConfig)

STATISTICS_PIECES = 400
"""Pieces of training speech whose embeddings give the mean and scale of voices."""
OF_A_RUN = ("backbone", "embedder", "prompts")
"""What a run must have in common with the run that it begins with."""
_PARTS = ("encoder", "decoder", "frames", "enrolment")
"""Parts that a recipe may add to a stored prompt. Voices would have to be centred and scaled anew."""


def run_config(run: Path, kind: type[Config]) -> Config:
    """What a run was asked for. Raises ConfigError when there is none of this kind in that folder."""
    try:
        return kind.model_validate_json((run / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"no training run in '{run}'; train first, or wait for its first save") from error
    except ValidationError as error:
        raise ConfigError(
            f"'{run / CONFIG}' is not that of a run that trains a prompt ({first_problem(error)}); give the run's "
            "folder, or a run of a study to 'softspoken-lab'"
        ) from error


def state_file(run: Path, state: StateName) -> Path:
    """A state of a run. Raises ConfigError when it has none yet."""
    path = run / (BEST if state == "best" else STATE)
    if not path.is_file():
        raise ConfigError(f"no state '{state}' of a training run in '{run}'; train first, or wait for its first save")
    return path


def untrained(config: PromptConfig, backbone: WhisperBackbone) -> SoftPrompts:
    """Prompts as they begin; voices are neither centred nor scaled yet."""
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    return SoftPrompts(config, backbone.stacks["encoder"].width, layers)


def new_prompts(config: TrainConfig, backbone: WhisperBackbone, dataset: MixtureDataset) -> SoftPrompts:
    """The prompts of a run: as what it starts from left them, else new. Errors as of `start_from_run` and
    `start_from_prompt`."""
    torch.manual_seed(config.seed)
    prompts = untrained(config.prompts, backbone)
    if config.start is None:
        centre_voices(prompts, dataset, config.seed)
    elif is_run(config.start):
        start_from_run(config.start, prompts, config, OF_A_RUN)
    else:
        start_from_prompt(config.start, prompts, config, backbone)
    return prompts


def centre_voices(prompts: SoftPrompts, dataset: MixtureDataset, seed: int) -> None:
    """Centre and scale voices by those of the training talkers."""
    if prompts.config.speaker is None:
        return
    pieces = dataset.corpus.pieces
    chosen = np.random.default_rng(seed).permutation(len(pieces))[:STATISTICS_PIECES]
    vectors = np.stack([dataset.vector(pieces[i]) for i in chosen])
    prompts.speaker_mean.copy_(torch.from_numpy(vectors.mean(axis=0)))
    prompts.speaker_scale.fill_(float(1.0 / vectors.std(axis=0).mean()))


def start_from_run(start: str, trained: nn.Module, config: TrainConfig, alike: Sequence[str]) -> None:
    """Give `trained` the numbers of the run in folder `start`, which must have the settings `alike` in common.

    Raises ConfigError when it has not, PromptError when there is no such run.
    """
    first = run_config(Path(start), type(config))
    _require_same(start, {name: (getattr(first, name), getattr(config, name)) for name in alike})
    load_state(state_file(Path(start), "best"), trained, None)


def start_from_prompt(start: str, prompts: SoftPrompts, config: TrainConfig, backbone: WhisperBackbone) -> None:
    """Give `prompts` the numbers of the stored prompt `start` (see `find_prompts`).

    It may lack whole parts that `config` has, such as 'enrolment': these begin new.

    Raises:
        ConfigError: it was trained by other settings than `config`.
        PromptError: there is no such prompt, or it belongs to another backbone.
    """
    stored = load_prompts(start, backbone)
    _require_same(start, _compared(stored, config))
    prompts.load_state_dict(prompts.state_dict() | stored.prompts.state_dict())


def _compared(stored: LoadedPrompts, config: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """The settings in which a stored prompt must agree with the recipe; over a telephone it may learn to hear now."""
    there, here = stored.info.prompts, config.prompts
    if there.frames is not None and here.frames is not None:
        heard = there.frames.model_copy(update={"by_telephone": here.frames.by_telephone})
        there = there.model_copy(update={"frames": heard})
    lacking = {name: None for name in _PARTS if getattr(there, name) is None}
    return {
        "prompts": (there, here.model_copy(update=lacking)),
        **{name: (getattr(stored.info, name), fact) for name, fact in config.stored.items()},
    }


def _require_same(start: str, compared: dict[str, tuple[Any, Any]]) -> None:
    for name, (there, here) in compared.items():
        if there != here:
            difference = _shortly(there, here)
            raise ConfigError(
                f"'{start}' has other '{name}' than this run ({difference}); give the same, or no 'start'"
            )


def _shortly(there: Any, here: Any) -> str:
    """The first thing in which two settings differ."""
    if hasattr(there, "model_dump") and type(there) is type(here):
        for name in type(there).model_fields:
            if getattr(there, name) != getattr(here, name):
                return f"{name}: {_shortly(getattr(there, name), getattr(here, name))}"
    return f"{there} there, {here} here"
