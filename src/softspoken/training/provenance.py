"""Where a run comes from and what it costs: the runs before it, its data, numbers trained, bytes to keep, time, memory.

`facts.json` in the run's folder, tables of methods and the model card tell of it.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from softspoken.data.config import DataConfig
from softspoken.data.corpus import load_corpus
from softspoken.errors import SoftspokenError
from softspoken.files import replace_text
from softspoken.prompts import SoftPrompts, load_prompts
from softspoken.prompts.card import HOW_LONG
from softspoken.training.checkpoint import run_config, state_file
from softspoken.training.config import TrainConfig
from softspoken.training.loop import STATE
from softspoken.training.run_folder import FACTS, is_run, read_json
from softspoken.training.state import Progress, read_progress

_MB = 1e6
_UNKNOWN = "another run or prompt"


def sizes_of(prompts: SoftPrompts, backbone_parameters: int, beside: int = 0) -> dict[str, Any]:
    """How many numbers are trained and deployed, and the bytes that those take in float16 (statistics of voices in
    float32). `beside`: weights of the backbone among them."""
    kept = prompts.fold().parameter_count + beside
    statistics = sum(buffer.numel() for buffer in prompts.buffers())
    return {
        "trained_parameters": prompts.parameter_count + beside,
        "deployed_parameters": kept,
        "share_percent": 100.0 * kept / backbone_parameters,
        "stored_bytes": 2 * kept + 4 * statistics,
    }


def note_sizes(run: Path, config: TrainConfig, prompts: SoftPrompts, backbone_parameters: int, beside: int = 0) -> None:
    """Note the sizes when a run starts or goes on. What was noted at an earlier start stays so.

    How long the run or prompt was trained that it begins with is noted as 'before'. `beside`: as of `sizes_of`.
    """
    run.mkdir(parents=True, exist_ok=True)
    earlier = read_json(run / FACTS) if (run / STATE).is_file() else {}
    known = {**earlier, **sizes_of(prompts, backbone_parameters, beside)}
    if config.start is not None and "before" not in known:
        known["before"] = _history_of(config.start, config)
    replace_text(run / FACTS, json.dumps(known, indent=2) + "\n")


def note_memory(run: Path) -> None:
    """Note the most memory that this process, or an earlier one of the same run, has held so far."""
    known = read_json(run / FACTS)
    for name, value in (("peak_memory_mb", _peak_mb()), ("peak_device_memory_mb", _device_peak_mb())):
        before = known.get(name)
        values = [each for each in (before, value) if each is not None]
        known[name] = max(values) if values else None
    replace_text(run / FACTS, json.dumps(known, indent=2) + "\n")


def _peak_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Kilobytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MB, 1)


def _device_peak_mb() -> float | None:
    return round(torch.cuda.max_memory_allocated() / _MB, 1) if torch.cuda.is_available() else None


def training_metadata(
    run: Path, config: TrainConfig, progress: Progress, heard: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """For the model card; `before` tells of the run that this one began with, as far as that could be read then.

    `heard`: what is said of the speech; None: what is in the manifests.
    """
    return {
        **(_speech_metadata(config.data) if heard is None else heard),
        **run_history(run, config, progress),
        "development_wer": progress.best,
        "objective": config.objective.model_dump(),
    }


def run_history(run: Path, config: TrainConfig, progress: Progress) -> dict[str, Any]:
    """How long a run has been trained, and the one that it began with.

    That is what was noted when it began: `start` may name something else by now.
    """
    facts: dict[str, Any] = {
        "mixtures": progress.step * config.accumulation * config.mixtures_per_batch,
        "steps": progress.step,
        "hours": round(progress.seconds / 3600, 2),
        "seed": config.seed,
    }
    if config.start is None:
        return facts
    return facts | {"before": read_json(run / FACTS).get("before", _UNKNOWN)}


def _history_of(start: str, config: TrainConfig) -> dict[str, Any] | str:
    """For the model card: how long it had been trained before; in words where nothing is known any more."""
    try:
        if is_run(start):
            run = Path(start)
            return run_history(run, run_config(run, type(config)), read_progress(state_file(run, "best")))
        known = load_prompts(start).info.training
        return {name: known[name] for name in HOW_LONG if name in known} or _UNKNOWN
    except SoftspokenError:
        return _UNKNOWN


def _speech_metadata(data: DataConfig) -> dict[str, Any]:
    """The speech that mixtures are drawn from."""
    if data.shards is not None:
        return {"shards": [folder.rstrip("/").rpartition("/")[2] for folder in data.shards.folders]}
    pieces = [piece for piece in load_corpus(data).pieces if piece.speed == 1.0]
    return {
        "talkers": len({piece.speaker for piece in pieces}),
        "speech_hours": round(sum(piece.duration_s for piece in pieces) / 3600, 2),
        "speeds": list(data.speeds),
    }
