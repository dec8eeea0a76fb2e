"""What the stages of an analysis depend on, as digests; `softspoken.evaluation.stage_cache` keeps their results."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from softspoken.evaluation.stage_cache import digest_of, digest_of_file
from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.noise.bank import NoiseBank


def digest_of_folder(folder: Path) -> str:
    """SHA-256 over names and contents of the facts and tensors of a stored prompt or recogniser, cards left out."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".json", ".safetensors") and file.is_file())
    return digest_of([[file.relative_to(folder).as_posix(), digest_of_file(file)] for file in files])


def digest_of_set(test_set: TestSet) -> str:
    """SHA-256 over everything that is known of a set's items and the contents of their recordings.

    Where they lie does not matter. Raises DataError for a recording that cannot be read.
    """
    return digest_of([[_content(getattr(item, field.name)) for field in fields(item)] for item in test_set.items])


def digest_of_noise(bank: NoiseBank) -> str:
    """As `digest_of_set`, for noise recordings."""
    return digest_of(
        [
            [clip.id, clip.type, clip.category, clip.split, clip.duration_s, digest_of_file(Path(clip.path))]
            for clip in bank.clips
        ]
    )


def _content(value: Any) -> Any:
    return digest_of_file(value) if isinstance(value, Path) else value
