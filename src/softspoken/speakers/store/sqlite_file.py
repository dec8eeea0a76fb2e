"""A store of voices in one SQLite file, safe with several processes.

The file is readable by its owner alone. What is removed is overwritten: in the file, and in the journal from which
SQLite would undo it.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from softspoken.errors import StoreUnavailable
from softspoken.speakers.store.rows import Taken

HOME_VARIABLE = "SOFTSPOKEN_HOME"
_WAIT_S = 30.0


class SqliteDatabase:
    """See `rows.Database`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def set_version(self, version: int) -> None:
        self._connection.execute(f"PRAGMA user_version = {version}")

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, values)
        except sqlite3.IntegrityError as error:
            raise Taken(str(error)) from None


class SqliteFile:
    """See `rows.Place`. Every call opens the file, does its work in one transaction, and closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @contextmanager
    def reading(self) -> Iterator[SqliteDatabase]:
        # To open a file that is not there would make it.
        with self._open(self.path if self.path.exists() else ":memory:") as connection:
            yield SqliteDatabase(connection)

    @contextmanager
    def changing(self) -> Iterator[SqliteDatabase]:
        """One immediate transaction; the file is made where there is none."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # A voice is personal: sqlite would make the file readable for everybody. One that is there is not opened:
            # to close it would let go of the locks that other threads of this process hold on it.
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            reason = error.strerror
            raise StoreUnavailable(f"cannot write the voices to {self.path}: {reason}; set {HOME_VARIABLE}") from error
        with self._open(self.path) as database:
            database.execute("PRAGMA journal_mode = PERSIST")
            database.execute("BEGIN IMMEDIATE")
            # From now on the lock is kept, until the journal, which holds what was there before, is overwritten.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            try:
                yield SqliteDatabase(database)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # a full disk ends it by itself
                    database.execute("ROLLBACK")
                raise
            finally:
                if not database.in_transaction:
                    _overwrite(Path(f"{self.path}-journal"))
                    database.execute("PRAGMA journal_mode = DELETE")

    @contextmanager
    def _open(self, place: str | Path) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(place, timeout=_WAIT_S, isolation_level=None)
            try:
                # What is removed is overwritten, so that no voice can be read out of the file afterwards.
                database.execute("PRAGMA secure_delete = ON")
                yield database
            finally:
                database.close()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise StoreUnavailable(
                    f"the disk is full: nothing was changed in {self.path}; free some space"
                ) from error
            reason = " ".join(str(error).split())[:200]
            raise StoreUnavailable(
                f"cannot use the voices in {self.path}: {reason}; move the file away, or name another"
            ) from error


def _overwrite(journal: Path) -> None:
    """Zeros in place of what a journal holds, on the disk too."""
    if not journal.is_file():
        return
    with journal.open("r+b") as file:
        file.write(bytes(journal.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
