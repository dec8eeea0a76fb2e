"""What tells one set of weights from another."""

import hashlib

import torch
from torch import Tensor


def tensors_sha256(tensors: dict[str, Tensor]) -> str:
    """Digest of names, shapes and float32 values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
