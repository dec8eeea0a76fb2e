"""Where a run was made: versions, processor, accelerator. No names of people or machines, and no paths."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from softspoken import __version__

PACKAGES = (
    *("torch", "transformers", "accelerate", "peft", "lhotse", "numpy", "safetensors", "tokenizers", "soundfile"),
    *("soxr", "jiwer"),
)
"""On whose version a run's figures may depend."""
FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile"),
    *("asimd", "bf16", "sve"),
)
"""Of a processor: what decides how fast, and in which precision, it multiplies matrices."""
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
