"""Is a prepared folder or manifest whole and sound? All that is wrong with it, before hours are spent on it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import soundfile

from softspoken.audio import SAMPLE_RATE_HZ, duration_s
from softspoken.errors import DataError, SoftspokenError
from softspoken_lab.corpora.mixture_corpus import SELF_ENROLLED

Kind = Literal["line", "field", "id", "missing", "audio", "rate", "duration", "text", "enrolment", "talker"]
"""line: not JSON. field: something a line must have is not there. id: there twice. missing: no such file. audio: a
recording cannot be read. rate: below 16 kHz. duration: other than the manifest says. text: no words. enrolment: part
of its own mixture, and not tagged as such. talker: in training and in testing, or silent and speaking."""
DURATION_TOLERANCE_S = 0.1
_FILES = ("audio", "path", "clean", "enrolment")
_REQUIRED = {"mixture": ("audio", "enrolment", "text"), "speech": ("id", "path", "speaker", "text"), "noise": ("path",)}
_MANY_CORPORA = "librispeech"
"""Its subsets are corpora here, but a number is the same reader in all of them."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    where: str
    """'manifest:line'."""
    kind: Kind
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}: {self.message}"


@dataclass(frozen=True)
class Checked:
    """What was looked at, and what was found."""

    manifests: tuple[Path, ...]
    lines: int
    files: int
    problems: tuple[Problem, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Problems of each kind."""
        return dict(Counter(problem.kind for problem in self.problems))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "manifests": [str(path) for path in self.manifests],
            "lines": self.lines,
            "files": self.files,
            "counts": self.counts,
            "problems": [asdict(problem) for problem in self.problems],
        }


@dataclass
class _Findings:
    problems: list[Problem] = field(default_factory=list)
    lines: int = 0
    seconds: dict[Path, float | None] = field(default_factory=dict)
    """Of the files that were opened; None: something is wrong with them, and it was said."""
    talkers: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """Talker to split to where they were first met there."""

    def add(self, where: str, kind: Kind, message: str) -> None:
        self.problems.append(Problem(where, kind, message))


def check(paths: Sequence[str | Path]) -> Checked:
    """Check manifests of mixtures, speech or noise, and all manifest.jsonl in folders, together.

    Together, because a talker may be for training in one and for testing in another. Raises DataError for a path that
    does not exist or a folder without manifests; whatever is wrong inside becomes a `Problem`.
    """
    manifests = tuple(dict.fromkeys(manifest for path in paths for manifest in _manifests(Path(path))))
    found = _Findings()
    for manifest in manifests:
        _check_manifest(manifest, found)
    for talker, splits in sorted(found.talkers.items()):
        if "train" in splits and "test" in splits:
            found.add(splits["test"], "talker", f"{talker} tests here and trains in {splits['train']}")
    return Checked(manifests, found.lines, len(found.seconds), tuple(found.problems))


def _manifests(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    inside = sorted(path.rglob("manifest.jsonl")) if path.is_dir() else []
    if not inside:
        what = "no manifest.jsonl in it" if path.is_dir() else "not there"
        raise DataError(f"'{path}': {what}; give a manifest, or a folder that 'softspoken data' wrote")
    yield from inside


def _check_manifest(manifest: Path, found: _Findings) -> None:
    ids: dict[str, str] = {}
    lines = 0
    for where, row in _rows(manifest, found):
        lines += 1
        identity = row.get("id")
        if identity is not None and str(identity) in ids:
            found.add(where, "id", f"'{identity}' is there twice, first in {ids[str(identity)]}")
        ids.setdefault(str(identity), where)
        kind = _kind(row)
        missing = [key for key in _REQUIRED[kind] if key not in row]
        for key in missing:
            found.add(where, "field", f"no '{key}', which a line of {kind} has")
        _check_files(where, manifest.parent, row, found)
        if not missing:
            _CHECKS[kind](where, row, found)
        split = row.get("split", _split_of(manifest))
        for talker in _talkers(row):
            found.talkers[talker].setdefault(str(split), where)
    found.lines += lines
    if not lines:
        found.add(str(manifest), "line", "nothing in it")


def _kind(row: dict[str, Any]) -> str:
    if "audio" in row or "enrolment" in row:
        return "mixture"
    return "speech" if "speaker" in row or "text" in row else "noise"


def _rows(manifest: Path, found: _Findings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Unlike `read_rows`, goes on behind a line that cannot be read."""
    try:
        lines = manifest.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        found.add(str(manifest), "line", "not UTF-8 text")
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{manifest}:{number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                found.add(where, "line", f"not JSON ({error.msg})")
                continue
            if isinstance(row, dict):
                yield where, row
            else:
                found.add(where, "line", f"got {type(row).__name__}, expected an object")


def _check_files(where: str, folder: Path, row: dict[str, Any], found: _Findings) -> None:
    for key in _FILES:
        names = row.get(key)
        if names is None:
            continue
        listed = names if isinstance(names, list) else [names]
        if not listed or not all(isinstance(name, str) and name for name in listed):
            found.add(where, "field", f"'{key}' is {names!r}, expected the name of a file")
            continue
        seconds, *_ = [_seconds(where, folder / name, found) for name in listed]
        promised = row.get("duration_s")
        if key in ("audio", "path") and seconds is not None and isinstance(promised, int | float):
            path = folder / listed[0]
            if abs(promised - seconds) > DURATION_TOLERANCE_S:
                found.add(where, "duration", f"'{path}' lasts {seconds:.2f} s, not {promised:.2f} s as noted")
                # Said once, not for every target of the mixture.
                found.seconds[path] = None


def _seconds(where: str, path: Path, found: _Findings) -> float | None:
    """Length of a file as its header says; each file is looked at once."""
    if path in found.seconds:
        return found.seconds[path]
    found.seconds[path] = None
    if not path.is_file():
        found.add(where, "missing", f"no file '{path}'")
        return None
    try:
        # `duration_s` finds files that were cut off, and reads formats that soundfile does not.
        seconds = duration_s(path)
        rate_hz = soundfile.info(path).samplerate if path.suffix.lower() in (".wav", ".flac") else SAMPLE_RATE_HZ
    except (SoftspokenError, soundfile.SoundFileError, OSError) as error:
        found.add(where, "audio", str(error))
        return None
    if rate_hz < SAMPLE_RATE_HZ:
        found.add(where, "rate", f"'{path}' has {rate_hz} Hz, at least {SAMPLE_RATE_HZ} Hz are needed")
    if seconds <= 0:
        found.add(where, "audio", f"'{path}' holds no samples")
        return None
    found.seconds[path] = seconds
    return seconds


def _check_mixture(where: str, row: dict[str, Any], found: _Findings) -> None:
    tags = row.get("tags") or ()
    silent = "silent" in tags
    if not str(row["text"]).strip() and not silent and ("speaking" in tags or row.get("clean") is not None):
        found.add(where, "text", "no words, although the target speaks")
    if silent and row.get("target") in (row.get("talkers") or ()):
        found.add(where, "talker", f"{row['target']} is to be silent, but speaks in the mixture")
    own = {name for key in ("audio", "clean") if isinstance(name := row.get(key), str)}
    listed = row["enrolment"] if isinstance(row["enrolment"], list) else [row["enrolment"]]
    shared = [name for name in listed if name in own]
    shared += [
        f"{clip.get('utterance')} from {clip.get('start_s', 0.0):g} s"
        for clip in row.get("enrolment_sources") or ()
        for source in row.get("sources") or ()
        if _overlap(clip, source)
    ]
    if shared and SELF_ENROLLED not in tags:
        found.add(where, "enrolment", f"{shared[0]} enrols, but is part of the mixture itself")


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    end = float("inf")
    return (
        one.get("utterance") == other.get("utterance")
        and one.get("start_s", 0.0) < other.get("end_s", end)
        and other.get("start_s", 0.0) < one.get("end_s", end)
    )


def _check_speech(where: str, row: dict[str, Any], found: _Findings) -> None:
    # null: nobody knows the words; such speech still disturbs and enrols.
    if row["text"] is not None and not str(row["text"]).strip():
        found.add(where, "text", "no words")


def _check_noise(where: str, row: dict[str, Any], found: _Findings) -> None:
    """Its files are all there is to check."""


_CHECKS = {"mixture": _check_mixture, "speech": _check_speech, "noise": _check_noise}


def _talkers(row: dict[str, Any]) -> Iterable[str]:
    """'corpus:speaker' of all who speak, or are to be listened for."""
    names = {str(name) for name in row.get("talkers") or ()}
    if row.get("target") is not None:
        names.add(str(row["target"]))
    if row.get("speaker") is not None:
        names.add(f"{row.get('corpus', '')}:{row['speaker']}")
    for name in names:
        corpus, _, speaker = name.partition(":")
        yield f"{_MANY_CORPORA}:{speaker}" if corpus.startswith(_MANY_CORPORA) else name


def _split_of(manifest: Path) -> str | None:
    """What is written beside test mixtures, whose lines do not say it."""
    try:
        split = json.loads((manifest.parent / "spec.json").read_text(encoding="utf-8")).get("split")
    except (OSError, ValueError, AttributeError):
        return None
    return split if isinstance(split, str) else None
