"""Training: samples a second of our step against the way of the target-speaker paper's authors.

Their way: one target a step, every mixture padded to 30 s, float32, AdamW at 1e-4 throughout. Ours: windows as long as
the mixture, several mixtures a batch with all their talkers, bfloat16 where this machine is faster with it. Both train
the paper's prompts (deep, 16 vectors a layer, separate MLPs, the voice in front of the encoder) through the same code
on the same mixtures, in one process, taking turns; what lies between them is taken apart factor by factor. A sample is
one target in one mixture. Drawing mixtures and embedding voices is the same for all and is left out.

Then both are trained from the same start on the same samples in the same order, and their losses on held-back talkers
compared: a faster step is worth something at an equal loss alone. Prints tables and one JSON line.

    python benchmarks/training_speed.py [--quick] [--speech MANIFEST.jsonl]
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_ways import BF16_WORTH, Group, Trainer, Way, bf16_gain, draw, new_start, ways_of

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.backbones import load_backbone
from softspoken.speakers import load_embedder
from softspoken.training.config import TrainConfig

RESAMPLES = 2000


def measure_speed(
    make: Any, ways: Sequence[Way], groups: Sequence[Group], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Samples a second, by the clock and by the processors' time, of each way in each round; ways take turns."""
    trainers = [make(way) for way in ways]
    for trainer in trainers:
        trainer.train(groups[:1])
    samples = sum(map(len, groups))
    found: dict[str, dict[str, list[float]]] = {way.name: {"clock": [], "processor": []} for way in ways}
    for number in range(rounds):
        for trainer in trainers if number % 2 == 0 else trainers[::-1]:
            begin, busy = time.perf_counter(), time.process_time()
            trainer.train(groups)
            taken_s, busy_s = time.perf_counter() - begin, time.process_time() - busy
            found[trainer.way.name]["clock"].append(samples / taken_s)
            found[trainer.way.name]["processor"].append(samples / busy_s)
            print(f"round {number + 1}, {trainer.way.name}: {samples} samples in {taken_s:.1f} s", file=sys.stderr)
    return found


def ratios(found: dict[str, dict[str, list[float]]], way: str, other: str, clock: str = "clock") -> list[float]:
    """How many times as fast `way` is as `other`, round by round."""
    return [a / b for a, b in zip(found[way][clock], found[other][clock], strict=True)]


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), digits),
        "low": round(min(values), digits),
        "high": round(max(values), digits),
    }


def measure_training(
    trainers: dict[str, Trainer], groups: Sequence[Group], held_back: Sequence[Group], points: int
) -> dict[str, Any]:
    """Train each on the same samples; losses on the held-back mixtures at equal samples, and their difference."""
    size = len(groups) // points
    curves: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    last: dict[str, np.ndarray] = {}
    for name, trainer in trainers.items():
        last[name] = trainer.losses(held_back)
        curves[name], seconds[name] = [round(float(last[name].mean()), 4)], 0.0
        for point in range(points):
            begin = time.process_time()
            trainer.train(groups[point * size : (point + 1) * size])
            seconds[name] += time.process_time() - begin
            last[name] = trainer.losses(held_back)
            curves[name].append(round(float(last[name].mean()), 4))
            print(f"{name}: {2 * size * (point + 1)} samples, loss {curves[name][-1]:.3f}", file=sys.stderr)
    authors, ours = last.values()
    picks = np.random.default_rng(0).integers(len(held_back), size=(RESAMPLES, len(held_back)))
    low, high = np.percentile((ours - authors)[picks].mean(axis=1), [2.5, 97.5])
    return {
        "samples": [2 * size * point for point in range(points + 1)],
        "held_back": sum(map(len, held_back)),
        "learning_rate": {name: trainer.config.learning_rate for name, trainer in trainers.items()},
        "steps": {name: trainer.steps for name, trainer in trainers.items()},
        "loss": curves,
        "ours_less_authors": {
            "loss": round(float((ours - authors).mean()), 4),
            "interval": [round(low, 4), round(high, 4)],
        },
        "processor_seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one mixture, two rounds, hardly any training")
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--speech", type=Path, default=Path("../shared/data/speech/manifest.jsonl"))
    parser.add_argument("--seconds", type=float, default=10.0, help="of a mixture, about")
    parser.add_argument("--mixtures", type=int, help="timed in each round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--per-batch", type=int, default=2, help="mixtures of a step of ours")
    parser.add_argument("--train", type=int, help="samples to train both ways on; 0: speed alone")
    parser.add_argument("--held-back", type=int, help="mixtures to compare their losses on")
    parser.add_argument("--points", type=int, default=2, help="of the curves")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate of ours")
    parser.add_argument("--authors-rate", type=float, default=1e-4)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    for name, quick, full in (("mixtures", 1, 8), ("rounds", 2, 5), ("train", 8, 400), ("held_back", 2, 24)):
        if getattr(given, name) is None:
            setattr(given, name, quick if given.quick else full)
    return given


