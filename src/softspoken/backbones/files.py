"""Reading the files of a model folder. Nothing is unpickled but tensors, and every fault is one BackboneError."""

import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

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


def read_safetensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of model.safetensors, or of the parts that its index names."""
    state: dict[str, Tensor] = {}
    for shard in _shards(folder):
        refuse_pointer(shard)
        try:
            with safetensors.safe_open(shard, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a dict
                    state[name] = file.get_tensor(name)
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise BackboneError(f"{shard} is damaged or incomplete ({one_line(error)}); fetch it again") from None
    return state


def _shards(folder: Path) -> list[Path]:
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


def read_tensor_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a pytorch_model.bin; whatever else is pickled in it is refused, never run."""
    refuse_pointer(path)
    advice = "fetch it again, or save the model with save_pretrained, which writes model.safetensors"
    try:
        with warnings.catch_warnings():  # torch talks about strange pickles; the error below says all
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged pickle can raise anything
        raise BackboneError(f"cannot read {path} as tensors ({one_line(error).split('. ')[0]}); {advice}") from None
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    ):
        raise BackboneError(f"{path} is not a dict of tensors; {advice}")
    return dict(content)
