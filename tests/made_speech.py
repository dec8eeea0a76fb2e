"""A small folder of made-up speech: talkers are bands of noise in syllables, with pauses."""

import json
from pathlib import Path

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ, write_audio


def syllables(seconds: float, pitch_hz: float, seed: int, level: float = 0.1) -> np.ndarray:
    """Tone bursts of 0.4 s with pauses of 0.1 s."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    voiced = (t % 0.5) < 0.4
    noise = 1e-4 * rng.standard_normal(len(t))
    return (level * np.sin(2 * np.pi * pitch_hz * t) * voiced + noise).astype(np.float32)


def write_speech(folder: Path, talkers: int = 3, utterances: int = 3, split: str = "test") -> Path:
    """Write FLAC files and their manifest; returns the manifest."""
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for talker in range(talkers):
        for number in range(utterances):
            seconds = 3.1 + 0.7 * number + 0.3 * talker
            name = f"t{talker}-{number}.flac"
            level = 0.02 * (1 + talker) * (1 + number)
            write_audio(folder / name, syllables(seconds, 200.0 + 150 * talker, seed=10 * talker + number, level=level))
            rows.append(
                {
                    "id": f"t{talker}-{number}",
                    "path": name,
                    "split": split,
                    "corpus": "made",
                    "speaker": f"t{talker}",
                    "text": f"talker {talker} says {number}",
                    "duration_s": seconds,
                }
            )
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest
