"""What a run writes down of its steps."""

import json
import math
from pathlib import Path

from accelerate import Accelerator

from softspoken.files import replace_text
from softspoken.training.config import CONFIG, LoopConfig
from softspoken.training.state import Progress

LOG = "log.jsonl"


def _step_of(line: str) -> float:
    """The step that a line of the log is of; infinite for a line that a full disk has torn."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


class RunLog:
    """Figures of each step as JSON lines. Those behind the resumed step are dropped."""

    def __init__(self, folder: Path, config: LoopConfig, accelerator: Accelerator, done: int) -> None:
        """`done`: steps that the state holds which the run goes on from."""
        self._path = folder / LOG
        self._main = accelerator.is_main_process
        if self._main:
            if self._path.is_file():
                lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
                kept = [line for line in lines if _step_of(line) <= done]
                replace_text(self._path, "".join(kept))
            replace_text(folder / CONFIG, config.model_dump_json(indent=2) + "\n")

    def write(self, progress: Progress, figures: dict[str, float]) -> None:
        if not self._main:
            return
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": progress.step, "seconds": round(progress.seconds, 1), **rounded}) + "\n")
