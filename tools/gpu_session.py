"""Trainings on a machine without a network, within so many minutes, with nobody watching.

    python tools/gpu_session.py receive build/gpu/1 --into /tmp/softspoken      # each part, as it comes
    python tools/gpu_session.py read --into /tmp/softspoken      # beside the last parts, once all speech has come
    python tools/gpu_session.py test --into /tmp/softspoken                     # what is marked cuda; needs part 1
    python tools/gpu_session.py run --into /tmp/softspoken --minutes 9 --out out --lane base --lane paper lora full

`run` trains rows of `recipes/target-speaker/gpu.toml`: those of a lane one after the other, all lanes at the same time,
for one run alone leaves a GPU waiting. A row that ends by the clock takes
the time that is left. What is to be taken home is put into `out` every minute: log.txt, and of each lane a zip file
with the folders of its runs. Without CUDA it does the same on a small scale.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

from gpu_parts import missing_parts, receive, restore_weights

REPOSITORY = Path(__file__).resolve().parent.parent
RECIPE = REPOSITORY / "recipes" / "target-speaker" / "gpu.toml"
TESTS = ("tests/lab/training/test_device_mixing.py", "tests/training/test_on_cuda.py")
TESTS_S = 120
ENDING_S, ENDING_ON_CPU_S = 30.0, 80.0
"""Behind the last step: the last validation, and the prompt."""
KEEP_EVERY_S = 60.0
LARGEST_KEPT = 10_000_000
"""Bytes of a file that is taken home; states of all weights have more."""
SMALL = {
    "mixtures_per_batch": 2,
    "pool": 4,
    "workers": 0,
    "warmup_steps": 2,
    "validate_every": 10**6,
    "save_every": 2,
    "log_every": 1,
    "steps": 4,
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
            "OMP_NUM_THREADS": "1",
            # Batches of all sizes leave gaps in the memory.
            "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
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
        """Run a program, its words in a log of its own, their end in the session's where it failed."""
        begun = time.monotonic()
        path = self.into / "logs" / f"{what}.txt"
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as log:
            running = subprocess.Popen(command, cwd=cwd, env=self.environment, stdout=log, stderr=log)
            try:
                running.wait(max(limit_s, 0.0))
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
        ended = running.returncode
        self.say(f"{what}: {'done' if ended == 0 else f'ended with {ended}'}, {time.monotonic() - begun:.0f} s")
        if ended:
            self.say(path.read_text(encoding="utf-8", errors="replace")[-3000:])
        return ended == 0

    def prepare(self) -> None:
        """Weights joined, wheels installed beside the machine's own packages."""
        if missing := missing_parts(self.into):
            raise SystemExit(f"parts {missing} have not been received in '{self.into}'")
        for path in restore_weights(self.into):
            self.say(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB")
        self.prepare_site()

    def prepare_site(self) -> None:
        """The wheels installed beside the machine's own packages."""
        wheels = sorted(str(path) for path in (self.into / "wheels").glob("*.whl"))
        if wheels and not (self.into / "site").is_dir():
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
            install += ["--disable-pip-version-check", "--target", str(self.into / "site"), *wheels]
            if not self.call("wheels", install, 60, self.into):
                raise SystemExit("the wheels cannot be installed; see log.txt")

    def has_cuda(self) -> bool:
        asked = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
        found = subprocess.run([sys.executable, "-c", asked], env=self.environment, capture_output=True, text=True)
        self.say(f"device: {found.stdout.strip() or 'no CUDA, a small scale'}")
        return bool(found.stdout.strip())

    def lane(self, number: int, rows: list[str], cuda: bool) -> None:
        """Train these rows one after the other, as long as there is time."""
        ending_s = ENDING_S if cuda else ENDING_ON_CPU_S
        for row in rows:
            run = self.into / "runs" / f"lane-{number}" / row
            seconds = self.left_s - ending_s
            if seconds < 0:
                self.say(f"{row}: no time is left")
                return
            changes: dict[str, object] = {}
            if row in BY_THE_CLOCK:
                changes["minutes"] = round(seconds / 60, 3)
            if not cuda:
                changes |= SMALL
            recipe = self.into / f"{row}.toml"
            recipe.write_text(recipe_text(row, changes), encoding="utf-8")
            command = [sys.executable, "-m", "softspoken_lab.cli.main", "train", str(recipe), "--out", str(run)]
            self.call(row, command, self.left_s - 5, self.into)
            self.say(f"{row}: {pace(run)}")

    def keep(self) -> None:
        """Copy what is to be taken home to `out`: a zip file for each lane."""
        for lane in sorted((self.into / "runs").glob("lane-*")):
            partial = self.out / f"{lane.name}.zip.part"
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(path for path in lane.rglob("*") if kept(path)):
                    archive.write(path, path.relative_to(lane))
            os.replace(partial, self.out / f"{lane.name}.zip")


def used() -> str:
    """Memory and share of time in use, of the GPU."""
    asked = ["nvidia-smi", "--query-gpu=memory.used,utilization.gpu", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip()


def kept(path: Path) -> bool:
    """Whether a file of a run is taken home: where there is a prompt, the states that it came from are not."""
    if not path.is_file() or path.stat().st_size > LARGEST_KEPT or path.suffix in (".tmp", ".part"):
        return False
    ended = (path.parent / "prompt").is_dir() and path.parent.name not in BY_THE_CLOCK
    return not (ended and path.name in STATES)


BY_THE_CLOCK = ("base", "tiny.en")
STATES = ("last.safetensors", "best.safetensors")


def recipe_text(row: str, changes: dict[str, object]) -> str:
    """A recipe that extends a row of the one for GPUs."""
    lines = [f"extends = {json.dumps(f'{RECIPE}:{row}')}"]
    return "\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in changes.items())]) + "\n"


def pace(run: Path) -> str:
    """What the log of a run says of it: steps, targets a second, losses."""
    try:
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "no step was made"
    if not lines:
        return "no step was made"
    steady = sorted(line["examples_per_s"] for line in lines[len(lines) // 4 :] if "examples_per_s" in line)
    if not steady:
        return "only validated"
    first, last = lines[0], lines[-1]
    return (
        f"{last['step']} steps in {last['seconds']:.0f} s, {steady[len(steady) // 2]:.0f} targets/s in the median, "
        f"loss {first['loss']:.3f} -> {last['loss']:.3f}, states {last.get('states', 0):.3f}, "
        f"wer {last.get('valid/wer', float('nan')):.3f}"
    )


READ = """
import sys
from pathlib import Path
from softspoken.data.corpus import load_corpus
from softspoken.data.examples import MixtureDataset
from softspoken.data.manifest import read_noises, read_texts
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.training.resident import read_all

config = read_any_recipe(Path(sys.argv[1]))
data = config.data
texts = read_texts(data.texts)
dataset = MixtureDataset(load_corpus(data), texts, None, None, config.mixing, 0, 1, read_noises(data.noise))
read_all(dataset, file=data.resident)
"""


def read(asked: argparse.Namespace) -> int:
    """The speech as every run needs it, read once for all of them."""
    session = Session(asked.into, asked.into, 5)
    session.prepare_site()
    recipe = session.into / "read.toml"
    recipe.write_text(recipe_text(BY_THE_CLOCK[0], {}), encoding="utf-8")
    return 0 if session.call("read", [sys.executable, "-c", READ, str(recipe)], 200, session.into) else 1


def test(asked: argparse.Namespace) -> int:
    session = Session(asked.into, asked.into, 5)
    session.prepare_site()
    session.has_cuda()
    return (
        0 if session.call("tests", [sys.executable, "-m", "pytest", *TESTS, "-m", "cuda"], TESTS_S, REPOSITORY) else 1
    )


def run(asked: argparse.Namespace) -> int:
    session = Session(asked.into, asked.out, asked.minutes)
    session.prepare()
    cuda = session.has_cuda()
    shutil.rmtree(session.into / "runs", ignore_errors=True)
    lanes = [
        threading.Thread(target=session.lane, args=(number, rows, cuda), daemon=True)
        for number, rows in enumerate(asked.lane, 1)
    ]
    for lane in lanes:
        lane.start()
    next_keep = time.monotonic() + KEEP_EVERY_S
    while any(lane.is_alive() for lane in lanes) and session.left_s > 0:
        time.sleep(0.5)
        if time.monotonic() > next_keep:
            session.keep()
            next_keep += KEEP_EVERY_S
            if cuda:
                session.say(used())
    session.keep()
    sizes = (f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in sorted(session.out.iterdir()))
    session.say("kept: " + ", ".join(sizes))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    part = commands.add_parser("receive", help="verify and unpack parts")
    part.add_argument("parts", type=Path, nargs="+")
    part.add_argument("--into", type=Path, required=True)
    tests = commands.add_parser("test", help="run the tests marked cuda")
    tests.add_argument("--into", type=Path, required=True)
    tests.set_defaults(do=test)
    reads = commands.add_parser("read", help="read the speech once for all runs")
    reads.add_argument("--into", type=Path, required=True)
    reads.set_defaults(do=read)
    whole = commands.add_parser("run", help="train, once all parts are there")
    whole.add_argument("--into", type=Path, required=True)
    whole.add_argument("--minutes", type=float, required=True, help="in all, from now on")
    whole.add_argument("--out", type=Path, required=True, help="what is to be taken home")
    whole.add_argument("--lane", nargs="+", action="append", required=True, help="rows, one after the other")
    whole.set_defaults(do=run)
    asked = parser.parse_args()
    if hasattr(asked, "do"):
        return int(asked.do(asked))
    for folder in asked.parts:
        number, count = receive(folder, asked.into)
        print(f"part {number} of {count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
