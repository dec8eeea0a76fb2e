"""Whether a stored folder is what was saved. `integrity.json` knows every byte of its files, and their parts by name.

A prompt is a small file that people pass around, and a small change of one ruins recognition ("Are soft prompts good
zero-shot learners for speech recognition?", table 1), so whatever is not as it was saved is refused. The file has no
key: it tells a change from what was saved, not who saved it. That is what a signature tells (`signatures.py`).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from safetensors import SafetensorError, deserialize

from softspoken.errors import PromptDamaged
from softspoken.frozen import Frozen

INTEGRITY_FILE = "integrity.json"
AGAIN = "get or save it again"
"""What to do about a stored folder that is damaged."""

_FORMAT = "softspoken-integrity-1"
_LARGEST_FILE = 1 << 30
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_NOTES = ("format_version", "training", "results", "licence", "history", "trained_parameters")
_DIGESTS = ("digest", "head_digest", "prompts_digest")
_NOT_HEARD = tuple(f".json: '{name}'" for name in (*_NOTES, *_DIGESTS))
"""Facts of a stored folder that change nothing in what it does, and digests of what has a part of its own."""


class FileRecord(Frozen):
    """A stored file: its size and the SHA-256 of its bytes."""

    bytes: int = Field(ge=0, le=_LARGEST_FILE)
    sha256: str


class Integrity(Frozen):
    """The content of `integrity.json`."""

    format: str = _FORMAT
    identity: str
    """SHA-256 over all that changes what is heard or written, in a canonical form: tensors by name, type, shape and
    numbers; configuration, silence model and the fingerprints of backbone and embedder as sorted JSON.
    Names, cards and notes of the training are left out: two prompts with one identity do the same."""
    files: dict[str, FileRecord]
    """Every file, README and notes too."""
    parts: dict[str, str]
    """SHA-256 of each tensor and of each fact, so that a change can be named."""
    sha256: str
    """Of this file's own canonical form, without this entry."""

    def written(self) -> bytes:
        """The only spelling that is read again."""
        return json.dumps(self.model_dump(), indent=1, sort_keys=True).encode() + b"\n"

    def holds(self) -> bool:
        """Whether its digests are those of its own entries."""
        return self.format == _FORMAT and self == _integrity(self.files, self.parts)


@dataclass(frozen=True)
class Verified:
    """The files of a folder that is as it was saved: the very bytes that were checked."""

    contents: Mapping[str, bytes]
    """By name; of a subfolder 'folder/name'."""
    identity: str


def sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """`files` (name to content) of a folder, and the `integrity.json` that goes with them."""
    parts = {name: digest for file, content in files.items() for name, digest in _parts(file, content).items()}
    records = {name: FileRecord(bytes=len(content), sha256=_sha256(content)) for name, content in files.items()}
    return {**files, INTEGRITY_FILE: _integrity(records, parts).written()}


def verified(folder: Path, needed: tuple[str, ...] = ()) -> Verified:
    """The files of a stored folder, read once and checked to the last byte. Files it does not know are not read.

    Raises PromptDamaged, with the name of what was changed, when a file (one that is `needed`, too) is missing or is
    not as it was saved, and when the folder has no `integrity.json`.
    """
    known = read_integrity(folder)
    for name in needed:
        if name not in known.files:
            raise PromptDamaged(f"'{folder}': {INTEGRITY_FILE} knows no {name}; refused; {AGAIN}")
    return Verified({name: _read(folder, name, known) for name in sorted(known.files)}, known.identity)


def read_integrity(folder: Path) -> Integrity:
    """What a folder's `integrity.json` says, and that nobody changed it; other files are not read. Raises as above."""
    path = folder / INTEGRITY_FILE
    if not path.is_file():
        raise PromptDamaged(f"'{folder}' has no {INTEGRITY_FILE}, so nobody can tell whether it was changed; {AGAIN}")
    content = _bytes_of(path, path.stat().st_size)
    try:
        known = Integrity.model_validate_json(content)
    except (ValidationError, ValueError, RecursionError):
        known = None
    if known is None or content != known.written() or not known.holds():
        raise PromptDamaged(f"'{folder}': {INTEGRITY_FILE} was changed; refused; {AGAIN}")
    if not all(_NAME.fullmatch(name) for name in known.files):
        raise PromptDamaged(f"'{folder}': {INTEGRITY_FILE} names files outside of the folder; refused; {AGAIN}")
    return known


def _integrity(files: Mapping[str, FileRecord], parts: Mapping[str, str]) -> Integrity:
    heard = {name: digest for name, digest in parts.items() if not name.endswith(_NOT_HEARD)}
    identity = _sha256(_canonical(heard))
    entries = {name: record.model_dump() for name, record in files.items()}
    whole = _canonical({"format": _FORMAT, "identity": identity, "files": entries, "parts": dict(parts)})
    return Integrity(identity=identity, files=dict(files), parts=dict(parts), sha256=_sha256(whole))


def _parts(file: str, content: bytes) -> dict[str, str]:
    """Names and digests of what a file consists of; none where it is not of its kind."""
    if file.endswith(".safetensors"):
        try:
            tensors: list[tuple[str, dict[str, Any]]] = deserialize(content)  # type: ignore[no-untyped-call]
        except SafetensorError:
            return {}
        return {
            f"{file}: tensor '{name}'": _sha256(_canonical([one["dtype"], list(one["shape"])]) + bytes(one["data"]))
            for name, one in tensors
        }
    if not file.endswith(".json") or file.endswith(INTEGRITY_FILE):
        return {}
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(facts, dict):
        return {}
    return {f"{file}: '{name}'": _sha256(_canonical(value)) for name, value in facts.items()}


def _read(folder: Path, name: str, known: Integrity) -> bytes:
    path, record = folder / name, known.files[name]
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise PromptDamaged(f"'{folder}' has no {name}; {AGAIN}") from error
    except OSError as error:
        raise PromptDamaged(f"'{path}' cannot be read ({error.strerror}); {AGAIN}") from error
    content = _bytes_of(path, size)
    if len(content) != record.bytes or _sha256(content) != record.sha256:
        raise PromptDamaged(f"'{folder}' was changed: {_change(name, content, known)}; refused; {AGAIN}")
    return content


def _bytes_of(path: Path, size: int) -> bytes:
    if size > _LARGEST_FILE:
        raise PromptDamaged(f"'{path}' has {size:,} bytes, no stored prompt has so many; refused; {AGAIN}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise PromptDamaged(f"'{path}' cannot be read ({error.strerror}); {AGAIN}") from error


def _change(file: str, content: bytes, known: Integrity) -> str:
    """In a few words, what of a file is not as it was."""
    before = {name: digest for name, digest in known.parts.items() if name.startswith(f"{file}: ")}
    now = _parts(file, content)
    if before and not now:
        return f"{file} (its bytes are no longer of its kind)"
    changed = [name for name in before if now.get(name) != before[name]] + [name for name in now if name not in before]
    if not changed:
        return file if not before else f"{file} (spelling or header; no part)"
    return changed[0] + (f" and {len(changed) - 1} more" if len(changed) > 1 else "")


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
