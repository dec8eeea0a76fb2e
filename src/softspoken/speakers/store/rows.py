"""The tables of a store of voices: rows as they are, or sealed (`vault`). One SQL serves every kind of database."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from softspoken.errors import EnrolmentError
from softspoken.speakers.enrolment import Enrolment, pack, unpack

if TYPE_CHECKING:
    from softspoken.speakers.store.vault import Vault

PLAIN_VERSION = 1
SEALED_VERSION = 2
_COLUMNS = "name, embedder, dimension, vector, speech_s, created, sources, warnings"
_VOICES = """
CREATE TABLE voices (
    name TEXT PRIMARY KEY,
    embedder TEXT NOT NULL,
    dimension INTEGER NOT NULL CHECK (dimension > 0),
    vector BLOB NOT NULL CHECK (length(vector) = 4 * dimension),
    speech_s REAL NOT NULL,
    created TEXT NOT NULL,
    sources TEXT NOT NULL,
    warnings TEXT NOT NULL,
    clip BLOB
)
"""
_SEALED = "CREATE TABLE sealed (id TEXT PRIMARY KEY, voice BLOB NOT NULL, clip BLOB)"
_LOCK = "CREATE TABLE lock (key TEXT NOT NULL, proof BLOB NOT NULL)"

Row = tuple[Any, ...]
"""Name, embedder, dimension, vector, seconds of speech, time, sources, warnings, clip; as a file has them, which may be
damaged: `enrolment_of` looks at them."""


class Taken(Exception):
    """A name that is there already."""


@runtime_checkable
class Database(Protocol):
    """One transaction in a database that is open."""

    def version(self) -> int:
        """Of the tables; 0: there are none yet."""
        ...

    def set_version(self, version: int) -> None:
        """Keep it, with the tables that it is of."""
        ...

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """A cursor. `sql` is SQLite's, a value stands as '?'. Raises Taken for a name that is there already."""
        ...


@runtime_checkable
class Place(Protocol):
    """Where a store is: `sqlite_file` or `postgres`. As a text, what messages call it."""

    def reading(self) -> AbstractContextManager[Database]:
        """To read; makes nothing. EnrolmentError, here and below, where it cannot be used."""
        ...

    def changing(self) -> AbstractContextManager[Database]:
        """To change all or nothing: a second writer waits, and an error leaves everything as it was."""
        ...


