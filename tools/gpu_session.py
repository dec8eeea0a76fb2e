"""A training on a machine without a network, within so many minutes, with nobody watching.

    python tools/gpu_session.py receive build/gpu/1 --into /tmp/softspoken      # each part, as it comes
    python tools/gpu_session.py run --into /tmp/softspoken --minutes 9 --out out

`run` installs the wheels, tests what needs CUDA, and trains base by `recipes/target-speaker/gpu-base.toml` for the rest
of the time. What is to be taken home is put into `out` every two minutes: log.txt, the run's last and best state (a few
megabytes each), and run.zip with its other files. Unpacked together they are the run's folder. Without CUDA it does the
same on a small scale.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from gpu_parts import missing_parts, receive, restore_weights

REPOSITORY = Path(__file__).resolve().parent.parent
RECIPES = REPOSITORY / "recipes" / "target-speaker"
TESTS = ("tests/data/test_device_mixing.py", "tests/training/test_on_cuda.py")
ENDING_S, ENDING_ON_CPU_S = 40.0, 80.0
"""Behind the last step: the last validation, and the prompt."""
TRIAL_S, TRIAL_ON_CPU_S = 60.0, 20.0
"""Of a backbone that is only timed, reading of the speech included."""
KEEP_EVERY_S = 120.0
STATES = ("last.safetensors", "best.safetensors")
TESTS_S = 90
SMALL = {
    "mixtures_per_batch": 2,
    "pool": 4,
    "workers": 0,
    "warmup_steps": 2,
    "validate_every": 10**6,
    "save_every": 2,
    "log_every": 1,
}
"""The scale without CUDA."""


class Session:
    """The steps of `run`, all of which write to the log."""

    def __init__(self, into: Path, out: Path, minutes: float) -> None:
        self.into, self.out = into.resolve(), out.resolve()
        self.ends = time.monotonic() + 60 * minutes
        self.out.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{self.into / 'site'}",
            "SOFTSPOKEN_CACHE": str(self.into / "cache"),
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "100",
        }

    @property
    def left_s(self) -> float:
        return self.ends - time.monotonic()

    def say(self, text: str) -> None:
        line = f"[{self.left_s:4.0f} s left] {text}"
        print(line, flush=True)
        with (self.out / "log.txt").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def call(self, what: str, command: list[str], limit_s: float, cwd: Path) -> bool:
        """Run a program, its words in the log; whether it ended well and in time."""
        self.say(what)
        begun = kept = time.monotonic()
        with (self.out / "log.txt").open("ab") as log:
            running = subprocess.Popen(command, cwd=cwd, env=self.environment, stdout=log, stderr=log)
            while running.poll() is None:
                time.sleep(0.2)
                now = time.monotonic()
                if now - begun > limit_s:
                    running.kill()
                if now - kept > KEEP_EVERY_S:
                    keep(self.run_folder, self.out)
                    kept = now
        self.say(
            f"{what}: {'done' if running.returncode == 0 else f'ended with {running.returncode}'}, {now - begun:.0f} s"
        )
        return running.returncode == 0

    @property
    def run_folder(self) -> Path:
        return self.into / "run"

    def prepare(self) -> None:
        """Weights joined, wheels installed beside the machine's own packages."""
        if missing := missing_parts(self.into):
            raise SystemExit(f"parts {missing} have not been received in '{self.into}'")
        for path in restore_weights(self.into):
            self.say(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB")
        wheels = sorted(str(path) for path in (self.into / "wheels").glob("*.whl"))
        if wheels and not (self.into / "site").is_dir():
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
            install += ["--disable-pip-version-check", "--target", str(self.into / "site"), *wheels]
            if not self.call(f"{len(wheels)} wheels", install, 60, self.into):
                raise SystemExit("the wheels cannot be installed; see log.txt")

    def has_cuda(self) -> bool:
        asked = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
        found = subprocess.run([sys.executable, "-c", asked], env=self.environment, capture_output=True, text=True)
        self.say(f"device: {found.stdout.strip() or 'no CUDA, a small scale'}")
        return bool(found.stdout.strip())

    def train(self, backbone: str, run: Path, seconds: float, cuda: bool, limit_s: float) -> bool:
        """By the recipe, on the data that was received, for so many seconds, reading of the data included."""
        changes: dict[str, object] = {"backbone": backbone, "minutes": round(seconds / 60, 3)}
        if not cuda:
            changes |= SMALL
        recipe = self.into / f"{run.name}.toml"
        recipe.write_text(recipe_text(changes), encoding="utf-8")
        command = [sys.executable, "-m", "softspoken.cli.main", "prompt", "train", str(recipe), "--out", str(run)]
        ended = self.call(f"{backbone}, {seconds:.0f} s", command, limit_s, self.into)
        self.say(f"{backbone}: {pace(run)}")
        return ended


def recipe_text(changes: dict[str, object]) -> str:
    """A recipe that extends the one for GPUs."""
    lines = [f"extends = {json.dumps(str(RECIPES / 'gpu-base.toml'))}"]
    return "\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in changes.items())]) + "\n"


def keep(run: Path, out: Path) -> None:
    """Copy a run's states to `out`, and its small files as run.zip."""
    if not run.is_dir():
        return
    for name in STATES:
        if (run / name).is_file():
            partial = out / f"{name}.part"
            shutil.copyfile(run / name, partial)
            os.replace(partial, out / name)
    with zipfile.ZipFile(out / "run.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in run.rglob("*") if path.is_file() and path.name not in STATES):
            archive.write(path, path.relative_to(run))


def pace(run: Path) -> str:
    """What the log of a run says of it: steps, targets a second, losses."""
    try:
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "no step was made"
    if not lines:
        return "no step was made"
    steady = sorted(line["examples_per_s"] for line in lines[len(lines) // 4 :])
    first, last = lines[0], lines[-1]
    return (
        f"{last['step']} steps in {last['seconds']:.0f} s, {steady[len(steady) // 2]:.0f} targets/s in the median, "
        f"loss {first['loss']:.3f} -> {last['loss']:.3f}"
    )


def run(asked: argparse.Namespace) -> int:
    session = Session(asked.into, asked.out, asked.minutes)
    session.prepare()
    cuda = session.has_cuda()
    ending_s, trial_s = (ENDING_S, TRIAL_S) if cuda else (ENDING_ON_CPU_S, TRIAL_ON_CPU_S)
    session.call("tests", [sys.executable, "-m", "pytest", *TESTS, "-m", "cuda"], TESTS_S, REPOSITORY)
    first, *others = asked.backbone
    for name in others:
        session.train(name, session.into / f"trial-{name}", trial_s, cuda, trial_s + ending_s)
    main_s = session.left_s - ending_s
    if main_s < trial_s:
        session.say("no time is left for the run")
        return 1
    ended = session.train(first, session.run_folder, main_s, cuda, session.left_s - 3)
    keep(session.run_folder, session.out)
    session.say(
        "kept: "
        + ", ".join(f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in sorted(session.out.iterdir()))
    )
    return 0 if ended else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    part = commands.add_parser("receive", help="verify and unpack parts")
    part.add_argument("parts", type=Path, nargs="+")
    part.add_argument("--into", type=Path, required=True)
    whole = commands.add_parser("run", help="test, measure and train, once all parts are there")
    whole.add_argument("--into", type=Path, required=True)
    whole.add_argument("--minutes", type=float, required=True, help="in all, from now on")
    whole.add_argument("--out", type=Path, required=True, help="what is to be taken home")
    whole.add_argument("--backbone", nargs="+", default=["base"], help="the one to train; others are only timed")
    whole.set_defaults(do=run)
    asked = parser.parse_args()
    if hasattr(asked, "do"):
        return int(run(asked))
    for folder in asked.parts:
        number, count = receive(folder, asked.into)
        print(f"part {number} of {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
