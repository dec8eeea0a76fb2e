"""What a run costs, for tables of methods (numbers trained, bytes to keep, time, memory), and what it began with."""

import json
import sys
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch

from softspoken.files import replace_text
from softspoken.runs.beginnings import begun_facts
from softspoken.runs.bookkeeping import FACTS, read_json
from softspoken.runs.trained import deployed, load_run, run_config, state_file, stored_type
from softspoken.training.loop import STATE
from softspoken.training.methods import Trained, prompts_of, weights_of
from softspoken.training.state import read_progress

_MB = 1e6


class TuningFacts(TypedDict):
    """What `tuning_facts` tells."""

    kind: str
    """'prompt', 'lora', 'adapters' or 'full'."""
    trained_parameters: int
    """Numbers that were trained, the prompts' reparameterisation included."""
    deployed_parameters: int
    """Numbers to keep afterwards."""
    share_percent: float
    """Deployed numbers in percent of the backbone's."""
    stored_bytes: int
    """Of what is deployed, in float16 (statistics of voices in float32); without a file's header."""
    train_seconds: float
    """Over all starts, validation included."""
    examples: int
    """Mixtures trained on, each with all of its targets."""
    peak_memory_mb: float | None
    """Most memory that the training process held, in 10^6 bytes, the models' and the data's included; None: unknown."""
    peak_device_memory_mb: float | None
    """Most memory of the accelerator in use by tensors; None: there was none."""


def tuning_facts(run: Path) -> TuningFacts:
    """What a target-speaker run of any method costs, whether it is done, stopped or going on.

    Raises ConfigError when there is no run, or none of its states was saved yet.
    """
    config = run_config(run)
    state: Literal["best", "last"] = "last" if (run / STATE).is_file() else "best"
    progress = read_progress(state_file(run, state))
    known = read_json(run / FACTS)
    if "stored_bytes" not in known:
        # A run of an earlier version.
        loaded = load_run(run, state)
        known |= size_facts(loaded.trained, loaded.backbone.parameter_count)
    return TuningFacts(
        kind=config.method.kind,
        trained_parameters=known["trained_parameters"],
        deployed_parameters=known["deployed_parameters"],
        share_percent=known["share_percent"],
        stored_bytes=known["stored_bytes"],
        train_seconds=round(progress.seconds, 1),
        examples=progress.step * config.accumulation * config.items_per_batch,
        peak_memory_mb=known.get("peak_memory_mb"),
        peak_device_memory_mb=known.get("peak_device_memory_mb"),
    )


def size_facts(trained: Trained, backbone_parameters: int) -> dict[str, Any]:
    """How large what is trained is, and what is deployed of it."""
    weights = weights_of(trained)
    prompts, changed = prompts_of(trained), 0 if weights is None else weights.parameter_count
    kept = prompts.fold().parameter_count + changed
    return {
        "trained_parameters": prompts.parameter_count + changed,
        "deployed_parameters": kept,
        "share_percent": 100.0 * kept / backbone_parameters,
        "stored_bytes": sum(value.numel() * stored_type(name).itemsize for name, value in deployed(trained).items()),
    }


def begin_facts(run: Path, trained: Trained, backbone_parameters: int, start: str | None = None) -> dict[str, Any]:
    """Note the sizes when a run starts or goes on; returns them. What was noted at an earlier start stays so.

    `start`: the run or prompt that it begins with; how long that was trained is noted as 'before'.
    """
    run.mkdir(parents=True, exist_ok=True)
    earlier = read_json(run / FACTS) if (run / STATE).is_file() else {}
    sizes = size_facts(trained, backbone_parameters)
    known = {**earlier, **sizes}
    if start is not None and "before" not in known:
        known["before"] = begun_facts(start)
    replace_text(run / FACTS, json.dumps(known, indent=2) + "\n")
    return sizes


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
