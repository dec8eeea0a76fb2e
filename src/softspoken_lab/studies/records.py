"""A run's folder read for tables: configuration, costs, curve and evaluations. What is not there is None."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softspoken.errors import ConfigError
from softspoken.scoring.word_errors import UtteranceScore
from softspoken.training.log import LOG
from softspoken.training.loop import BEST
from softspoken.training.run_folder import FACTS, read_config, read_json
from softspoken_lab.studies.recipes import recipe_of
from softspoken_lab.studies.scoring import EVALUATIONS, read_rows, score_of

PROMPT_FACTS = ("prompt", "prompt_config.json")


@dataclass(frozen=True)
class CurvePoint:
    """A validation while training."""

    step: int
    hours: float
    """Hours of training so far."""
    wer: float
    """On the development mixtures."""


@dataclass(frozen=True)
class Evaluation:
    """What a run was scored on."""

    manifest: str
    """Digest."""
    limit: int | None
    scores: dict[str, UtteranceScore]
    """By item."""
    talkers: dict[str, str]
    """Item to target, where known."""
    step: int | None
    """Steps of the state that was scored."""
    state: str | None


@dataclass(frozen=True)
class Costs:
    """What a run took. None: not recorded."""

    trained_parameters: int | None = None
    stored_bytes: int | None = None
    """Size of what is deployed, in half precision."""
    train_seconds: float | None = None
    """Over all starts, validation included."""
    peak_memory_mb: float | None = None
    """Most memory of the training process, in 10^6 bytes."""
    mixtures: int | None = None
    """Seen in training."""


@dataclass(frozen=True)
class RunRecord:
    """A run, or a system that was not trained (it has evaluations, and nothing else)."""

    folder: Path
    config: dict[str, Any] | None = None
    steps_done: int | None = None
    costs: Costs = field(default_factory=Costs)
    curve: tuple[CurvePoint, ...] = ()
    evaluations: dict[str, Evaluation] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return 0 if self.config is None else int(self.config.get("seed", 0))

    @property
    def unfinished(self) -> bool:
        """Whether it has neither done all its steps nor used its time up (yet)."""
        minutes = None if self.config is None else self.config.get("minutes")
        seconds = self.costs.train_seconds
        if minutes is not None and seconds is not None and seconds >= 60 * minutes:
            return False
        return self.config is not None and (self.steps_done is None or self.steps_done < self.config.get("steps", 0))

    @property
    def best_wer(self) -> float | None:
        """Lowest word error rate on the development mixtures so far."""
        return min((point.wer for point in self.curve), default=None)


def read_run(folder: Path) -> RunRecord:
    """Raises ConfigError when there is neither a run nor an evaluation in that folder, DataError for damaged ones."""
    config = read_config(folder, recipe_of)
    evaluations = _evaluations(folder / EVALUATIONS)
    if config is None and not evaluations:
        raise ConfigError(f"no training run in '{folder}'; give the folders of runs")
    log = _log(folder / LOG)
    done = int(log[-1]["step"]) if log else None
    return RunRecord(
        folder=folder,
        config=config,
        steps_done=done,
        costs=_costs(folder, config, log),
        curve=tuple(
            CurvePoint(int(row["step"]), float(row["seconds"]) / 3600, float(row["valid/wer"]))
            for row in log
            if row.get("valid/wer") is not None
        ),
        evaluations=evaluations,
    )


def is_stale(record: RunRecord, evaluation: Evaluation) -> bool:
    """Whether the best state that was scored is no longer the run's best."""
    if evaluation.state != "best" or evaluation.step is None or not (record.folder / BEST).is_file():
        return False
    from softspoken.training.state import read_progress

    return read_progress(record.folder / BEST).step != evaluation.step


def _log(path: Path) -> Sequence[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            # The last line of a run that is being written.
            continue
    return [row for row in rows if isinstance(row, dict) and "step" in row and "seconds" in row]


def _costs(folder: Path, config: dict[str, Any] | None, log: Sequence[dict[str, Any]]) -> Costs:
    """As recorded; for runs from before `facts.json`, what their prompt folder says of the same."""
    facts, prompt = read_json(folder / FACTS), read_json(folder.joinpath(*PROMPT_FACTS))
    mixtures = None
    if log and config is not None and config.get("task") == "target-speaker":
        mixtures = int(log[-1]["step"]) * config["accumulation"] * config["mixtures_per_batch"]
    return Costs(
        trained_parameters=facts.get("trained_parameters", prompt.get("trained_parameters")),
        stored_bytes=facts.get("stored_bytes"),
        train_seconds=float(log[-1]["seconds"]) if log else None,
        peak_memory_mb=facts.get("peak_memory_mb"),
        mixtures=mixtures,
    )


def _evaluations(folder: Path) -> dict[str, Evaluation]:
    found = {}
    for path in sorted(folder.glob("*.json")):
        facts = read_json(path)
        lines = path.with_suffix(".jsonl")
        if "manifest" not in facts or not lines.is_file():
            continue
        found[path.stem] = Evaluation(
            manifest=str(facts["manifest"]),
            limit=facts.get("limit"),
            scores={str(row["id"]): score_of(row) for row in read_rows(lines)},
            talkers=dict(facts.get("talkers", {})),
            step=facts.get("step"),
            state=facts.get("state"),
        )
    return found