def trainers_of(given: argparse.Namespace, ways: Sequence[Way], make: Any) -> dict[str, Trainer]:
    """The authors' way and ours, ready to train on `--train` samples."""
    steps = -(-given.train // (2 * given.per_batch))
    ours = {"steps": steps, "learning_rate": given.rate, "warmup_steps": min(10, steps // 4)}
    return {
        "authors": make(ways[0], TrainConfig(learning_rate=given.authors_rate)),
        "ours": make(ways[-1], TrainConfig(**ours)),
    }


def print_speed(found: dict[str, dict[str, list[float]]]) -> None:
    print(
        f"{'way':<18}{'samples/s':>10}{'lowest':>9}{'highest':>9}{'times authors':>15}{'range':>16}{'processors':>12}"
    )
    for name, rates in found.items():
        own, times = spread(rates["clock"]), spread(ratios(found, name, "authors"), 2)
        busy = spread(ratios(found, name, "authors", "processor"), 2)
        print(
            f"{name:<18}{own['median']:>10.2f}{own['low']:>9.2f}{own['high']:>9.2f}{times['median']:>15.2f}"
            f"{times['low']:>8.2f} -{times['high']:>6.2f}{busy['median']:>12.2f}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    given = parsed(arguments)
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    backbone = load_backbone(given.backbone).to(given.device)
    embedder = load_embedder("ge2e")
    gain = bf16_gain(backbone.device)
    ways = ways_of(given.per_batch, gain >= BF16_WORTH)
    groups = draw(embedder, given, max(given.mixtures, given.train // 2), development=False, seed=0)
    start = new_start(backbone, groups, seed=0)

    def make(way: Way, config: TrainConfig | None = None) -> Trainer:
        return Trainer(way, backbone, start, TrainConfig() if config is None else config)

    found = measure_speed(make, ways, groups[: given.mixtures], given.rounds)
    names = [way.name for way in ways]
    print_speed(found)
    training = None
    if given.train:
        held_back = draw(embedder, given, given.held_back, development=True, seed=99)
        training = measure_training(trainers_of(given, ways, make), groups[: given.train // 2], held_back, given.points)
        print(f"loss on held-back talkers after {training['samples']} samples:")
        for name, losses in training["loss"].items():
            print(f"{name:<10}" + "".join(f"{loss:>9.3f}" for loss in losses) + f"   {training['steps'][name]} steps")
    row = {
        "benchmark": "training_speed",
        "backbone": given.backbone,
        "trained": start.parameter_count,
        "mixtures": given.mixtures,
        "mean_s": round(float(np.mean([g[0].audio.size for g in groups[: given.mixtures]])) / SAMPLE_RATE_HZ, 2),
        "per_batch": given.per_batch,
        "rounds": given.rounds,
        "samples_per_s": {name: spread(rates["clock"]) for name, rates in found.items()},
        "ratio": spread(ratios(found, names[-1], names[0])),
        "processor_ratio": spread(ratios(found, names[-1], names[0], "processor")),
        "factors": {name: spread(ratios(found, name, before)) for before, name in itertools.pairwise(names)},
        "bf16_product_gain": round(gain, 2),
        "training": training,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {given.device}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
