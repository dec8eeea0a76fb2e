"""How many mixtures a second one core reads, decodes and mixes out of shards, and what memory that takes over hours.

    softspoken data shard RECIPE.toml FOLDER
    python benchmarks/shard_reading.py FOLDER            # mixtures and targets a second on this core
    python benchmarks/shard_reading.py FOLDER --hours 1000   # memory while so much speech passes, the shards repeated

Voices and scores, which a GPU makes, are left out. Rates are a second of processor time, so other work beside it
matters less; give one thread (`OMP_NUM_THREADS=1`).
"""

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from softspoken.data.config import MixingConfig, ShardConfig
from softspoken.data.corpus import Corpus
from softspoken.data.examples import MixtureDataset
from softspoken.data.shards import list_shards, read_shard
from softspoken.data.streaming import ShardedMixtures

BATCH = 16
_MB = 2**20
_VOICE = np.ones(192, np.float32)


def make(corpus: Corpus, texts: Mapping[str, str], mixing: MixingConfig, seed: int, size: int) -> MixtureDataset:
    """Mixtures whose voices and scores cost nothing."""
    scores = lambda audio, voices: np.zeros((len(voices), len(audio) // 320), np.float32)  # noqa: E731
    return MixtureDataset(corpus, texts, lambda _: _VOICE, scores, mixing, seed, size, pool=64, batch=BATCH)


def resident_mb() -> float:
    """Memory of this process now, on Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / _MB


def rate(folder: str, mixtures: int, config: ShardConfig) -> dict[str, float]:
    """Mixtures and targets a second of processor time; the shards of the first window are read before."""
    dataset = ShardedMixtures(config, (1.0,), MixingConfig(), make, 1, mixtures, BATCH)
    dataset.window(0, 0)
    begun, targets, seconds = time.process_time(), 0, 0.0
    for index in range(mixtures):
        examples = dataset[index]
        targets += len(examples)
        seconds += len(examples[0].audio) / 16_000
    took = time.process_time() - begun
    return {"mixtures_per_s": mixtures / took, "targets_per_s": targets / took, "seconds_each": seconds / mixtures}


def memory(folder: str, hours: float, config: ShardConfig) -> list[tuple[float, float]]:
    """(hours read, MB) ten times on the way; a batch of mixtures is made of every shard that comes."""
    shards = list_shards([folder])
    each_h = float(np.mean([sum(p.duration_s for p in read_shard(name).pieces) for name in shards])) / 3600
    moves = round(hours / each_h)
    dataset = ShardedMixtures(config, (1.0,), MixingConfig(), make, 1, moves * dataset_stay(config), BATCH)
    found = []
    for index in range(0, len(dataset), BATCH // 2):
        dataset[index]
        if index % (len(dataset) // 10 // BATCH * BATCH) == 0:
            found.append((index / len(dataset) * hours, resident_mb()))
            print(f"{found[-1][0]:7.0f} h  {found[-1][1]:7.0f} MB", file=sys.stderr)
    return found


def dataset_stay(config: ShardConfig) -> int:
    """Mixtures between two shards, in whole batches."""
    return -(-config.mixtures // BATCH) * BATCH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a folder or URL of shards")
    parser.add_argument("--hours", type=float, help="measure memory while so much speech passes")
    parser.add_argument("--mixtures", type=int, default=2048, help="that are timed")
    given = parser.parse_args()
    if given.hours is not None:
        config = ShardConfig(folders=(given.folder,), lanes=1, mixtures=BATCH)
        found = memory(given.folder, given.hours, config)
        print(json.dumps({"hours_mb": [[round(h), round(mb)] for h, mb in found]}))
        return
    config = ShardConfig(folders=(given.folder,), lanes=1)
    measured = rate(given.folder, given.mixtures, config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps({**{k: round(v, 2) for k, v in measured.items()}, "peak_mb": round(peak), "on": platform.machine()})
    )


if __name__ == "__main__":
    main()
