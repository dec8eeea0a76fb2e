"""Which files of softspoken a command passes through: what somebody must read who wants to follow it.

    python tools/trace_way.py -- transcribe meeting.wav --speaker anna.wav
    python tools/trace_way.py --json -- prompt train recipe.toml --out run
    python tools/trace_way.py --program pytest -- tests/training/test_target_speaker_run.py -k becomes

Runs the command in this process under `sys.setprofile` and prints to stderr, when it is done, the files entered in
order with how many of their functions were called, and how deep in softspoken the calls lie. A file counts when one of
its functions runs; those that are only imported do not.
"""

import argparse
import json
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from types import CodeType, FrameType
from typing import Any


@dataclass
class Way:
    """What was entered, in the order of the first call."""

    packages: tuple[str, ...]
    """Folders; each ends in a slash."""
    functions: dict[CodeType, int] = field(default_factory=dict)
    """Function to the number of functions of softspoken around its first call, itself included."""
    calls: int = 0

    def see(self, frame: FrameType, event: str, argument: Any) -> None:
        """A profile function: notes calls of functions in the packages."""
        code = frame.f_code
        if event != "call" or not self._ours(code):
            return
        self.calls += 1
        if code not in self.functions:
            self.functions[code] = self._depth(frame)

    def _ours(self, code: CodeType) -> bool:
        """Functions in the packages; no bodies of modules or classes, and no comprehensions."""
        function = bool(code.co_flags & _OPTIMISED) and code.co_name not in _COMPREHENSIONS
        return function and code.co_filename.startswith(self.packages)

    def _depth(self, frame: FrameType | None) -> int:
        depth = 0
        while frame is not None:
            depth += self._ours(frame.f_code)
            frame = frame.f_back
        return depth

    @property
    def files(self) -> dict[str, int]:
        """File to how many of its functions were called."""
        found: dict[str, int] = {}
        for code in self.functions:
            found[code.co_filename] = found.get(code.co_filename, 0) + 1
        return found


_OPTIMISED = 0x1
"""CO_OPTIMIZED: set for functions, lambdas and comprehensions, not for the bodies of modules and classes."""
_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


def folder_of(package: str) -> str:
    """A package's folder. Raises SystemExit when it is not installed."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"no package '{package}'; install it, or set PYTHONPATH=src")
    return f"{Path(spec.origin).parent}/"


def trace(packages: Sequence[str], program: str, words: Sequence[str]) -> Way:
    """Run a program with these words and see where it goes; its exit is ours to survive."""
    way = Way(tuple(folder_of(package) for package in packages))
    run = _PROGRAMS[program]()
    threading.setprofile(way.see)
    sys.setprofile(way.see)
    try:
        with suppress(SystemExit):
            run(list(words))
    finally:
        sys.setprofile(None)
        # Typed for profilers alone; None takes it away.
        threading.setprofile(None)  # type: ignore[arg-type]
    return way


def _softspoken() -> Any:
    from softspoken.cli.main import app

    return lambda words: app(words, standalone_mode=True)


def _laboratory() -> Any:
    from softspoken_lab.cli.main import app

    return lambda words: app(words, standalone_mode=True)


def _pytest() -> Any:
    import pytest

    return lambda words: pytest.main(["-q", "-p", "no:cacheprovider", *words])


_PROGRAMS = {"softspoken": _softspoken, "softspoken-lab": _laboratory, "pytest": _pytest}


def main() -> None:
    """Print the way of a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", choices=sorted(_PROGRAMS), default="softspoken")
    parser.add_argument("--package", action="append", help="whose files count (default: softspoken); may be repeated")
    parser.add_argument("--json", action="store_true", help="print numbers and files as JSON")
    parser.add_argument("words", nargs="+", help="the command, after '--'")
    given = parser.parse_args()
    way = trace(given.package if given.package is not None else ["softspoken"], given.program, given.words)
    depths = list(way.functions.values())
    summary = {
        "files": len(way.files),
        "functions": len(depths),
        "calls": way.calls,
        "median_depth": median(depths) if depths else 0,
        "deepest": max(depths, default=0),
    }
    if given.json:
        print(json.dumps({**summary, "entered": way.files}, indent=2), file=sys.stderr)
        return
    for number, (path, functions) in enumerate(way.files.items(), start=1):
        print(f"{number:3} {functions:3} {path}", file=sys.stderr)
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in summary.items()), file=sys.stderr)


if __name__ == "__main__":
    main()
