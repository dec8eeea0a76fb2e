"""The files that describe a run in its folder: recipe, configuration, environment, and whether it is finished.

config.json        the resolved configuration (seed included)
recipe.toml        the recipe as it was given
environment.json   where it ran: one entry each time that something of it was new
facts.json         sizes and memory, and what it began with (`softspoken.training.provenance`)
log.jsonl          figures of every step (the loop)
unreadable.jsonl   items whose audio could not be read (`softspoken.training.state`)
result.json        what came out, and after how many steps
evaluations/       scores on test manifests (the laboratory writes them)
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from softspoken import __version__
from softspoken.errors import ConfigError, PromptDamaged
from softspoken.files import replace_text
from softspoken.training.config import CONFIG, LoopConfig
from softspoken.training.loop import BEST, STATE
from softspoken.training.state import UNREADABLE, Progress, read_progress, unreadable

RECIPE = "recipe.toml"
ENVIRONMENT = "environment.json"
FACTS = "facts.json"
RESULT = "result.json"
MAY_CHANGE = frozenset({"steps", "minutes", "validate_every", "save_every", "log_every", "workers"})
"""Settings that may differ when a run is resumed: how long it lasts, and how it is watched."""


def begin_run(config: LoopConfig, folder: Path, recipe: str | None = None) -> None:
    """Note what a run is before it starts or goes on. `recipe`: the text of its TOML file.

    Raises ConfigError when the folder holds a state that another recipe trained, or that is further than this one goes.
    """
    check_same_run(config, folder)
    if not _is_main():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(folder / CONFIG, config.model_dump_json(indent=2) + "\n")
        if recipe is not None:
            replace_text(folder / RECIPE, recipe)
        _note_environment(folder)
    except OSError as error:
        raise ConfigError(f"cannot write to the run's folder '{folder}' ({error.strerror}); choose another") from error


def is_run(reference: str) -> bool:
    """Whether this is the folder of a run, rather than of a stored prompt."""
    return (Path(reference) / CONFIG).is_file()


def check_same_run(config: LoopConfig, folder: Path) -> None:
    """Raise ConfigError unless `config` may go on from the state in `folder`; where there is none, any may start."""
    known = read_config(folder, type(config).model_validate)
    if known is None or not any((folder / name).is_file() for name in (STATE, BEST)):
        return
    changed = [key for key in differences(config.model_dump(mode="json"), known) if key not in MAY_CHANGE]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise ConfigError(
            f"the run in '{folder}' was trained by another recipe: {', '.join(changed[:3])}{more} differ(s); "
            "give another --out, or the recipe it began with"
        )
    done = steps_done(folder)
    if done > config.steps:
        raise ConfigError(f"the run in '{folder}' has done {done} steps, {config.steps} are asked for; give {done}")


def finish_run(folder: Path, result: Path) -> None:
    """Note that a run is done, what came of it, and what it could not read; says so where there was any of that."""
    if not _is_main():
        return
    inside = result.name if result.parent == folder else None
    noted: dict[str, Any] = {"result": inside, "steps": steps_done(folder)}
    if missed := unreadable(folder):
        noted["unreadable"] = missed
        said = f"{missed['items']} items were replaced, for {len(missed['problems'])} recordings cannot be read"
        print(f"softspoken: {said}; see {folder / UNREADABLE}", file=sys.stderr)
    replace_text(folder / RESULT, json.dumps(noted, indent=2) + "\n")


def finished(config: LoopConfig, folder: Path) -> bool:
    """Whether the run that `config` describes is done in `folder`."""
    progress = _progress(folder)
    at_its_end = progress.step == config.steps or config.time_is_up(progress.seconds)
    return at_its_end and read_json(folder / RESULT).get("steps") == progress.step


def steps_done(folder: Path) -> int:
    """Steps that the last state holds; 0 without one, or when it cannot be read (the loop then says so)."""
    return _progress(folder).step


def _progress(folder: Path) -> Progress:
    try:
        return read_progress(folder / STATE) if (folder / STATE).is_file() else Progress()
    except PromptDamaged:
        return Progress()


def read_config(folder: Path, parse: Callable[[dict[str, Any]], LoopConfig]) -> dict[str, Any] | None:
    """The configuration of a run as plain values, None without one. `parse`: from these to a configuration.

    What was not known when it was written has today's default, as it has when the run goes on.
    """
    found = read_json(folder / CONFIG)
    if not found:
        return None
    try:
        return parse(found).model_dump(mode="json")
    except ValueError:
        # Written by another version: its values still say how it differs from other runs.
        return found


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; nothing where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Keys with other values, as 'prompts.encoder.length', sorted."""
    found: list[str] = []
    for key in sorted({*one, *other}):
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}")
    return found


def _is_main() -> bool:
    """Whether this is the first of the processes that train one run, as launchers number them."""
    return os.environ.get("RANK", "0") == "0"


def _note_environment(folder: Path) -> None:
    path = folder / ENVIRONMENT
    known = read_json(path).get("starts")
    starts: list[dict[str, Any]] = known if isinstance(known, list) else []
    now = describe_environment()
    last = {key: value for key, value in starts[-1].items() if key != "from_step"} if starts else None
    if now != last:
        starts.append({"from_step": steps_done(folder), **now})
        replace_text(path, json.dumps({"starts": starts}, indent=2) + "\n")


PACKAGES = (
    *("torch", "transformers", "accelerate", "peft", "numpy", "safetensors", "tokenizers", "soundfile"),
    *("soxr", "jiwer"),
)
"""On whose version a run's figures may depend."""
FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile"),
    *("asimd", "bf16", "sve"),
)
"""Processor flags that decide how fast, and in which precision, it multiplies matrices."""
_GIT_TIMEOUT_S = 10.0


def describe_environment() -> dict[str, Any]:
    """Python, packages, platform, processor, accelerator and softspoken itself, as plain values for JSON."""
    return {
        "softspoken": {"version": __version__, **_commit()},
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "platform": {"system": platform.system(), "machine": platform.machine()},
        "cpu": {**_processor(), "cores": _cores(), "threads": torch.get_num_threads()},
        "gpu": _gpu(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> dict[str, Any]:
    """Model and the flags that matter, as Linux tells them; elsewhere the little that Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    # The first processor's values stand for all.
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    has = set(facts.get("flags", facts.get("Features", "")).split())
    model = facts.get("model name", platform.processor())
    return {"model": model if model else None, "flags": [flag for flag in FLAGS if flag in has]}


def _cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    count = os.cpu_count()
    return 1 if count is None else count


def _gpu() -> str | None:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _commit() -> dict[str, Any]:
    """Commit, and whether the sources differ from it, when this runs from a checkout of them."""
    source = Path(__file__).resolve().parents[1] / "__init__.py"
    # A package installed inside of somebody's repository is not of that repository's commit.
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return {}
    commit = _git(source.parent, "rev-parse", "HEAD")
    changed = _git(source.parent, "status", "--porcelain", "--untracked-files=no", ".")
    return {"commit": commit, "modified": bool(changed)} if commit is not None else {}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
