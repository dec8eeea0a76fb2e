"""Answers that are kept: an evaluation that was killed goes on, and one that is done is there at once.

What an answer depends on is its name: the method (`Method.identity`), the bytes of the item's recordings, the version
of softspoken, and its source code, so that who works on it never sees the answers of yesterday's code. The words that
are expected are not a part of it; scores are computed anew each time.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from softspoken.decoding.result import Transcript
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.evaluation.stage_cache import StageCache, digest_of_file
from softspoken.packages import cache_folder

STAGE = "answer"
Identity = Mapping[str, Any]
"""See `Method.identity`."""


class KeptTranscript(BaseModel):
    """What a method wrote for one item, as kept on disk."""

    # Log-probabilities may be infinite.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    transcript: Transcript


class KeptAnswers:
    """The answers of methods that say what these depend on, a file an item. `note`: see `StageCache`."""

    def __init__(self, folder: Path, note: Callable[[str], None], anew: bool = False) -> None:
        """`anew`: nothing is read, but written all the same. Raises ConfigError when `folder` cannot be made."""
        self._cache = StageCache(folder, note)
        self._anew = anew
        self._digests: dict[Path, str] = {}

    @classmethod
    def beside(cls, manifest: Path, note: Callable[[str], None], anew: bool = False) -> "KeptAnswers":
        """In a folder beside the manifest, named after it; in the user's cache where that cannot be written."""
        folder = manifest.with_suffix(".answers")
        writable = os.access(folder if folder.is_dir() else manifest.parent, os.W_OK)
        return cls(folder if writable else cache_folder() / "answers", note, anew)

    def find(self, method: str, identity: Identity, item: EvaluationItem) -> tuple[Transcript, float] | None:
        """What was written, and in how many seconds; None: nothing is kept, or it is not whole.

        Raises DataError when a recording cannot be read.
        """
        if self._anew:
            return None
        found = self._cache.find(STAGE, self._inputs(method, identity, item), KeptTranscript)
        return None if found is None else (found.result.transcript, found.seconds)

    def keep(
        self, method: str, identity: Identity, item: EvaluationItem, transcript: Transcript, seconds: float
    ) -> None:
        """Write it, whole or not at all."""
        inputs = self._inputs(method, identity, item)
        self._cache.keep(STAGE, inputs, KeptTranscript(transcript=transcript), seconds)

    def _inputs(self, method: str, identity: Identity, item: EvaluationItem) -> dict[str, object]:
        recordings = (item.audio, item.enrolment, item.clean)
        return {
            "code": code_digest(),
            # A prompt is known by its digest wherever it lies; other methods are told apart by their names.
            "method": None if "digest" in identity else method,
            "identity": dict(identity),
            "recordings": [None if path is None else self._digest(path) for path in recordings],
        }

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = digest_of_file(path)
        return self._digests[path]


@cache
def code_digest() -> str:
    """SHA-256 over the source code of this package."""
    home = Path(__file__).parents[1]
    found = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        found.update(f"{path.relative_to(home).as_posix()}\n".encode() + path.read_bytes())
    return found.hexdigest()