class PlainRows:
    """Rows that whoever can read the database can read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self) -> None:
        """Make the table where there is none, in the transaction that writes into it."""
        if self._database.version() < PLAIN_VERSION:
            self._database.execute(_VOICES)
            self._database.set_version(PLAIN_VERSION)

    def add(self, row: Row, replace: bool) -> None:
        """Raises Taken for a name that is there, unless `replace`."""
        if replace:
            self.delete(row[0])
        self._database.execute(f"INSERT INTO voices ({_COLUMNS}, clip) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def names(self) -> list[str]:
        return [name for (name,) in self._database.execute("SELECT name FROM voices")]

    def get(self, name: str) -> Row | None:
        found: Row | None = self._database.execute(
            f"SELECT {_COLUMNS}, clip FROM voices WHERE name = ?", (name,)
        ).fetchone()
        return found

    def all(self, clips: bool) -> list[Row]:
        found = self._database.execute(f"SELECT {_COLUMNS}, {'clip' if clips else 'NULL'} FROM voices").fetchall()
        return list(found)

    def rename(self, name: str, new_name: str) -> bool:
        """Whether there is such a voice. Raises Taken for a new name that is there."""
        updated = self._database.execute("UPDATE voices SET name = ? WHERE name = ?", (new_name, name))
        return bool(updated.rowcount > 0)

    def delete(self, name: str) -> bool:
        """Whether there was such a voice."""
        return bool(self._database.execute("DELETE FROM voices WHERE name = ?", (name,)).rowcount > 0)


class SealedRows:
    """Rows that only the key opens: a voice and its clip are sealed under a name that tells nothing without it.

    Methods as those of `PlainRows`.
    """

    def __init__(self, database: Database, vault: "Vault") -> None:
        self._database, self._vault = database, vault

    def add(self, row: Row, replace: bool) -> None:
        *known, clip = row
        known[3] = row[3].hex()
        name = self._vault.alias(row[0])
        sealed = None if clip is None else self._vault.seal(clip, f"clip {name}")
        voice = self._vault.seal(json.dumps(known).encode(), f"voice {name}")
        if replace:
            self.delete(row[0])
        self._database.execute("INSERT INTO sealed VALUES (?, ?, ?)", (name, voice, sealed))

    def names(self) -> list[str]:
        return [row[0] for row in self.all(clips=False)]

    def get(self, name: str) -> Row | None:
        found = self._database.execute("SELECT * FROM sealed WHERE id = ?", (self._vault.alias(name),)).fetchone()
        return None if found is None else self._opened(*found)

    def all(self, clips: bool) -> list[Row]:
        found = self._database.execute(f"SELECT id, voice, {'clip' if clips else 'NULL'} FROM sealed").fetchall()
        return [self._opened(*row) for row in found]

    def rename(self, name: str, new_name: str) -> bool:
        row = self.get(name)
        if row is None:
            return False
        if new_name != name:
            self.add((new_name, *row[1:]), replace=False)
            self.delete(name)
        return True

    def delete(self, name: str) -> bool:
        deleted = self._database.execute("DELETE FROM sealed WHERE id = ?", (self._vault.alias(name),))
        return bool(deleted.rowcount > 0)

    def _opened(self, alias: str, voice: bytes, clip: bytes | None) -> Row:
        name, embedder, dimension, vector, *rest = json.loads(self._vault.open(voice, f"voice {alias}"))
        opened = None if clip is None else self._vault.open(clip, f"clip {alias}")
        return (name, embedder, dimension, bytes.fromhex(vector), *rest, opened)


Rows = PlainRows | SealedRows


def lock_of(database: Database) -> tuple[str, bytes]:
    """Where the key of sealed tables is, and what shows that a key is right. EnrolmentError where it is damaged."""
    place, proof = database.execute("SELECT key, proof FROM lock").fetchone() or (None, None)
    if not isinstance(place, str) or not isinstance(proof, bytes):
        raise EnrolmentError("the store is damaged: it does not say with which key it is encrypted; take a copy of it")
    return place, proof


def seal_all(database: Database, place: str, vault: "Vault") -> None:
    """Turn plain tables into sealed ones, in one transaction."""
    rows = list(PlainRows(database).all(clips=True))
    database.execute(_SEALED)
    database.execute(_LOCK)
    database.execute("INSERT INTO lock VALUES (?, ?)", (place, vault.proof()))
    sealed = SealedRows(database, vault)
    for row in rows:
        sealed.add(row, replace=False)
    database.execute("DROP TABLE voices")
    database.set_version(SEALED_VERSION)


def unseal_all(database: Database, vault: "Vault") -> None:
    """Turn sealed tables into plain ones, in one transaction."""
    rows = list(SealedRows(database, vault).all(clips=True))
    database.execute("DROP TABLE sealed")
    database.execute("DROP TABLE lock")
    database.execute(_VOICES)
    database.set_version(PLAIN_VERSION)
    plain = PlainRows(database)
    for row in rows:
        plain.add(row, replace=False)


def row_of(enrolment: Enrolment) -> Row:
    """As it is kept."""
    vector = np.ascontiguousarray(enrolment.vector, "<f4")
    sources, warnings = json.dumps(enrolment.sources), json.dumps(enrolment.warnings)
    clip = None if enrolment.clip is None else pack(enrolment.clip)
    kept = (enrolment.name, enrolment.embedder, len(vector), vector.tobytes(), enrolment.speech_s)
    return (*kept, enrolment.created, sources, warnings, clip)


def enrolment_of(row: Row, place: Place) -> Enrolment:
    """As it was kept. Raises EnrolmentError for a damaged one."""
    name, embedder, dimension, blob, speech_s, created, sources, warnings, kept = row
    try:
        vector = np.frombuffer(blob, "<f4").astype(np.float32)
        if len(vector) != dimension or not np.isfinite(vector).all():
            raise ValueError
        texts = [[str(line) for line in json.loads(lines)] for lines in (sources, warnings)]
        clip = None if kept is None else unpack(kept, name)
        known = (str(name), str(embedder), vector, float(speech_s), str(created))
    except (TypeError, ValueError):
        raise EnrolmentError(f"the voice {name!r} in {place} is damaged: remove it and enrol it again") from None
    return Enrolment(*known, tuple(texts[0]), tuple(texts[1]), clip)
