"""What a run survives: recordings that cannot be read, worker processes that die, a loss that is no number."""

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from softspoken.errors import AudioError, ConfigError, DataError
from softspoken.training.state import Progress, read_progress

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
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            reason = str(error).splitlines()[0]
            done = read_progress(state).step if state.is_file() else None
            if done is None or processes > 1 or deaths == MOST_DEATHS:
                then = "there is no state yet" if done is None else f"the same command goes on from step {done}"
                raise ConfigError(
                    f"a process that reads data has died ({reason}), often for want of memory; give fewer 'workers'; "
                    f"{then}"
                ) from error
            print(f"softspoken: {reason}; going on from step {done}", file=sys.stderr)
    raise AssertionError("every way out of the loop is above")


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
