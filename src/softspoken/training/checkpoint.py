"""What a target-speaker run has trained, by whatever method: loaded again, stored as deployed, made to transcribe.

A run of prompts becomes a prompt folder (`export_run`). One that trains weights of the backbone becomes
`weights.safetensors`, prompts and weights in one file, and `weights.json`, what is known about them.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from softspoken.backbones import WhisperBackbone, load_backbone
from softspoken.backbones.weights import fingerprint
from softspoken.decoding import TargetSpeakerTranscriber
from softspoken.engines import EngineName, Precision, load_engine
from softspoken.errors import ConfigError, PromptDamaged, PromptMismatch
from softspoken.files import replace_bytes, replace_text
from softspoken.prompts import LoadedPrompts, PromptConfig, SoftPrompts
from softspoken.prompts.checkpoint import prompt_files
from softspoken.prompts.folder import first_problem
from softspoken.prompts.info import BackboneRef
from softspoken.speakers import load_embedder
from softspoken.training.config import CONFIG, TrainConfig
from softspoken.training.loop import BEST, STATE
from softspoken.training.methods import Trained, prompts_of, tuned, weights_of
from softspoken.training.state import load_state, read_progress

WEIGHT_FILE = "weights.safetensors"
WEIGHT_FACTS = "weights.json"
WEIGHT_FORMAT = "softspoken-weights-1"
_STATISTICS = ("speaker_mean", "speaker_scale")
"""Of the voices, and no prompts: always stored in float32, for 1/deviation may exceed what float16 holds."""

StateName = Literal["best", "last", "stored"]
"""`stored`: `weights.safetensors`, the best state as it is deployed, in half precision."""


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


def state_file(run: Path, state: Literal["best", "last"]) -> Path:
    """A state of a run. Raises ConfigError when it has none yet."""
    path = run / (BEST if state == "best" else STATE)
    if not path.is_file():
        raise ConfigError(f"no state '{state}' of a training run in '{run}'; train first, or wait for its first save")
    return path


def stored_metadata(config: TrainConfig) -> dict[str, Any]:
    """What stored prompts say of how they are to be used, as fields of `PromptInfo`."""
    embedder = config.embedder if config.task == "target-speaker" else None
    return {"task": config.task, "embedder": embedder, "window": config.window}


def untrained(config: TrainConfig, backbone: WhisperBackbone, prompts: PromptConfig | None = None) -> Trained:
    """What a run trains, as it begins; voices are neither centred nor scaled yet. `prompts`: instead of the run's."""
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    chosen = config.prompts if prompts is None else prompts
    return tuned(config.method, SoftPrompts(chosen, backbone.stacks["encoder"].width, layers), backbone)


def load_run(run: Path, state: StateName = "best", backbone: WhisperBackbone | None = None) -> LoadedRun:
    """What a run has trained so far. `backbone`: instead of loading the recipe's; it gets weights of its own.

    Raises:
        ConfigError: there is no such run or state.
        PromptDamaged: the state cannot be read, or does not fit this backbone.
    """
    config = run_config(run)
    path = None if state == "stored" else state_file(run, state)
    if path is None and config.method.kind == "prompt":
        raise ConfigError(f"the run in '{run}' trains prompts, which are stored as a folder; give '{run / 'prompt'}'")
    backbone = load_backbone(config.backbone) if backbone is None else backbone
    if path is None:
        trained = untrained(config, backbone, config.prompts.folded())
        _load_weights(run, trained, backbone)
    else:
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
    """The run and the state that 'run:FOLDER', 'run:FOLDER@last' or 'run:FOLDER@stored' mean; None for other names."""
    kind, colon, reference = name.partition(":")
    if kind != "run" or not colon:
        return None
    folder, _, asked = reference.rpartition("@")
    states: tuple[StateName, ...] = get_args(StateName)
    found = next((state for state in states if state == asked), None)
    return (Path(reference), "best") if found is None or not folder else (Path(folder), found)


def deployed(trained: Trained) -> dict[str, Tensor]:
    """What is needed to use what was trained: prompts without reparameterisation, and weights."""
    tensors = {f"prompts.{name}": value for name, value in prompts_of(trained).fold().state_dict().items()}
    weights = weights_of(trained)
    if weights is not None:
        tensors |= {f"weights.{name}": value for name, value in weights.state_dict().items()}
    return tensors


def stored_type(name: str) -> torch.dtype:
    """In which type a tensor of `deployed` is stored."""
    return torch.float32 if name.endswith(_STATISTICS) else torch.float16


def store_weights(run: Path, loaded: LoadedRun, facts: dict[str, Any]) -> Path:
    """Write `weights.safetensors` and `weights.json` into a run's folder. `facts`: sizes, for the JSON.

    Raises ConfigError for weights that are not finite in half precision.
    """
    tensors = {
        name: value.detach().to("cpu", stored_type(name)).contiguous()
        for name, value in deployed(loaded.trained).items()
    }
    broken = next((name for name, value in tensors.items() if not bool(value.isfinite().all())), None)
    if broken is not None:
        raise ConfigError(f"'{broken}' is not finite in half precision; train with a lower learning rate")
    content = tensors_to_bytes(tensors, metadata={"format": "pt"})
    known = {
        "format": WEIGHT_FORMAT,
        "method": loaded.config.method.model_dump(mode="json"),
        "prompts": loaded.config.prompts.folded().model_dump(mode="json"),
        "backbone": BackboneRef.of(loaded.backbone).model_dump(mode="json"),
        **stored_metadata(loaded.config),
        "digest": hashlib.sha256(content).hexdigest(),
        "steps": read_progress(state_file(run, "best")).step,
        **facts,
    }
    path = run / WEIGHT_FILE
    replace_bytes(path, content)
    replace_text(run / WEIGHT_FACTS, json.dumps(known, indent=2) + "\n")
    return path


def _load_weights(run: Path, trained: Trained, backbone: WhisperBackbone) -> None:
    path = run / WEIGHT_FILE
    try:
        facts = json.loads((run / WEIGHT_FACTS).read_text(encoding="utf-8"))
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(f"no stored weights in '{run}'; train to the end, or take its best state") from error
    if not isinstance(facts, dict) or facts.get("digest") != hashlib.sha256(content).hexdigest():
        raise PromptDamaged(f"'{path}' is not the file that {WEIGHT_FACTS} describes; refused; take the best state")
    reference = BackboneRef.model_validate(facts["backbone"])
    if reference.fingerprint != backbone.fingerprint:
        raise PromptMismatch(
            f"'{path}' belongs to backbone '{reference.name}' (fingerprint {reference.fingerprint[:12]}), got "
            f"'{backbone.name}' ({backbone.fingerprint[:12]}); load backbone '{reference.name}'"
        )
    try:
        tensors = tensors_from_bytes(content)
        trained.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise PromptDamaged(f"'{path}' does not fit the run's recipe; train anew, or take the best state") from error
