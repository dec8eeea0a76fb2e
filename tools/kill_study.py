"""Kill a training run at random moments until it is done; its end must be bitwise that of a run that nobody disturbed.

    python tools/kill_study.py [--kills 50] [--steps 95] [--json FILE]

A tiny random Whisper on made mixtures (those of the tests), a state after every step. The run is killed (SIGKILL) after
a random time, again and again. Then the same run writes to a disk of some kilobytes until it is full (Linux, as root:
a tmpfs), which is then enlarged, and to a folder that is read-only.
"""

import argparse
import functools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import torch
from safetensors.torch import load_file
from small_mixtures import small_mixtures
from tiny import LAYERS, WIDTH, tiny_backbone

from softspoken.data.batches import collate
from softspoken.data.examples import MixtureDataset
from softspoken.prompts import PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.training.config import ObjectiveConfig, TrainConfig
from softspoken.training.log import LOG
from softspoken.training.loop import BEST, STATE, train
from softspoken.training.objective import TargetSpeakerObjective

PROMPTS = PromptConfig(encoder=StackPrompt(length=4), decoder=StackPrompt(length=4), speaker=SpeakerPrompt(dimension=8))


def run(folder: Path, data: MixtureDataset, steps: int) -> None:
    """Train, from the beginning or on from the last state."""
    backbone = tiny_backbone()
    torch.manual_seed(0)
    prompts = SoftPrompts(PROMPTS, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    config = TrainConfig(
        prompts=PROMPTS, steps=steps, mixtures_per_batch=2, warmup_steps=5, save_every=1, validate_every=5
    )
    together = functools.partial(collate, vocabulary=backbone.tokens, max_tokens=40)
    objective = TargetSpeakerObjective(backbone, PROMPTS, ObjectiveConfig())

    def validate(module: SoftPrompts) -> dict[str, float]:
        return {"score": float(sum(value.abs().sum() for value in module.state_dict().values()))}

    train(config, prompts, objective, data, together, folder, validate)


def started(folder: Path, data: MixtureDataset, steps: int) -> int:
    """The same in a process of its own; its id. Exit code 0: done; 3: the folder could not be written."""
    child = os.fork()
    if child == 0:
        try:
            run(folder, data, steps)
            os._exit(0)
        except OSError as error:
            print(f"  {error}", file=sys.stderr)
            os._exit(3)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def differences(one: Path, other: Path) -> list[str]:
    """What of two runs is not bitwise the same."""
    found = []
    for name in (STATE, BEST):
        first, second = load_file(one / name), load_file(other / name)
        found += [f"{name}: {key}" for key in first.keys() ^ second.keys()]
        found += [f"{name}: {key}" for key in first.keys() & second.keys() if not torch.equal(first[key], second[key])]
    logs = [[json.loads(line) for line in (folder / LOG).read_text().splitlines()] for folder in (one, other)]
    measured = ("seconds", "examples_per_s")
    plain = [[{key: row[key] for key in row if key not in measured} for row in log] for log in logs]
    return found + ([] if plain[0] == plain[1] else ["log"])


def logged(folder: Path) -> int:
    """Lines in a run's log."""
    log = folder / LOG
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def killed(folder: Path, data: MixtureDataset, steps: int, kills: int, seed: int) -> dict[str, Any]:
    """Kill it so many times, then let it end. A moment is drawn once it has got on by a step, now and then before."""
    draw, done_at = random.Random(seed), []
    made = 0
    while made < kills:
        child = started(folder, data, steps)
        before, gone = logged(folder) + draw.randrange(3), 0
        while draw.random() < 0.998 and not gone and logged(folder) <= before:
            time.sleep(0.002)
            gone = os.waitpid(child, os.WNOHANG)[0]
        time.sleep(draw.uniform(0, 0.02))
        if gone or os.waitpid(child, os.WNOHANG)[0]:
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        made += 1
        done_at.append(logged(folder))
    os.waitpid(started(folder, data, steps), 0)
    return {"kills": made, "steps logged at each kill": done_at}


def full_disk(whole: Path, data: MixtureDataset, steps: int, place: Path) -> dict[str, Any]:
    """Train on a disk that is full after some states; enlarge it by and by until the run ends."""
    place.mkdir()
    codes: list[int] = []
    # Room for one state and a half: the next one is written before the last one goes.
    size_kb = int(1.5 * (whole / STATE).stat().st_size / 1024)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(place)], check=True)
    try:
        while len(codes) < 100 and (not codes or codes[-1] != 0):
            codes.append(os.waitstatus_to_exitcode(os.waitpid(started(place / "run", data, steps), 0)[1]))
            size_kb += 20
            subprocess.run(["mount", "-o", f"remount,size={size_kb}k", str(place)], check=True)
        found = differences(whole, place / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        read_only = os.waitstatus_to_exitcode(os.waitpid(started(place / "other", data, steps), 0)[1])
    finally:
        subprocess.run(["umount", str(place)], check=True)
    return {"ended with": codes, "differences": found, "read-only folder ended with": read_only}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=95)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        data = small_mixtures(folder / "speech")
        begun = time.monotonic()
        os.waitpid(started(folder / "whole", data, asked.steps), 0)
        whole_s = time.monotonic() - begun
        report: dict[str, Any] = {"steps": asked.steps, "undisturbed_s": round(whole_s, 1)}
        report |= killed(folder / "run", data, asked.steps, asked.kills, asked.seed)
        report["differences"] = differences(folder / "whole", folder / "run")
        report["files"] = sorted(path.name for path in (folder / "run").iterdir())
        if sys.platform == "linux" and os.geteuid() == 0:
            report["full disk"] = full_disk(folder / "whole", data, asked.steps, folder / "disk")
    print(json.dumps(report))
    if asked.json is not None:
        asked.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
