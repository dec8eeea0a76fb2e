"""The recordings that the package carries for the demo: six voices, five mixtures (see assets/demo/README.md)."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softspoken.errors import DataError

FloatArray = npt.NDArray[np.float32]

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True)
class Voice:
    """An enrolled voice, its enrolment clip and what it says there."""

    name: str
    description: str
    enrolment: Path
    text: str


@dataclass(frozen=True)
class Talker:
    """One utterance in a mixture. `gain_db` is relative to a level that is the same for all utterances."""

    voice: str
    text: str
    offset_s: float
    duration_s: float
    gain_db: float


@dataclass(frozen=True)
class Mixture:
    """Two people talking at once, and enrolled voices that say nothing in it."""

    name: str
    title: str
    file: Path
    duration_s: float
    overlap: float
    talkers: tuple[Talker, ...]
    silent: tuple[str, ...]


@dataclass(frozen=True)
class DemoRecordings:
    """Everything in `demo.json`. `spellings` maps a phrase to another way of writing the same words."""

    voices: tuple[Voice, ...]
    mixtures: tuple[Mixture, ...]
    spellings: dict[str, str]

    @cached_property
    def by_name(self) -> dict[str, Voice]:
        return {voice.name: voice for voice in self.voices}


def load_recordings(folder: Path | None = None) -> DemoRecordings:
    """Read the manifest (of the package, unless another folder is given).

    Raises:
        DataError: the manifest or a recording it names is missing or unreadable.
    """
    if folder is None:
        folder = Path(__file__).resolve().parent.parent / "assets" / "demo"
    manifest = folder / "demo.json"
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        voices = tuple(
            Voice(v["name"], v["description"], folder / v["enrolment"], v["text"]) for v in content["voices"]
        )
        mixtures = tuple(_mixture(entry, folder) for entry in content["mixtures"])
        recordings = DemoRecordings(voices, mixtures, dict(content["spellings"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"demo manifest {manifest} cannot be read ({error!r}); install the package again") from error
    missing = [p.name for p in [v.enrolment for v in voices] + [m.file for m in mixtures] if not p.is_file()]
    if missing:
        raise DataError(f"demo recordings missing in {folder}: {', '.join(missing)}; install the package again")
    return recordings


def _mixture(entry: dict[str, Any], folder: Path) -> Mixture:
    talkers = tuple(
        Talker(t["voice"], t["text"], float(t["offset_s"]), float(t["duration_s"]), float(t["gain_db"]))
        for t in entry["talkers"]
    )
    return Mixture(
        entry["name"],
        entry["title"],
        folder / entry["file"],
        float(entry["duration_s"]),
        float(entry["overlap"]),
        talkers,
        tuple(entry["silent"]),
    )


def read_clip(path: Path) -> FloatArray:
    """One of the package's own clips: mono float32 at 16 kHz, as stored.

    Raises:
        DataError: the file is damaged or is not 16 kHz mono.
    """
    import soundfile

    try:
        audio, rate_hz = soundfile.read(path, dtype="float32")
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(f"demo recording {path} cannot be read ({error}); install the package again") from error
    if rate_hz != SAMPLE_RATE_HZ or audio.ndim != 1:
        raise DataError(
            f"demo recording {path} has {rate_hz} Hz and shape {audio.shape}, expected {SAMPLE_RATE_HZ} Hz mono; "
            "install the package again"
        )
    return np.asarray(audio, np.float32)
