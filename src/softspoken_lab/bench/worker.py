"""The process of one contender: questions as JSON lines on standard input, an answer to each on standard output.

    {"op": "load", "factory": "module:function", "arguments": {...}, "threads": 2}
    {"op": "prepare", "task": name, "held": true, "items": [{"audio": path, "voices": [path], "tokens": [n]}]}
    {"op": "run", "task": name, "together": false}

Every answer has "ok"; where it is false, "reason" says why in one line. A run answers with `seconds`, `first_s` (by
item, until its first piece of text), `texts` (by item and voice) and `peak_rss_mb` (megabytes, null where it is not
known).
Standard output is kept from the libraries: what they print goes to standard error.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from softspoken_lab.bench.contract import Contender, Item

_LONGEST_REASON = 200
_KIB = 1024


class Served:
    """A contender and the tasks it has been told of."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._tasks: dict[str, list[tuple[Any, int]]] = {}

    def prepare(self, question: dict[str, Any]) -> dict[str, Any]:
        items = [item_of(given, held=question["held"]) for given in question["items"]]
        self._tasks[question["task"]] = [(self._contender.prepare(item), max(len(item.voices), 1)) for item in items]
        return {}

    def run(self, question: dict[str, Any]) -> dict[str, Any]:
        items = self._tasks[question["task"]]
        forget_peak()
        first_s: list[float] = []
        begin = time.perf_counter()
        if question["together"]:
            texts = [[text] for text in self._contender.hear_together([prepared for prepared, _ in items])]
            first_s = [time.perf_counter() - begin] * len(items)
        else:
            texts = []
            for prepared, voices in items:
                first, parts = self._hear(prepared, voices)
                first_s.append(first)
                texts.append([" ".join(part.split()) for part in parts])
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "first_s": first_s, "texts": texts, "peak_rss_mb": peak_rss_mb()}

    def _hear(self, prepared: Any, voices: int) -> tuple[float, list[str]]:
        parts = [""] * voices
        begin, first = time.perf_counter(), None
        for voice, text in self._contender.hear(prepared):
            first = time.perf_counter() - begin if first is None else first
            parts[voice] += " " + text
        # Nothing was written: that is known at the end.
        return time.perf_counter() - begin if first is None else first, parts


def item_of(given: dict[str, Any], held: bool) -> Item:
    """The item that a question describes, its audio read now if it is to be `held`."""
    path = Path(given["audio"])
    return Item(
        audio=read(path) if held else path,
        voices=tuple(read(Path(voice)) for voice in given["voices"]),
        tokens=tuple(given["tokens"]),
    )


def read(path: Path) -> Any:
    import soundfile

    return np.asarray(soundfile.read(path, dtype="float32")[0])


def load(question: dict[str, Any]) -> Served:
    module, _, name = question["factory"].partition(":")
    contender = getattr(importlib.import_module(module), name)(**question["arguments"], threads=question["threads"])
    return Served(contender)


def forget_peak() -> None:
    """Let the highest memory be counted from here, where the system can do that (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_rss_mb() -> float | None:
    """Highest resident memory since `forget_peak`, or of the process's whole life where that is all there is."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * _KIB / 1e6 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * _KIB / 1e6


def reason_of(error: BaseException) -> str:
    """Why, in one line."""
    said = " ".join(str(error).split())[:_LONGEST_REASON]
    expected = type(error).__module__.startswith(("softspoken.", "softspoken_lab."))
    kind = "" if expected and said else type(error).__name__
    return ": ".join(part for part in (kind, said) if part)


def serve(questions: IO[str], answers: IO[str]) -> None:
    """Answer until there are no more questions."""
    served: Served | None = None
    for line in questions:
        question = json.loads(line)
        try:
            if question["op"] == "load":
                served, found = load(question), {}
            elif served is None:
                raise RuntimeError("asked before anything was loaded")
            else:
                found = served.prepare(question) if question["op"] == "prepare" else served.run(question)
            answer = {"ok": True, **found}
        except Exception as error:  # whatever a library raises is what the table shows
            answer = {"ok": False, "reason": reason_of(error)}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
