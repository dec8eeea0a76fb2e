"""Does every recording come in whole, or say what is missing? All of `softspoken_lab.testsets.media`, or a fuzz.

python tools/check_media.py matrix            some hundred generated files
python tools/check_media.py fuzz --count 20000   mutated files through the reader, in processes with a limit
"""

import argparse
import collections
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from softspoken.audio import SAMPLE_RATE_HZ, Recording, load_audio
from softspoken.errors import SoftspokenError
from softspoken_lab.testsets.media import FFMPEG, LIBSNDFILE, encoded, media

LONGEST_S, MOST_BYTES = 5.0, 500_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["matrix", "fuzz"])
    parser.add_argument("--count", type=int, default=20_000, help="Mutated files.")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    return matrix() if given.what == "matrix" else fuzz(given.count, given.seed)


def matrix() -> int:
    """One line a file that is not read as it must be."""
    counts: collections.Counter[str] = collections.Counter()
    for medium in media():
        try:
            seconds = len(load_audio(Recording.of(medium.content))) / SAMPLE_RATE_HZ
            # Encoders of raw frames pad: nobody can tell their silence from sound.
            verdict = "read" if -0.1 < seconds - medium.seconds < 0.35 else "wrong length"
        except SoftspokenError as error:
            seconds, verdict = 0.0, "refused" if medium.expected == "refused" else f"refused though whole: {error}"
        except Exception as error:
            seconds, verdict = 0.0, f"crashed: {error!r}"
        counts[f"{medium.expected}: {verdict.split(':')[0]}"] += 1
        if verdict not in ("refused", "read"):
            print(f"{medium.name}: {verdict} ({seconds:.2f} s of {medium.seconds:.2f} s)")
    print(dict(counts))
    return int(any(not outcome.endswith((": read", ": refused")) for outcome in counts))


def fuzz(count: int, seed: int) -> int:
    """Mutated files, some hundred a process; what ends a process is counted, too."""
    seeds = {
        kind: encoded(kind, 48_000 if kind == "mka" else 16_000, 1, seconds=1.0) for kind in [*LIBSNDFILE, *FFMPEG]
    }
    totals: collections.Counter[str] = collections.Counter()
    slowest, largest, done = 0.0, 0, 0
    while done < count:
        batch = min(250, count - done)
        ours, theirs = multiprocessing.Pipe(duplex=False)
        worker = multiprocessing.get_context("fork").Process(target=_work, args=(theirs, seeds, seed + done, batch))
        worker.start()
        theirs.close()
        answers = 0
        while answers < batch:
            try:
                if not ours.poll(60):
                    totals["hang over 60 s"] += 1
                    worker.kill()
                    break
                verdict, seconds, peak = ours.recv()
            except EOFError:
                totals[f"process ended ({worker.exitcode})"] += 1
                print(f"a crash at file {seed + done + answers}")
                break
            answers += 1
            totals[verdict] += 1
            slowest, largest = max(slowest, seconds), max(largest, peak)
        worker.join()
        done += max(answers, 1) if answers < batch else batch
    print(f"{done} files: {dict(totals)}; slowest {slowest:.2f} s, largest {largest / 1e6:.0f} MB")
    good = {"read", "refused"}
    return 0 if set(totals) <= good else 1


def _work(pipe: Any, seeds: dict[str, bytes], first: int, count: int) -> None:
    import logging

    logging.disable(logging.WARNING)
    kinds = list(seeds)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            rng = np.random.default_rng(number)
            content = mutated(seeds[kinds[number % len(kinds)]], rng)
            path = Path(folder) / f"{number}.bin"
            path.write_bytes(content)
            start = time.process_time()
            try:
                load_audio(Recording.of(path, partial=bool(number % 2)))
                verdict = "read"
            except SoftspokenError as error:
                verdict = "refused" if "\n" not in str(error) else "error of several lines"
            except Exception as error:
                verdict = f"{type(error).__name__}: {error}"[:100]
                print(number, verdict, file=sys.stderr)
            seconds = time.process_time() - start  # others may be using the processor; 60 s of waiting are a hang
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if seconds > LONGEST_S:
                verdict = "slow"
                print(number, f"{seconds:.1f} s", file=sys.stderr)
            if peak > MOST_BYTES:
                verdict = "large"
            path.unlink()
            pipe.send((verdict, seconds, peak))


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed (most of them in the header), cut out, doubled, cut off."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 12))):
        size = len(changed)
        place = int(rng.integers(0, min(size, 512) if rng.random() < 0.6 else size))
        length = int(rng.integers(1, 64))
        kind = int(rng.integers(0, 6))
        if kind == 0:
            changed[place] = int(rng.integers(0, 256))
        elif kind == 1:
            changed[place : place + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
        elif kind == 2:
            changed[place : place + length] = rng.bytes(length)
        elif kind == 3:
            del changed[place : place + length]
        elif kind == 4:
            changed[place:place] = changed[int(rng.integers(0, size)) :][: int(rng.integers(1, 4096))]
        elif size > 64:
            del changed[int(rng.integers(32, size)) :]
        if not changed:
            return b"\0"
    return bytes(changed)


if __name__ == "__main__":
    sys.exit(main())
