"""Kill the workers and the driver of `softspoken bulk transcribe`: each input must have one record, and the same one.

    python tools/bulk_kill_study.py --speech FOLDER [--files 1000] [--bad 20] [--kills 3] [--driver-kills 1] [--json F]

Clips of 1 to 2 s are cut from the recordings in FOLDER (Linux); some of the files are bad, each in another way. The job
runs undisturbed with one and with two workers, and then with two that are killed (SIGKILL) now and then, as the driver
is, after which the same command goes on.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE_HZ, PER_SHARD = 16_000, 20
COMMAND = [sys.executable, "-m", "softspoken.cli.main", "bulk", "transcribe"]


def cut_off(path: Path, whole: np.ndarray) -> None:
    """A file whose second half is missing."""
    soundfile.write(path, whole, RATE_HZ, format=path.suffix[1:].upper())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noise_bytes(path: Path, whole: np.ndarray) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(whole.size))


def headless(path: Path, whole: np.ndarray) -> None:
    """Samples without a header."""
    path.write_bytes(whole.astype("<f4").tobytes())


def not_a_number(path: Path, whole: np.ndarray) -> None:
    soundfile.write(path, np.where(np.arange(whole.size) == 99, np.nan, whole), RATE_HZ, subtype="FLOAT")


BAD: dict[str, Callable[[Path, np.ndarray], object]] = {
    "empty.wav": lambda path, whole: path.write_bytes(b""),
    "text.wav": lambda path, whole: path.write_text("this is no sound\n"),
    "cut.wav": cut_off,
    "cut.flac": cut_off,
    "bytes.mp3": noise_bytes,
    "headless.wav": headless,
    "short.wav": lambda path, whole: soundfile.write(path, whole[:100], RATE_HZ),
    "nan.wav": not_a_number,
    "header.wav": lambda path, whole: soundfile.write(path, whole[:0], RATE_HZ),
    "nothing.wav": lambda path, whole: path.symlink_to("nowhere.wav"),
}
"""Ways in which a file can be bad, by what it is called."""


def made(folder: Path, speech: Path, files: int, bad: int) -> set[str]:
    """The names of the bad files among those that are made."""
    found = sorted(path for path in speech.rglob("*") if path.suffix in (".wav", ".flac", ".opus"))
    draw = random.Random(0)
    folder.mkdir()
    kinds, names = list(BAD), set[str]()
    for number in range(files):
        whole, rate_hz = soundfile.read(draw.choice(found), dtype="float32")
        assert rate_hz == RATE_HZ, "expected recordings of 16 kHz"
        clip = whole[: round(draw.uniform(1.0, 2.0) * RATE_HZ)]
        if number * bad // files < (number + 1) * bad // files:
            kind = kinds[len(names) % len(kinds)]
            name = f"{number:04d}-{kind}"
            BAD[kind](folder / name, clip)
            names.add(name)
        else:
            soundfile.write(folder / f"{number:04d}.wav", clip, RATE_HZ)
    return names


def recorded(out: Path) -> list[dict[str, Any]]:
    """All records of the shards."""
    return [json.loads(line) for path in sorted(out.glob("part-*")) for line in path.read_bytes().split(b"\n")[:-1]]


def counted(out: Path) -> int:
    """How many records there are by now: in shards, and in the journal of the others."""
    shards = {path.name for path in out.glob("part-*")}
    try:
        lines = (out / "unfinished").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        lines = []
    others = {int(line.split(b" ", 1)[0]) for line in lines}
    return len(shards) * PER_SHARD + sum(f"part-{n // PER_SHARD:05d}.jsonl" not in shards for n in others)


def workers_of(driver: int) -> list[int]:
    try:
        listed = Path(f"/proc/{driver}/task/{driver}/children").read_text().split()
        return [int(one) for one in listed if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    except FileNotFoundError:
        return []


def timed(command: Sequence[str], out: Path) -> tuple[float, float]:
    """Seconds until the first record, and from there to the end."""
    begun = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as driver:
        while driver.poll() is None and not counted(out):
            time.sleep(0.02)
        first = time.monotonic()
    return first - begun, time.monotonic() - first


def killed(command: Sequence[str], out: Path, files: int, kills: int, driver_kills: int) -> dict[str, Any]:
    """Run it to its end, killing at moments that are spread over the work, the driver's in the middle."""
    moments = [(files * (n + 1) // (kills + 2), "worker") for n in range(kills)]
    moments += [(files * (2 * n + 1) // (2 * driver_kills + 1), "driver") for n in range(driver_kills)]
    waiting, draw, done = sorted(moments), random.Random(1), list[str]()
    runs = 0
    while True:
        runs += 1
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
            while driver.poll() is None and waiting:
                whom = workers_of(driver.pid)
                if counted(out) < waiting[0][0] or not whom:
                    time.sleep(0.01)
                    continue
                _, what = waiting.pop(0)
                os.kill(driver.pid if what == "driver" else draw.choice(whom), signal.SIGKILL)
                done.append(f"{what} at {counted(out)}")
            told = driver.stderr.read() if driver.stderr is not None else ""
        if driver.returncode != -signal.SIGKILL:
            return {"kills": done, "runs": runs, "exit code": driver.returncode, "said": told.splitlines()[-3:]}


def study(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    bad = made(folder / "in", asked.speech, asked.files, asked.bad)
    words = [*COMMAND, str(folder / "in"), "--plain", "--backbone", asked.backbone, "--precision", asked.precision]
    words += ["--per-shard", str(PER_SHARD), *([] if asked.prompt is None else ["--prompt", asked.prompt])]
    report: dict[str, Any] = {"files": asked.files, "bad": len(bad)}
    outs = {}
    for workers in asked.workers:
        outs[workers] = out = folder / f"with-{workers}"
        loading_s, working_s = timed([*words, "--out", str(out), "--workers", str(workers)], out)
        rate = (asked.files - 1) / max(working_s, 1e-3)
        report[f"{workers} workers"] = {"loading_s": round(loading_s, 1), "recordings_per_s": round(rate, 2)}
    out, most = folder / "killed", max(asked.workers)
    command = [*words, "--out", str(out), "--workers", str(most)]
    report["killed"] = killed(command, out, asked.files, asked.kills, asked.driver_kills)
    found = recorded(out)
    failed = {one["id"]: one["error"] for one in found if "error" in one}
    expected = sorted(path.name for path in (folder / "in").iterdir())
    report["records"] = len(found)
    report["each once and in order"] = [one["id"] for one in found] == expected
    report["failures are the bad ones"] = failed.keys() == bad
    report["reasons"] = sorted(set(failed.values()))
    shards = [{path.name: path.read_bytes() for path in each.glob("*.jsonl")} for each in (out, *outs.values())]
    report["bytes as undisturbed"] = {n: shards[0] == other for n, other in zip(outs, shards[1:], strict=True)}
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--bad", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--driver-kills", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--backbone", default="tiny.en")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--prompt", help="'short' is several times as fast on clips of 1 to 2 s.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="Leave inputs and records in this folder.")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp()) if asked.keep is None else asked.keep
    folder.mkdir(exist_ok=True)
    try:
        report = study(asked, folder)
    finally:
        if asked.keep is None:
            shutil.rmtree(folder)
    print(json.dumps(report, indent=1))
    if asked.json is not None:
        asked.json.write_text(json.dumps(report, indent=1) + "\n")
    right = report["each once and in order"] and report["failures are the bad ones"]
    return 0 if right and report["bytes as undisturbed"][max(asked.workers)] else 1


if __name__ == "__main__":
    sys.exit(main())
