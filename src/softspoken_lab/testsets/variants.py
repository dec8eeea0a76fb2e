"""A test set once more, with other enrolments or over a telephone line: the same targets, each beside itself."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from softspoken.audio import SAMPLE_RATE_HZ, load_audio, write_audio
from softspoken.data.channels import Telephone
from softspoken.errors import ConfigError
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.files import replace_text

LINE = Telephone(300.0, 3400.0)


def vary(manifest: Path, out: Path, enrolment_s: float | None, telephone: bool, telephone_enrolment: bool) -> int:
    """Write `out/manifest.jsonl` and the recordings that change; the others stay where they are. How many items.

    `enrolment_s`: every enrolment is so long, cut, or joined with other enrolments of the same target in the manifest
    until it is; items for which there is not so much are left out. `telephone`: mixtures, and targets alone, come over
    a line of 300 to 3,400 Hz; `telephone_enrolment`: enrolments do. Raises ConfigError where nothing is to change or
    nothing is left.
    """
    if enrolment_s is None and not telephone and not telephone_enrolment:
        raise ConfigError("nothing to change; give --enrolment-s, --telephone or --telephone-enrolment")
    items = read_evaluation_manifest(manifest)
    clips = _clips_by_target(items)
    lines = []
    for item in items:
        mixture, enrolment = load_audio(item.audio), load_audio(item.enrolment)
        if enrolment_s is not None:
            enrolment = _lengthened(enrolment, clips.get(item.target or "", []), item.enrolment)
            if len(enrolment) < enrolment_s * SAMPLE_RATE_HZ:
                continue
            enrolment = enrolment[: round(enrolment_s * SAMPLE_RATE_HZ)]
        if telephone:
            mixture = LINE.apply(mixture)
        if telephone_enrolment:
            enrolment = LINE.apply(enrolment)
        row = {
            "id": item.id,
            "audio": _written(out / "mixtures" / f"{item.id}.flac", mixture, out) if telephone else _kept(item.audio),
            "enrolment": _written(out / "enrolments" / f"{item.id}.flac", enrolment, out),
            "text": item.text,
            "tags": list(item.tags),
        }
        if item.clean is not None:
            target = out / "clean" / f"{item.id}.flac"
            row["clean"] = _written(target, LINE.apply(load_audio(item.clean)), out) if telephone else _kept(item.clean)
        if item.target is not None:
            row["target"] = item.target
        lines.append(json.dumps(row))
    if not lines:
        raise ConfigError(f"no item of '{manifest}' has enrolments of {enrolment_s} s; give a shorter time")
    replace_text(out / "manifest.jsonl", "\n".join(lines) + "\n")
    return len(lines)


def _clips_by_target(items: tuple[EvaluationItem, ...]) -> dict[str, list[Path]]:
    clips: dict[str, list[Path]] = defaultdict(list)
    for item in items:
        if item.target is not None and item.enrolment not in clips[item.target]:
            clips[item.target].append(item.enrolment)
    return clips


def _lengthened(enrolment: Float32[np.ndarray, " N"], others: list[Path], own: Path) -> Float32[np.ndarray, " M"]:
    """With the other clips of this voice behind it."""
    return np.concatenate([enrolment, *(load_audio(path) for path in others if path != own)])


def _written(path: Path, audio: Float32[np.ndarray, " N"], out: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, audio)
    return str(path.relative_to(out))


def _kept(path: Path) -> str:
    return str(path.resolve())
