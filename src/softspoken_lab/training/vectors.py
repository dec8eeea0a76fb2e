"""Speaker embeddings of training speech in one file, for a machine that cannot spare the time to make them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from softspoken.errors import DataError
from softspoken.files import replacing


def write_vectors(path: Path, vectors: Mapping[str, np.ndarray]) -> None:
    """Write embeddings (S,) by name, in half precision."""
    names = sorted(vectors)
    stacked = np.array([vectors[name] for name in names], dtype=np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file({"vectors": stacked}, temporary, metadata={"names": json.dumps(names)})


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """What `write_vectors` wrote, as unit vectors. Raises DataError when it cannot be read."""
    try:
        with safe_open(str(path), framework="np") as file:
            names, stacked = json.loads(file.metadata()["names"]), file.get_tensor("vectors").astype(np.float32)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"no embeddings in '{path}' ({error}); leave out 'data.voices', or write them anew") from error
    return {name: vector / np.linalg.norm(vector) for name, vector in zip(names, stacked, strict=True)}
