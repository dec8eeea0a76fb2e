"""What stands in for transcription in tests of bulk work: a text file's words are its record, or what it does."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softspoken.bulk import Item, Work
from softspoken.errors import AudioError, BackboneError


def record(item: Item) -> dict[str, Any]:
    text = Path(item.path).read_text()
    if text == "bad":
        raise AudioError(f"'{item.id}' is bad")
    if text == "fault":
        raise ZeroDivisionError("a fault\nof ours")
    if text == "kills":
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "kills once":
        Path(item.path).write_text("survived")
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "slow":
        time.sleep(0.05)
    return {"text": text, "duration_s": 1.0}


@dataclass(frozen=True)
class LoadWork:
    how: str = "well"

    def __call__(self) -> Work:
        if self.how == "not":
            raise BackboneError("no such model; name another")
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return record
