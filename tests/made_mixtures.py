"""Mixtures that were built, read back for the tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from softspoken.audio import load_audio


def rows_of(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def tracks_of(manifest: Path, row: dict[str, Any]) -> list[np.ndarray]:
    """Every talker of a row's mixture alone, the first one first."""
    name = Path(row["audio"]).stem
    return [load_audio(manifest.parent / f"clean/{name}-{k}.flac") for k in range(len(row["talkers"]))]
