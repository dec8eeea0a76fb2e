"""What a prompt costs in an engine, to a percent: with and without one in the same process, window by window in turns.

`softspoken-lab bench --suite overhead` gives every contender a process of its own, whose luck with the machine is as
large as what a prompt costs. Here a round runs the same forced text once under each prompt, in an order drawn anew; of
the ratios within a round the median is printed with its 95 % bootstrap interval. Prints a table and one JSON line.
python benchmarks/prompt_overhead.py --backbone tiny.en --precision int8
"""

import argparse
import json
import time

import numpy as np

from softspoken.audio import SHORTEST_S
from softspoken.engines import load_engine
from softspoken.errors import SoftspokenError
from softspoken.training.run_folder import describe_environment
from softspoken_lab.bench.contract import SAMPLE_RATE_HZ, Item
from softspoken_lab.bench.overhead import Forced, forced_in
from softspoken_lab.bench.tasks import FORCED_S, TOKENS_PER_S

PROMPTS = (None, "short", "target", "target-measured")
WARM_UP = 3


def seconds(contender: Forced, item: Item) -> float:
    prepared = contender.prepare(item)
    start = time.perf_counter()
    list(contender.hear(prepared))
    return time.perf_counter() - start


def rounds_of(contenders: list[Forced], item: Item, rounds: int) -> np.ndarray:
    """Seconds, (rounds, contenders)."""
    rng = np.random.default_rng(0)
    taken = np.zeros((rounds + WARM_UP, len(contenders)))
    for row in taken:
        for index in rng.permutation(len(contenders)):
            row[index] = seconds(contenders[index], item)
    return taken[WARM_UP:]


def median(ratios: np.ndarray) -> dict[str, float]:
    drawn = np.random.default_rng(1).choice(ratios, (2_000, ratios.size))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return {"median": round(float(np.median(ratios)), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--engine", default="openvino", choices=["openvino", "torch"])
    parser.add_argument("--precision", default="int8", choices=["float32", "bfloat16", "int8"])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--lengths", type=float, nargs="+", default=list(FORCED_S), help="seconds of audio")
    asked = parser.parse_args()
    if asked.rounds < 1 or min(asked.lengths) < SHORTEST_S:
        parser.error(f"--rounds: at least 1; --lengths: at least {SHORTEST_S} s")
    try:
        engine = load_engine(asked.backbone, asked.engine, asked.precision)
    except SoftspokenError as error:
        parser.error(str(error))
    contenders = [forced_in(engine, asked.backbone, prompt) for prompt in PROMPTS]
    results = {}
    for length_s in asked.lengths:
        noise = 0.1 * np.random.default_rng(0).standard_normal(round(length_s * SAMPLE_RATE_HZ), np.float32)
        taken = rounds_of(contenders, Item(noise, tokens=(round(TOKENS_PER_S * length_s),)), asked.rounds)
        found = {str(prompt): median(taken[:, n] / taken[:, 0]) for n, prompt in enumerate(PROMPTS) if prompt}
        results[f"{length_s:g} s"] = {"seconds_without": round(float(np.median(taken[:, 0])), 4), **found}
        for prompt, ratio in found.items():
            print(f"{length_s:4g} s {prompt:16} {ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]")
    facts = {"backbone": asked.backbone, "engine": asked.engine, "precision": asked.precision, "rounds": asked.rounds}
    machine = describe_environment()
    print(json.dumps({"benchmark": "prompt_overhead", **facts, "results": results, "machine": machine}))


if __name__ == "__main__":
    main()
