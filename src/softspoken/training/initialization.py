"""What a run begins with: new prompts, another run's best state, or a stored prompt."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from softspoken.backbones import WhisperBackbone
from softspoken.backbones.features import FRAME_RATE_HZ
from softspoken.data.examples import MixtureDataset
from softspoken.data.windows import short_speech
from softspoken.errors import ConfigError
from softspoken.prompts import LoadedPrompts, load_prompts
from softspoken.prompts.initialization import initialize_as_silence
from softspoken.training.checkpoint import run_config, state_file, stored_metadata, untrained
from softspoken.training.config import TrainConfig
from softspoken.training.methods import Trained, prompts_of
from softspoken.training.run_folder import is_run
from softspoken.training.state import load_state

STATISTICS_PIECES = 400
"""Pieces of training speech whose embeddings give the mean and scale of voices."""
INITIAL_CLIPS = 8
INITIAL_S = 8.0
"""Clips, and seconds of them at most, behind whose speech the silence is heard that prompts may begin as."""


def new_trained(config: TrainConfig, backbone: WhisperBackbone, dataset: MixtureDataset) -> Trained:
    """What is to be trained: as what it starts from left it, else new. Errors as of `initialize_from`.

    New prompts centre and scale voices by those of the training talkers.
    """
    torch.manual_seed(config.seed)
    trained = untrained(config, backbone)
    if config.start is not None:
        initialize_from(config.start, trained, config, backbone)
        return trained
    prompts = prompts_of(trained)
    if config.prompt_start == "silence":
        speech = short_speech(dataset.corpus, INITIAL_CLIPS, min(INITIAL_S, backbone.max_frames / FRAME_RATE_HZ / 4))
        initialize_as_silence(prompts, backbone, speech)
    if config.prompts.speaker is not None:
        rng = np.random.default_rng(config.seed)
        pieces = dataset.corpus.pieces
        chosen = rng.permutation(len(pieces))[:STATISTICS_PIECES]
        vectors = np.stack([dataset.vector(pieces[i]) for i in chosen])
        prompts.speaker_mean.copy_(torch.from_numpy(vectors.mean(axis=0)))
        prompts.speaker_scale.fill_(float(1.0 / vectors.std(axis=0).mean()))
    return trained


def initialize_from(start: str, trained: Trained, config: TrainConfig, backbone: WhisperBackbone) -> None:
    """Give `trained` the numbers of the run in folder `start`, or of the stored prompt `start` (see `find_prompts`).

    A stored prompt may lack whole parts that `config` has, such as 'enrolment': these begin new.

    Raises:
        ConfigError: it trains something else than `config`.
        PromptError: there is no such run or prompt, or it belongs to another backbone.
    """
    if is_run(start):
        first = run_config(Path(start))
        _require_same(start, {name: (getattr(first, name), getattr(config, name)) for name in _OF_A_RUN})
        load_state(state_file(Path(start), "best"), trained, None)
        return
    stored = load_prompts(start, backbone)
    _require_same(start, _compared(stored, config))
    prompts = prompts_of(trained)
    prompts.load_state_dict(prompts.state_dict() | stored.prompts.state_dict())


_PARTS = ("encoder", "decoder", "frames", "enrolment")
"""Of prompts: what a recipe may add to a stored one. Voices would have to be centred and scaled anew."""
_OF_A_RUN = ("backbone", "embedder", "prompts", "method")


def _compared(stored: LoadedPrompts, config: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """What of a stored prompt must be as the recipe has it."""
    facts = stored_metadata(config)
    lacking = {name: None for name in _PARTS if getattr(stored.info.prompts, name) is None}
    return {
        "prompts": (stored.info.prompts, config.prompts.model_copy(update=lacking)),
        "method": ("prompt", config.method.kind),
        **{name: (getattr(stored.info, name), facts[name]) for name in ("task", "embedder", "window")},
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
