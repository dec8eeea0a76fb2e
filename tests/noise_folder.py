"""Made-up noise recordings with a manifest, and a small recipe, for tests of everything that adds noise."""

import json
from pathlib import Path

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken_lab.noise.bank import PAPER_CATEGORIES, type_of

RECIPE = """
task = "noise"
steps = 4
utterances_per_batch = 4
pool = 8
validate_every = 2
save_every = 1
learning_rate = 0.01
warmup_steps = 1
prompt_rate = 0.5
prompts = {prompts}

[head]
projection = 8
layers = 1
hidden = 8

[data]
speech = ["{speech}"]
noise = ["{noise}"]
piece_s = [1.0, 3.0]
"""


def write_noise_recipe(
    path: Path, speech: Path, noise: Path, prompts: str = "{ encoder = { length = 3, depth = 'deep' } }"
) -> Path:
    """A recipe of a few steps on these manifests. Returns `path`."""
    path.write_text(RECIPE.format(speech=speech, noise=noise, prompts=prompts))
    return path


def hiss(seconds: float, level: float = 0.05, seed: int = 0) -> np.ndarray:
    """White noise of that effective value."""
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    return (level * drawn).astype(np.float32)


def make_noise_folder(
    folder: Path, categories: tuple[str, ...] = PAPER_CATEGORIES, clips: int = 2, seconds: float = 4.0
) -> Path:
    """`clips` recordings of each category in each of the splits 'train' and 'test'. Returns the manifest."""
    rows = []
    for kind, category in enumerate(categories):
        for number in range(clips):
            for side, split in enumerate(("train", "test")):
                name = f"{category}-{split}-{number}.flac"
                folder.mkdir(parents=True, exist_ok=True)
                # Levels as far apart as those of real collections.
                level = 10 ** (-1.0 - 0.3 * (kind % 5))
                write_audio(folder / name, hiss(seconds, level, seed=100 * kind + 10 * number + side))
                rows.append(
                    {
                        "id": f"made:{name[:-5]}",
                        "path": name,
                        "split": split,
                        "category": category,
                        "type": type_of(category),
                        "duration_s": seconds,
                    }
                )
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return manifest
