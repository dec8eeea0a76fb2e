"""The folder of a job: its records in shards, and what lets the same command go on after it was stopped.

part-00000.jsonl ...  records in the order of the inputs, a shard each; written once, whole or not at all
failures.jsonl        a manifest of what failed, with the reasons; written at the end
job.json              what the job is, so that no other one goes on in its place
unfinished            records of shards that are not complete, each behind the number of its input
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from softspoken.bulk.inputs import Item
from softspoken.errors import ConfigError, MissingExtra
from softspoken.files import LEFTOVERS, remove, replace_text, replacing

ShardFormat = Literal["jsonl", "parquet"]


class Ledger:
    """Which records there are. Use it in a `with`: only one run at a time has the folder."""

    def __init__(
        self, folder: Path, items: Sequence[Item], options: dict[str, Any], form: ShardFormat, per_shard: int
    ) -> None:
        """`options`: all that decides what is written, besides the inputs; `form`, `per_shard`: of the shards.

        Raises ConfigError for a folder that holds another job, or that another run has; MissingExtra for Parquet
        without pyarrow.
        """
        if form == "parquet":
            _parquet()
        self.folder, self.items, self._form, self._per_shard = folder, items, form, per_shard
        self._lock = FileLock(folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"another run writes to '{folder}'; wait for it, or give another --out") from None
        self._numbers = {item.id: number for number, item in enumerate(items)}
        self._is_this_job({"inputs": _digest(items), "format": form, "per_shard": per_shard, **options})
        self.failures: dict[int, str] = {}
        self._lines: dict[int, str] = {}
        """Of shards that are not complete."""
        self._whole: set[int] = set()
        """Shards that are."""
        self._go_on()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()
        self._lock.release()

    @property
    def done(self) -> int:
        """Number of records."""
        return len(self._lines) + sum(len(self._range(shard)) for shard in self._whole)

    def missing(self) -> list[Item]:
        """Recordings without a record, in order."""
        numbers = (
            n for n in range(len(self.items)) if n // self._per_shard not in self._whole and n not in self._lines
        )
        return [self.items[number] for number in numbers]

    def add(self, item: Item, line: str) -> None:
        """Keep a record. Once this returns, it survives the death of this process."""
        number = self._numbers[item.id]
        self._journal.write(f"{number} {line}\n")
        self._journal.flush()
        self._take(number, line)

    def finish(self) -> None:
        """When nothing is missing: write the list of failures."""
        lines = [{**self.items[n].line(), "error": self.failures[n]} for n in sorted(self.failures)]
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        with replacing(self.folder / "failures.jsonl") as temporary:
            temporary.write_bytes(text.encode("utf-8", "replace"))
        (self.folder / "unfinished").unlink(missing_ok=True)

    def _take(self, number: int, line: str) -> None:
        self._lines[number] = line
        self._note(number, line)
        shard = number // self._per_shard
        if all(n in self._lines for n in self._range(shard)):
            self._write(shard, [self._lines.pop(n) for n in self._range(shard)])
            self._whole.add(shard)

    def _note(self, number: int, line: str) -> None:
        error = json.loads(line).get("error")
        if error is not None:
            self.failures[number] = error

    def _range(self, shard: int) -> range:
        return range(shard * self._per_shard, min((shard + 1) * self._per_shard, len(self.items)))

    def _path(self, shard: int) -> Path:
        return self.folder / f"part-{shard:05d}.{self._form}"

    def _write(self, shard: int, lines: list[str]) -> None:
        with replacing(self._path(shard)) as temporary:
            if self._form == "jsonl":
                temporary.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
            else:
                _write_parquet(temporary, lines)

    def _go_on(self) -> None:
        """Take over what there is: shards that are complete, and the records of the others."""
        for leftover in self.folder.glob(LEFTOVERS):
            remove(leftover)
        for shard in range((len(self.items) + self._per_shard - 1) // self._per_shard):
            lines = _read(self._path(shard), self._form)
            if len(lines) == len(self._range(shard)):
                self._whole.add(shard)
                for number, line in zip(self._range(shard), lines, strict=True):
                    self._note(number, line)
        path = self.folder / "unfinished"
        kept = {n: line for n, line in _journalled(path, len(self.items)) if n // self._per_shard not in self._whole}
        replace_text(path, "".join(f"{number} {line}\n" for number, line in kept.items()))
        self._journal = path.open("a", encoding="utf-8", errors="replace")
        for number, line in kept.items():
            self._take(number, line)

    def _is_this_job(self, job: dict[str, Any]) -> None:
        path = self.folder / "job.json"
        if not path.exists():
            replace_text(path, json.dumps(job, indent=1) + "\n")
            return
        try:
            before = json.loads(path.read_text("utf-8"))
            other = sorted(key for key in job.keys() | before.keys() if job.get(key) != before.get(key))
        except (OSError, ValueError, AttributeError):
            other = ["what it is"]
        if other:
            raise ConfigError(
                f"'{self.folder}' holds the records of another job (other: {', '.join(other)}); give another --out"
            )


def _digest(items: Sequence[Item]) -> str:
    lines = "\n".join(json.dumps(item.line()) for item in items)
    return f"{len(items)} {hashlib.sha256(lines.encode()).hexdigest()}"


def _journalled(path: Path, count: int) -> Iterator[tuple[int, str]]:
    """Numbers and records; what was being written when a run ended is none."""
    entries = path.read_bytes().decode("utf-8", "replace").split("\n")[:-1] if path.exists() else []
    for entry in entries:
        number, _, line = entry.partition(" ")
        with suppress(ValueError):
            if int(number) < count and isinstance(json.loads(line), dict):
                yield int(number), line


def _read(path: Path, form: ShardFormat) -> list[str]:
    """The records of a shard; none where it is not there, or is not whole."""
    if not path.exists():
        return []
    if form == "jsonl":
        return path.read_bytes().decode("utf-8", "replace").split("\n")[:-1]
    pyarrow = _parquet()
    try:
        return [str(line) for line in pyarrow.parquet.read_table(path, columns=["record"])["record"].to_pylist()]
    except (OSError, pyarrow.ArrowInvalid):
        return []


def _write_parquet(path: Path, lines: list[str]) -> None:
    """Columns to look for, and the whole record as JSON."""
    pyarrow = _parquet()
    kinds = {"id": pyarrow.string(), "text": pyarrow.string(), "duration_s": pyarrow.float64()}
    schema = pyarrow.schema({**kinds, "error": pyarrow.string(), "record": pyarrow.string()})
    lines = [line.encode("utf-8", "replace").decode() for line in lines]
    rows = [{**json.loads(line), "record": line} for line in lines]
    columns = {name: [row.get(name) for row in rows] for name in schema.names}
    pyarrow.parquet.write_table(pyarrow.table(columns, schema), path)


def _parquet() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", "--format parquet") from None
    return pyarrow
