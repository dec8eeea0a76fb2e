"""Reading the files of a model folder. Nothing is unpickled but tensors, and every fault is one BackboneError."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from softspoken.backbones.weights import StoredArray, StoredWeights
from softspoken.errors import BackboneError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_POINTER = b"version https://git-lfs"
_LARGEST_JSON_BYTES = 1 << 20


def one_line(error: Exception) -> str:
    """An error of another library, short enough to stand in a message of ours."""
    return re.sub(r"\s+", " ", str(error))[:160]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        if path.stat().st_size > _LARGEST_JSON_BYTES:
            raise ValueError("too large")
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BackboneError(f"{path.parent} is incomplete: {path.name} is missing; fetch it again") from None
    except (OSError, ValueError) as error:
        raise BackboneError(f"cannot read {path} ({one_line(error)}); fetch it again") from None
    if not isinstance(values, dict):
        raise BackboneError(f"{path} is not a JSON object; fetch it again")
    return values


def refuse_pointer(path: Path) -> None:
    """A repository cloned without its large files holds short texts in their place."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_POINTER))
    except OSError as error:
        raise BackboneError(f"cannot read {path} ({one_line(error)}); fetch it again") from None
    if start == _POINTER:
        raise BackboneError(f"{path} is only a pointer to a large file; in its repository type: git lfs pull")


def has_safetensors(folder: Path) -> bool:
    """Whether the folder holds model.safetensors, or the index of its parts."""
    return (folder / WEIGHTS).exists() or (folder / INDEX).exists()


def read_safetensors(folder: Path) -> StoredWeights:
    """All arrays of model.safetensors, or of the parts that its index names; each is read when it is asked for."""
    found: dict[str, StoredArray] = {}
    for shard in shards(folder):
        refuse_pointer(shard)
        try:
            file: Any = safetensors.safe_open(shard, framework="np")
            for name in file.keys():  # noqa: SIM118 - not a dict
                part = file.get_slice(name)
                half = part.get_dtype() == "BF16"
                read: Callable[[], np.ndarray] = (
                    partial(_bfloat16, shard, name) if half else partial(file.get_tensor, name)
                )
                found[name] = StoredArray(tuple(part.get_shape()), read)
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise BackboneError(f"{shard} is damaged or incomplete ({one_line(error)}); fetch it again") from None
    return StoredWeights(found)


def _bfloat16(shard: Path, name: str) -> np.ndarray:
    """The upper halves of float32 numbers: numpy has no bfloat16, and the library gives none to it."""
    with shard.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
    first, end = entry["data_offsets"]
    return np.memmap(shard, "<u2", "r", 8 + size + first, tuple(entry["shape"])) if end > first else np.zeros(0, "<u2")


def shards(folder: Path) -> list[Path]:
    """The files that hold a folder's arrays."""
    whole = folder / WEIGHTS
    if whole.exists():
        return [whole]
    weight_map = read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise BackboneError(f"{folder / INDEX} has no 'weight_map'; fetch it again")
    names = sorted(set(weight_map.values()))
    for name in names:
        if Path(name).name != name:
            raise BackboneError(f"{folder / INDEX} points outside its folder ('{name}'): refused")
        if not (folder / name).is_file():
            raise BackboneError(f"{folder} is incomplete: {name} is missing; fetch it again")
    return [folder / name for name in names]
