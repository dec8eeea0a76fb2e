"""Scores of runs on test manifests, kept in their folders: `evaluations/NAME.jsonl`, and the sums in `NAME.json`.

A killed scoring goes on where it was; what is there for the same state and the same manifest is not made again.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from softspoken import __version__
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.evaluation.runner import Method, MethodResult, run_method, write_items
from softspoken.files import replace_bytes, replace_text
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import UtteranceScore, summarize
from softspoken.training.loop import BEST, STATE
from softspoken.training.run_folder import read_json
from softspoken.training.state import read_progress

EVALUATIONS = "evaluations"
PART_ITEMS = 10
"""Items after which a scoring that is killed can go on."""
Tell = Callable[[str], None]
StateChoice = Literal["best", "last"]


class ScoringStopped(Exception):
    """The time is up; what was scored is kept."""


@dataclass(frozen=True)
class TestManifest:
    """A test: a manifest, possibly only its first items, under a name."""

    __test__ = False  # not a test of pytest's

    name: str
    path: Path
    limit: int | None = None

    @classmethod
    def of(cls, path: Path, name: str | None = None, limit: int | None = None) -> "TestManifest":
        """Named after its folder (or its file, where that has a name of its own), unless `name` says otherwise."""
        found = path.parent.resolve().name if path.stem == "manifest" else path.stem
        if limit is not None:
            found += f"-first{limit}"
        chosen = found if name is None else name
        if not chosen or chosen != Path(chosen).name or chosen.startswith("."):
            raise ConfigError(f"'{chosen}' cannot name an evaluation; give a word that can be the name of a file")
        return cls(chosen, path, limit)

    @cached_property
    def items(self) -> tuple[EvaluationItem, ...]:
        """Raises DataError as `read_evaluation_manifest` does."""
        return read_evaluation_manifest(self.path)[: self.limit]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest. Raises DataError as `items` does."""
        _ = self.items
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @cached_property
    def talkers(self) -> dict[str, str]:
        """Item to the talker who is its target, as far as the manifest says so ("target", else "speaker")."""
        found = {}
        for number, line in enumerate(self.path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            row = json.loads(line) if line.strip() else {}
            talker = row.get("target", row.get("speaker"))
            if isinstance(talker, str):
                found[str(row.get("id", f"line-{number}"))] = talker
        return found


@dataclass(frozen=True)
class Scored:
    """What is scored: its folder, and all that its answers depend on besides the test."""

    folder: Path
    identity: dict[str, Any]
    method: Callable[[], Method]
    """Called only when there is something to score."""

    @classmethod
    def run(cls, folder: Path, state: StateChoice, method: Callable[[str], Method]) -> "Scored":
        """A state of a training run. `method`: makes a method of its name, as `Systems.method` does.

        Raises ConfigError when the run has no such state.
        """
        path = folder / (BEST if state == "best" else STATE)
        if not path.is_file():
            raise ConfigError(f"no state '{state}' of a training run in '{folder}'; train it first")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        identity = {"state": state, "state_digest": digest, "step": read_progress(path).step}
        return cls(folder, identity, lambda: method(f"run:{folder}@{state}"))


def score(
    scored: Scored,
    test: TestManifest,
    tell: Tell | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Score one system on one test, unless that is done already; the summary's path.

    Raises:
        ConfigError: an evaluation of this name is there already, of another manifest, limit or kind of state.
        DataError: the manifest, or a recording of it, cannot be used.
        ScoringStopped: `stop` said so between two parts.
    """
    folder = scored.folder / EVALUATIONS
    summary, lines = folder / f"{test.name}.json", folder / f"{test.name}.jsonl"
    wanted = {"test": test.name, "manifest": test.digest, "limit": test.limit, **scored.identity}
    known = read_json(summary)
    if known and lines.is_file():
        _check_same_test(known, wanted, summary)
        if {key: known.get(key) for key in wanted} == wanted:
            return summary
    folder.mkdir(parents=True, exist_ok=True)
    if tell is not None:
        tell(f"scoring '{scored.folder}' on '{test.name}'")
    parts = _transcribe(scored, test, folder / f".{test.name}.parts", wanted, stop)
    # Without its summary an evaluation does not count: the two never tell of different states.
    summary.unlink(missing_ok=True)
    replace_bytes(lines, b"".join(part.read_bytes() for part in parts))
    rows = read_rows(lines)
    result = MethodResult(
        method=str(rows[0]["method"]),
        items=(),
        score=summarize([score_of(row) for row in rows]),
        seconds=sum(float(row["seconds"]) for row in rows),
    )
    talkers = {row["id"]: test.talkers[row["id"]] for row in rows if row["id"] in test.talkers}
    facts = {**wanted, "softspoken": __version__, **result.as_dict(), "talkers": talkers}
    replace_text(summary, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    shutil.rmtree(folder / f".{test.name}.parts", ignore_errors=True)
    return summary


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The lines that `write_items` wrote. Raises DataError when they are not such lines."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            score_of(row)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is not an evaluation ({error}); score again") from error
    return rows


def score_of(row: dict[str, Any]) -> UtteranceScore:
    """The score in one line of an evaluation."""
    return UtteranceScore(
        substitutions=int(row["substitutions"]),
        deletions=int(row["deletions"]),
        insertions=int(row["insertions"]),
        words=int(row["words"]),
        silent=bool(row["silent"]),
        wrote=bool(row["wrote"]),
    )


def _check_same_test(known: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    """A newer state of the same kind takes the place of an older one; nothing else does."""
    for key, what in (("manifest", "another manifest"), ("limit", "another limit"), ("state", "another kind of state")):
        if known.get(key) != wanted.get(key):
            raise ConfigError(f"'{path}' is of {what}; give the evaluation another --name, or remove it")


def _transcribe(
    scored: Scored, test: TestManifest, folder: Path, wanted: dict[str, Any], stop: Callable[[], bool] | None
) -> Sequence[Path]:
    """Score in parts, each in a file; those that are there already for the same state are kept."""
    if read_json(folder / "of.json") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        replace_text(folder / "of.json", json.dumps(wanted) + "\n")
    method = scored.method()
    items = [item for item in test.items if method.applies(item)]
    if not items:
        raise DataError(f"method '{method.name}' applies to none of the items of '{test.path}'; leave it out")
    normalize = TextNormalizer()
    parts = []
    for first in range(0, len(items), PART_ITEMS):
        parts.append(folder / f"{first:06d}.jsonl")
        if not parts[-1].is_file():
            if stop is not None and stop():
                raise ScoringStopped
            write_items([run_method(method, items[first : first + PART_ITEMS], normalize)], parts[-1])
    return parts
