"""The state of a run as one file: everything that a killed run needs to go on exactly. Nothing is pickled."""

import errno
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from softspoken.errors import PromptDamaged
from softspoken.files import replacing

FORMAT = "softspoken-training-state-1"
_ERRNO = re.compile(r"os error (\d+)")


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    step: int = 0
    """Optimiser steps done."""
    best: float | None = None
    """Lowest validation figure so far."""
    seconds: float = 0.0
    """Time spent training, over all starts."""


def save_state(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Write prompts, optimiser and progress into one safetensors file: whole or not at all, also when the power fails.

    Raises OSError when it cannot be written; an older state stays.
    """
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    tensors: dict[str, Tensor] = {f"prompt/{key}": value for key, value in module.state_dict().items()}
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            tensors[f"optimiser/{names[id(parameter)]}/{key}"] = torch.as_tensor(value)
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"format": FORMAT, "progress": json.dumps(asdict(progress))})
        except SafetensorError as error:
            found = _ERRNO.search(str(error))
            number = int(found[1]) if found is not None else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from error
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())


def load_state(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer | None) -> Progress:
    """Restore what `save_state` wrote. Raises PromptDamaged when the file is not whole or belongs to another run."""
    progress = read_progress(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        module.load_state_dict({k.removeprefix("prompt/"): v for k, v in tensors.items() if k.startswith("prompt/")})
    except (SafetensorError, RuntimeError, OSError) as error:
        raise _unusable(path, error) from error
    if optimiser is not None:
        for name, parameter in module.named_parameters():
            prefix = f"optimiser/{name}/"
            state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            if state:
                optimiser.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device) for key, value in state.items()
                }
    return progress


def read_progress(path: Path) -> Progress:
    """Where the run stood that wrote this state. Raises PromptDamaged as `load_state` does."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata()
    except (SafetensorError, OSError) as error:
        raise _unusable(path, error) from error
    if metadata is None or metadata.get("format") != FORMAT:
        raise PromptDamaged(f"'{path}' is not the state of a training run; start anew in another folder")
    try:
        return Progress(**json.loads(metadata["progress"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> PromptDamaged:
    first = str(error).splitlines()[0]
    return PromptDamaged(f"cannot go on from '{path}' ({first}); start anew in another folder")
