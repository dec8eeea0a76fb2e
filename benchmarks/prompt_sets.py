"""What many sets of prompts on one model cost in memory: loaded, compiled, ready for any voice.

Sets of the shipped prompt's configuration and of the target-speaker paper's, each with numbers of its own in half
precision, as `softspoken prompt export --half` stores them, on one backbone in one process. Prints a table and one
JSON line.

    python benchmarks/prompt_sets.py --backbone base --sets 100
"""

import argparse
import ctypes
import gc
import json
import resource
from pathlib import Path
from typing import Any

import torch

from softspoken.engines import Engine, load_engine
from softspoken.prompts import PromptConfig, SoftPrompts, SpeakerPrompt, load_prompts
from softspoken.prompts.compiled import CompiledPrompts
from softspoken.training.run_folder import describe_environment

PAPERS = PromptConfig(placement="shifted", speaker=SpeakerPrompt(dimension=256))
"""Deep, 16 vectors a layer, the voice into the encoder; what is left of it once the MLPs are folded."""


def resident_mb() -> float:
    """Of this process, now; what has been given back to the allocator does not count (Linux)."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def sets_of(engine: Engine, config: PromptConfig, count: int) -> list[CompiledPrompts]:
    """Compiled prompts, all different."""
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        prompts = SoftPrompts(config, engine.backbone.width, engine.backbone.layers)
        made.append(CompiledPrompts(engine.backbone, config, prompts.half().arrays()))
    return made


def measure(engine: Engine, config: PromptConfig, count: int) -> dict[str, Any]:
    sets_of(engine, config, 2)
    before = resident_mb()
    kept = sets_of(engine, config, count)
    after = resident_mb()
    numbers = SoftPrompts(config, engine.backbone.width, engine.backbone.layers).parameter_count
    assert len(kept) == count
    return {"sets": count, "numbers_each": numbers, "more_mb": round(after - before, 1), "before_mb": round(before, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="base")
    parser.add_argument("--sets", type=int, default=100)
    asked = parser.parse_args()
    engine = load_engine(asked.backbone, "openvino")
    configs = {"the paper's": PAPERS, "shipped": load_prompts(asked.backbone).info.prompts}
    results = {name: measure(engine, config, asked.sets) for name, config in configs.items()}
    for name, found in results.items():
        print(f"{name:12} {found['numbers_each']:9,} numbers a set; {asked.sets} sets: {found['more_mb']:.1f} MB more")
    machine = describe_environment()
    print(json.dumps({"benchmark": "prompt_sets", "backbone": asked.backbone, "results": results, "machine": machine}))


if __name__ == "__main__":
    main()
