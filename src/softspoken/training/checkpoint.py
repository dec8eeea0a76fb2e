"""What a run has trained, by whatever method: begun, loaded again, made to transcribe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from pydantic import ValidationError

from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.backbones.features import FRAME_RATE_HZ
from softspoken.backbones.weights import fingerprint
from softspoken.data.examples import MixtureDataset
from softspoken.data.windows import short_speech
from softspoken.decoding import TargetSpeakerTranscriber
from softspoken.engines import EngineName, Precision, load_engine
from softspoken.errors import ConfigError
from softspoken.prompts import LoadedPrompts, SoftPrompts, load_prompts
from softspoken.prompts.checkpoint import prompt_files
from softspoken.prompts.folder import first_problem
from softspoken.prompts.initialization import initialize_as_silence
from softspoken.speakers import load_embedder
from softspoken.training.config import CONFIG, TrainConfig
from softspoken.training.loop import BEST, STATE
from softspoken.training.methods import Trained, prompts_of, tuned, weights_of
from softspoken.training.run_folder import is_run
from softspoken.training.state import load_state

StateName = Literal["best", "last"]


@dataclass(frozen=True)
class LoadedRun:
    """A state of a run, on the CPU and in evaluation mode; its weights are not attached yet."""

    config: TrainConfig
    backbone: WhisperBackbone
    trained: Trained


def run_config(run: Path) -> TrainConfig:
    """What a target-speaker run was asked for. Raises ConfigError when there is none in that folder."""
    try:
        return TrainConfig.model_validate_json((run / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"no training run in '{run}'; train first, or wait for its first save") from error
    except ValidationError as error:
        raise ConfigError(
            f"'{run / CONFIG}' is not that of a target-speaker run ({first_problem(error)}); give the run's folder"
        ) from error


def state_file(run: Path, state: StateName) -> Path:
    """A state of a run. Raises ConfigError when it has none yet."""
    path = run / (BEST if state == "best" else STATE)
    if not path.is_file():
        raise ConfigError(f"no state '{state}' of a training run in '{run}'; train first, or wait for its first save")
    return path


def stored_metadata(config: TrainConfig) -> dict[str, Any]:
    """What stored prompts say of how they are to be used, as fields of `PromptInfo`."""
    embedder = config.embedder if config.task == "target-speaker" else None
    return {"task": config.task, "embedder": embedder, "window": config.window}


def untrained(config: TrainConfig, backbone: WhisperBackbone) -> Trained:
    """What a run trains, as it begins; voices are neither centred nor scaled yet."""
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    return tuned(config.method, SoftPrompts(config.prompts, backbone.stacks["encoder"].width, layers), backbone)


def load_run(run: Path, state: StateName = "best", backbone: WhisperBackbone | None = None) -> LoadedRun:
    """What a run has trained so far. `backbone`: instead of loading the recipe's; it gets weights of its own.

    Raises:
        ConfigError: there is no such run or state.
        PromptDamaged: the state cannot be read, or does not fit this backbone.
    """
    config = run_config(run)
    path = state_file(run, state)
    backbone = load_backbone(config.backbone) if backbone is None else backbone
    trained = untrained(config, backbone)
    load_state(path, trained, None)
    return LoadedRun(config, backbone, trained.eval())


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
    info, _ = prompt_files(prompts, backbone=backbone, **stored_metadata(loaded.config))
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
"""Parts that a recipe may add to a stored prompt. Voices would have to be centred and scaled anew."""
_OF_A_RUN = ("backbone", "embedder", "prompts", "method")


def _compared(stored: LoadedPrompts, config: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """The settings in which a stored prompt must agree with the recipe; over a telephone it may learn to hear now."""
    facts = stored_metadata(config)
    there, here = stored.info.prompts, config.prompts
    if there.frames is not None and here.frames is not None:
        heard = there.frames.model_copy(update={"by_telephone": here.frames.by_telephone})
        there = there.model_copy(update={"frames": heard})
    lacking = {name: None for name in _PARTS if getattr(there, name) is None}
    return {
        "prompts": (there, here.model_copy(update=lacking)),
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
