"""Stages of long work, kept on disk: what was interrupted goes on where it was, what changed is done again.

A stage's file is named after everything that its result depends on, and holds that again with a digest of the result.
Nothing in it is believed before it is checked; what fails is computed again.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from softspoken import __version__
from softspoken.decoding.result import Transcript
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.files import replace_text
from softspoken.packages import cache_folder

FORMAT = 1
"""Version of the files; others are not read."""
_Result = TypeVar("_Result", bound=BaseModel)


@dataclass(frozen=True)
class Done(Generic[_Result]):
    """A stage's result, how long it took to compute, and whether that was now."""

    result: _Result
    seconds: float
    kept: bool
    """It was read from the disk."""


class StageCache:
    """Results by what they depend on, one JSON file each. `note` is told what could not be read or written."""

    def __init__(self, folder: Path, note: Callable[[str], None]) -> None:
        """Raises ConfigError when `folder` cannot be made."""
        self.folder = folder
        self._note = note
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot keep results in '{folder}' ({error.strerror}); give another folder with --cache"
            ) from error

    def get(
        self, stage: str, inputs: Mapping[str, Any], kind: type[_Result], compute: Callable[[], _Result]
    ) -> Done[_Result]:
        """What is kept for these inputs, or else what `compute` returns, which is then kept.

        `inputs`: all that the result depends on, as plain JSON values. The version of softspoken is one more.
        """
        found = self.find(stage, inputs, kind)
        if found is not None:
            return found
        begun = time.monotonic()
        result = compute()
        seconds = time.monotonic() - begun
        self.keep(stage, inputs, result, seconds)
        return Done(result, seconds, kept=False)

    def find(self, stage: str, inputs: Mapping[str, Any], kind: type[_Result]) -> Done[_Result] | None:
        """What is kept, if it is there and whole."""
        path = self.path(stage, inputs)
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note(f"'{path}' cannot be read ({error.strerror}); {stage} is computed again")
            return None
        try:
            content = json.loads(text)
            if content["format"] != FORMAT or content["inputs"] != _all_inputs(stage, inputs):
                raise ValueError("it belongs to other inputs")
            if content["sha256"] != digest_of(content["result"]):
                raise ValueError("its digest is another one")
            result = kind.model_validate_json(json.dumps(content["result"]))
            return Done(result, float(content["seconds"]), kept=True)
        except ValidationError:
            problem = f"not a {kind.__name__}"
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            problem = " ".join(str(error).split())
        self._note(f"'{path}' is damaged ({problem}); {stage} is computed again")
        return None

    def keep(self, stage: str, inputs: Mapping[str, Any], result: BaseModel, seconds: float) -> None:
        """Write it, whole or not at all. A full disk costs the cache, not the work."""
        path = self.path(stage, inputs)
        plain = json.loads(result.model_dump_json())
        content = {
            "format": FORMAT,
            "inputs": _all_inputs(stage, inputs),
            "seconds": seconds,
            "sha256": digest_of(plain),
            "result": plain,
        }
        try:
            replace_text(path, json.dumps(content))
        except OSError as error:
            self._note(f"'{path}' cannot be written ({error.strerror}); {stage} is not kept")

    def path(self, stage: str, inputs: Mapping[str, Any]) -> Path:
        """Where a stage with these inputs is kept."""
        return self.folder / f"{stage}-{digest_of(_all_inputs(stage, inputs))[:20]}.json"


def _all_inputs(stage: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    # Through JSON, so that tuples and numbers as keys compare equal to what was read.
    plain: dict[str, Any] = json.loads(json.dumps({"stage": stage, "softspoken": __version__, **inputs}))
    return plain


def digest_of(value: Any) -> str:
    """SHA-256 of plain JSON values; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of its content. Raises DataError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}); fetch it again or leave it out") from error


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
