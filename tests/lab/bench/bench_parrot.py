"""A contender for a process of its own. It imports little, so that tests need not wait for torch."""

import os
import sys
import time
from collections.abc import Iterator, Sequence

from softspoken_lab.bench.contract import AbsentError, Contender, Item


class Parrot(Contender):
    """Writes how long each recording is, in two pieces; `fault` says what goes wrong."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def hear(self, prepared: Item) -> Iterator[tuple[int, str]]:
        print("libraries talk")
        if self._fault == "raises":
            raise ValueError("first line\nsecond line")
        if self._fault == "dies":
            sys.exit(3)
        if self._fault == "hangs":
            time.sleep(60)
        for voice in range(max(len(prepared.voices), 1)):
            yield voice, "one "
            time.sleep(0.02)
            yield voice, f" two {threads_said()}"

    def hear_together(self, prepared: Sequence[Item]) -> list[str]:
        return [f"number {index}" for index, _ in enumerate(prepared)]


def threads_said() -> str:
    return os.environ["OMP_NUM_THREADS"]


def parrot(threads: int, fault: str = "") -> Contender:
    if fault == "absent":
        raise AbsentError("no such engine")
    return Parrot(fault)
