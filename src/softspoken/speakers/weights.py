"""Tensors of published checkpoints, checked to be the ones that are known here."""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softspoken.errors import BackboneError
from softspoken.packages import PinnedPackage


def read_tensors(
    path: Path, package: PinnedPackage, sha256: str, what: str, pick: Callable[[Any], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """What `pick` takes out of a `.pt` file of `package`; nothing but tensors and plain values is unpickled.

    Raises BackboneError, with what to do, for a file that is no `what` checkpoint or holds other tensors than those
    of digest `sha256`.
    """
    advice = f"remove the file and try again, it is fetched from {package.name} {package.version}"
    try:
        tensors = pick(torch.load(path, map_location="cpu", weights_only=True))
        digest = tensors_sha256(tensors)
    except (OSError, RuntimeError, EOFError, KeyError, AttributeError, TypeError, pickle.UnpicklingError) as error:
        problem = type(error).__name__
        raise BackboneError(f"'{path}' is not a readable {what} checkpoint ({problem}): {advice}") from error
    if digest != sha256:
        raise BackboneError(f"'{path}' has tensors {digest[:12]}, expected {sha256[:12]}: {advice}")
    return tensors


def tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """Digest of names, shapes and float32 values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
