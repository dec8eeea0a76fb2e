"""The state of a run as one file: everything that a killed run needs to go on exactly. Nothing is pickled."""

import errno
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from softspoken.errors import AudioError, ConfigError, DataError, PromptDamaged
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


UNREADABLE = "unreadable.jsonl"
MOST_IN_A_ROW = 20
"""Items that cannot be read one after the other, or logged losses that are no number: then something else is wrong."""
MOST_DEATHS = 3
"""Workers that may die in one start."""


class ReadableItems(Dataset[Any]):
    """A dataset's items; where one's audio cannot be read, another one stands in its place, the same one every time.

    Each is noted in `folder/unreadable.jsonl`, by whichever process meets it.
    """

    def __init__(self, items: Dataset[Any], folder: Path) -> None:
        self.items, self.path = items, folder / UNREADABLE

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        """Raises DataError when `MOST_IN_A_ROW` items cannot be read."""
        place, last = index, ""
        others = np.random.default_rng(index)
        for _ in range(MOST_IN_A_ROW):
            try:
                return self.items[place]
            except AudioError as error:
                last = str(error)
                self._note(index, last)
                place = int(others.integers(len(self)))
        raise DataError(f"{MOST_IN_A_ROW} items in a row cannot be read, the last one because {last}; check the data")

    def _note(self, index: int, problem: str) -> None:
        line = json.dumps({"item": index, "problem": problem}, ensure_ascii=False) + "\n"
        # One write to the end of the file: processes do not mix their lines.
        place = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(place, line.encode())
        finally:
            os.close(place)


def unreadable(folder: Path) -> dict[str, Any]:
    """What a run could not read: how many of its `items` were replaced, and why, by `problems` with their number.

    Nothing where it read everything. Items that a killed run met twice count once.
    """
    try:
        lines = (folder / UNREADABLE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    rows = {(row["item"], row["problem"]) for row in map(_parsed, lines) if row}
    problems = [problem for _, problem in sorted(rows)]
    return {
        "items": len({item for item, _ in rows}),
        "problems": {problem: problems.count(problem) for problem in dict.fromkeys(problems)},
    }


def _parsed(line: str) -> dict[str, Any]:
    """A line of JSON; nothing where a full disk has torn it."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    whole = isinstance(found, dict) and isinstance(found.get("item"), int) and isinstance(found.get("problem"), str)
    return found if whole else {}


def surviving_workers(train: Callable[[bool], Progress], state: Path, processes: int) -> Progress:
    """Run `train`; where a process that reads data dies, once more from the last state (then it is given True).

    Raises ConfigError when they keep dying, when there is no state yet, or when several processes train together.
    """
    for deaths in range(1, MOST_DEATHS + 1):
        try:
            return train(deaths > 1)
        except Exception as error:
            reason = _death(error)
            if reason is None:
                raise
            done = read_progress(state).step if state.is_file() else None
            if done is None or processes > 1 or deaths == MOST_DEATHS:
                then = "there is no state yet" if done is None else f"run the same command to continue from step {done}"
                raise ConfigError(
                    f"a process that reads data has died ({reason}), often for want of memory; give fewer 'workers'; "
                    f"{then}"
                ) from error
            print(f"softspoken: {reason}; going on from step {done}", file=sys.stderr)
    raise AssertionError("every way out of the loop is above")


def _death(error: BaseException | None) -> str | None:
    """Which process died, where that is behind an error: the signal may come in the middle of anything."""
    while error is not None:
        if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
            return str(error).splitlines()[0]
        error = error.__cause__ or error.__context__
    return None


class FiniteLoss:
    """Ends a run whose loss is no number any more. Steps without one change nothing, so nothing is lost."""

    def __init__(self) -> None:
        self._missed = 0

    def check(self, figures: Mapping[str, float], step: int) -> None:
        """`figures` of a step that was logged. Raises ConfigError after `MOST_IN_A_ROW` of them without a number."""
        if "loss" not in figures:
            return
        self._missed = 0 if math.isfinite(figures["loss"]) else self._missed + 1
        if self._missed >= MOST_IN_A_ROW:
            raise ConfigError(
                f"the loss has been no finite number {self._missed} times in a row, up to step {step}: these steps "
                "changed nothing; lower 'learning_rate' or give precision = \"no\", in a new folder"
            )
