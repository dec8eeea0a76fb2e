"""The parent's side of a contender's process."""

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

from softspoken_lab.bench.contract import AbsentError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_GRACE_S = 5.0


class WorkerProcess:
    """A contender in a process that stays alive between questions. Raises AbsentError with its reason."""

    def __init__(self, factory: str, arguments: dict[str, Any], threads: int, timeout_s: float) -> None:
        """Start it and load the contender; see `contract` for what `factory` is."""
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
        environment |= {"TOKENIZERS_PARALLELISM": "false", "PYTHONIOENCODING": "utf-8"}
        self._timeout_s = timeout_s
        self._process = subprocess.Popen(
            [sys.executable, "-m", "softspoken_lab.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._collect, daemon=True).start()
        try:
            self.ask({"op": "load", "factory": factory, "arguments": arguments, "threads": threads})
        except BaseException:
            self.close()
            raise

    def _collect(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to one question."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=self._timeout_s)
        except queue.Empty:
            self._process.kill()
            raise AbsentError(f"no answer in {self._timeout_s:g} s") from None
        except OSError:
            line = ""
        if not line:
            raise AbsentError(f"its process ended (exit code {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise AbsentError(answer["reason"])
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
