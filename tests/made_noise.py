"""Made-up speech and noise: noises of two kinds with spectra of their own."""

import json
from pathlib import Path

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ, write_audio


def speech_like(seconds: float, seed: int) -> np.ndarray:
    """Bursts of a tone with overtones, half a second apart."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch_hz = rng.uniform(100, 250)
    tone = sum(np.sin(2 * np.pi * pitch_hz * (n + 1) * at) / (n + 1) for n in range(6))
    return (0.1 * tone * (np.sin(2 * np.pi * 2 * at + rng.uniform(0, 6)) > -0.3)).astype(np.float32)


def band_noise(seconds: float, low_hz: float, high_hz: float, seed: int) -> np.ndarray:
    size = round(seconds * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum * ((hz >= low_hz) & (hz < high_hz)), size)
    return (0.05 * noise / noise.std()).astype(np.float32)


def write_noise(folder: Path, kinds: dict[str, tuple[float, float]], clips: int = 3, seconds: float = 2.0) -> Path:
    """`clips` recordings of each kind, a category and its band. Returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for kind, (category, (low_hz, high_hz)) in enumerate(kinds.items()):
        for number in range(clips):
            name = f"{category}-{number}.flac"
            write_audio(folder / name, band_noise(seconds, low_hz, high_hz, 100 * kind + number))
            rows.append({"id": name[:-5], "path": name, "split": "test", "category": category, "duration_s": seconds})
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return manifest
