"""Read damaged files of every kind, many of each, in a process whose memory is limited.

    python tools/fuzz.py [NAME...] [--count 2000] [--seed 1] [--memory-mb 1500] [--json FILE]

Each must be taken, or refused with one of our own errors in one line. The first other outcome of a kind is printed with
its traceback, and the file is kept as build/fuzz/NAME.bin. Exit code 1 if there was any. Linux.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
import traceback
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fuzz_targets import TARGETS, attempts

KEPT = Path(__file__).resolve().parent.parent / "build" / "fuzz"


def fuzzed(name: str, count: int, seed: int) -> dict[str, Any]:
    """What became of so many files of one kind."""
    outcome = {"taken": 0, "refused": 0, "crashed": 0}
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            for taken in islice(attempts(name, Path(folder), seed), count):
                outcome["taken" if taken else "refused"] += 1
        except Exception:
            outcome["crashed"] += 1
            traceback.print_exc()
            damaged = max((p for p in Path(folder).rglob("*") if p.is_file()), key=lambda p: p.stat().st_mtime_ns)
            KEPT.mkdir(parents=True, exist_ok=True)
            (KEPT / f"{name.replace(' ', '-')}.bin").write_bytes(damaged.read_bytes())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return outcome | {"seconds": round(time.monotonic() - begun, 1), "peak_mb": round(peak_mb)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*TARGETS, []])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-mb", type=int, default=1500, help="How much this process may grow.")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = held + asked.memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    report = {}
    for name in asked.names or TARGETS:
        report[name] = fuzzed(name, asked.count, asked.seed)
        print(f"{name:22} {report[name]}", flush=True)
    total = {key: sum(row[key] for row in report.values()) for key in ("taken", "refused", "crashed")}
    print(total)
    if asked.json is not None:
        asked.json.write_text(json.dumps({"total": total, "kinds": report}, indent=1) + "\n")
    return 1 if total["crashed"] else 0


if __name__ == "__main__":
    sys.exit(main())
