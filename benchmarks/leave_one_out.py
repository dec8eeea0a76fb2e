"""Leave-one-out over 20 prompts: m + 1 variants as rows of one batch, against m + 1 separate evaluations.

Both write the same utterances with the same recogniser, random prompts and a random head on the embedded encoder, in
one process, taking turns. Prints a table and one JSON line.

    python benchmarks/leave_one_out.py [--quick]
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken.prompts import SoftPrompts
from softspoken_lab.analysis.ctc_subject import CTCSubject
from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.encoders import load_encoder
from softspoken_lab.noise.folder import load_recognizer, save_recognizer
from softspoken_lab.noise.head import CTCHead, HeadConfig
from softspoken_lab.noise.model import PromptedCTC
from softspoken_lab.noise.testsets import TestUtterance
from softspoken_lab.prompts.variants import leave_one_out


def new_subject(folder: Path, backbone_name: str, prompts: int, head: HeadConfig) -> CTCSubject:
    """A recogniser with random numbers: what it writes is gibberish, what it costs is not."""
    torch.manual_seed(0)
    backbone = load_encoder(backbone_name)
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    width = backbone.stacks["encoder"].width
    characters = Characters()
    model = PromptedCTC(
        SoftPrompts(noise_prompts(prompts), width, layers),
        CTCHead(head, width, 1 + layers["encoder"], characters.size),
    )
    save_recognizer(model, folder, backbone=backbone, characters=characters, training={})
    return CTCSubject(load_recognizer(folder, backbone), backbone)


def new_set(folder: Path, count: int, longest_s: float) -> TestSet:
    """Noise bursts of different lengths, as utterances."""
    rng = np.random.default_rng(0)
    items = []
    for number in range(count):
        seconds = float(rng.uniform(0.3, 1.0) * longest_s)
        audio = 0.05 * rng.standard_normal(round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
        path = folder / f"{number}.wav"
        write_audio(path, audio)
        items.append(TestUtterance(str(number), path, "some words", "noise", duration_s=seconds))
    return TestSet("bursts", tuple(items))


def ratios_of(seconds: dict[str, list[float]]) -> list[float]:
    """How many times as long the separate way takes, round by round."""
    return [apart / batch for apart, batch in zip(seconds["separate"], seconds["one batch"], strict=True)]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few utterances, one round")
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--utterances", type=int)
    parser.add_argument("--seconds", type=float, default=12.0, help="of the longest utterance")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--projection", type=int, default=1024)
    parser.add_argument("--hidden", type=int, default=1024, help="of the head's LSTMs")
    return parser.parse_args()


def main() -> None:
    given = options()
    rounds = given.rounds if given.rounds is not None else (1 if given.quick else 5)
    utterances = given.utterances if given.utterances is not None else (2 if given.quick else 16)
    with TemporaryDirectory() as name:
        folder = Path(name)
        head = HeadConfig(projection=given.projection, hidden=given.hidden)
        subject = new_subject(folder / "recognizer", given.backbone, given.prompts, head)
        test_set = new_set(folder, utterances, given.seconds)
        vectors = subject.vectors
        variants = [vectors[:, indices] for indices in leave_one_out(given.prompts)]

        def together() -> list[tuple[int, ...]]:
            return list(subject.score(test_set, variants).errors)

        def separately() -> list[tuple[int, ...]]:
            return [subject.score(test_set, [one]).errors[0] for one in variants]

        ways = {"one batch": together, "separate": separately}
        # Once, to warm up and to see that both write the same.
        small = TestSet("warm", test_set.items[:1])
        assert subject.score(small, variants).errors == tuple(subject.score(small, [one]).errors[0] for one in variants)
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        # Of the processors: what it takes where other programs run, too.
        processor_s: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds):
            order = list(ways) if number % 2 == 0 else list(ways)[::-1]
            for way in order:
                begin, busy = time.perf_counter(), time.process_time()
                ways[way]()
                seconds[way].append(time.perf_counter() - begin)
                processor_s[way].append(time.process_time() - busy)
                print(
                    f"round {number + 1}, {way}: {seconds[way][-1]:.1f} s, {processor_s[way][-1]:.1f} s of processors",
                    file=sys.stderr,
                )
    print(f"{'way':<24}{'median s':>10}{'lowest':>10}{'highest':>10}")
    for what, measured in (("", seconds), (", processors", processor_s)):
        for way, values in measured.items():
            print(f"{way + what:<24}{statistics.median(values):>10.2f}{min(values):>10.2f}{max(values):>10.2f}")
    ratios, busy_ratios = ratios_of(seconds), ratios_of(processor_s)
    print(
        f"separate takes {statistics.median(ratios):.2f} times as long ({min(ratios):.2f} to {max(ratios):.2f}), and "
        f"{statistics.median(busy_ratios):.2f} times the processors ({min(busy_ratios):.2f} to {max(busy_ratios):.2f})"
    )
    row = {
        "benchmark": "leave_one_out",
        "backbone": given.backbone,
        "prompts": given.prompts,
        "variants": len(variants),
        "utterances": utterances,
        "longest_s": given.seconds,
        "head": {"projection": given.projection, "hidden": given.hidden},
        "rounds": rounds,
        "seconds": {way: [round(value, 3) for value in values] for way, values in seconds.items()},
        "processor_seconds": {way: [round(value, 3) for value in values] for way, values in processor_s.items()},
        "processor_ratio_median": round(statistics.median(busy_ratios), 3),
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
