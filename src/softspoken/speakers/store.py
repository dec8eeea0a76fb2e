"""Enrolled voices on disk: one SQLite file, safe with several processes, exported and imported as JSON.

A voice is kept as its unit vector and, unless it is left out, up to half a minute of its sound, for prompts that hear
the clip themselves. The file is readable by its owner alone, and encrypted where that is asked for. What is removed is
overwritten: in the file, and in the journal from which SQLite would undo it.
"""

import dataclasses
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from softspoken.errors import EnrolmentError, SpeakerNotFound
from softspoken.speakers.base import SpeakerEmbedder
from softspoken.speakers.enrolment import ClipLike, Enrolment, checked_name, close_names, enrol, from_json, to_json
from softspoken.speakers.quality import EnrolmentLimits
from softspoken.speakers.rows import (
    SEALED_VERSION,
    PlainRows,
    Rows,
    SealedRows,
    enrolment_of,
    lock_of,
    row_of,
    seal_all,
    unseal_all,
    version_of,
)
from softspoken.speakers.vault import Vault, forget_key, key_at, new_key

HOME_VARIABLE = "SOFTSPOKEN_HOME"
_WAIT_S = 30.0

# Inside the class, `list` is a method.
Voices = list[Enrolment]
Names = list[str]


def default_store_path() -> Path:
    """`voices.db` in $SOFTSPOKEN_HOME, or in the platform's folder for a user's data."""
    home = os.environ.get(HOME_VARIABLE, "")
    return (Path(home).expanduser() if home else Path(platformdirs.user_data_dir("softspoken"))) / "voices.db"


class EnrolmentStore:
    """Voices by name. Every call opens the file, does its work in one transaction, and closes it."""

    def __init__(self, path: str | Path | None = None) -> None:
        """The file is made by the first enrolment; reading a store that is not there yet finds no voices."""
        self.path = default_store_path() if path is None else Path(path)

    def enrol(
        self,
        name: str,
        clips: Sequence[ClipLike],
        embedder: SpeakerEmbedder,
        *,
        replace: bool = False,
        keep_clip: bool = True,
        accept_mixed: bool = False,
    ) -> Enrolment:
        """Make a voice from clips and keep it under `name`.

        `keep_clip`: the sound, too, at most half a minute of the longest clip; prompts that hear the clip themselves
        cannot be told of the voice by its name without it; `accept_mixed`: see `EnrolmentLimits`.

        Nothing is written unless every clip passes its checks. Raises AudioError or EnrolmentError for a clip that
        cannot be used, EnrolmentError for a name that is taken (unless `replace`) or not possible.
        """
        # Both are looked at before the work, so that a taken name costs no time, and again when writing.
        self.require_free(name, replace=replace)
        limits = EnrolmentLimits(accept_mixed=accept_mixed)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        enrolment = enrol(name, clips, embedder, created=now, limits=limits)
        if not keep_clip:
            enrolment = dataclasses.replace(enrolment, clip=None)
        self.add([enrolment], replace=replace)
        return enrolment

    def require_free(self, name: str, *, replace: bool = False) -> None:
        """Raise EnrolmentError for a name that is not possible, or taken (unless `replace`)."""
        if checked_name(name) in self.names() and not replace:
            raise _taken(name)

    def add(self, enrolments: Sequence[Enrolment], *, replace: bool = False) -> None:
        """Keep ready-made enrolments, all or none. EnrolmentError when a name is taken (unless `replace`)."""
        with self._writing() as rows:
            for enrolment in enrolments:
                try:
                    rows.add(row_of(enrolment), replace)
                except sqlite3.IntegrityError:
                    raise _taken(enrolment.name) from None

    def get(self, name: str) -> Enrolment:
        """SpeakerNotFound, with the names that come close, when there is none."""
        known = checked_name(name)
        if self.path.exists():
            with self._reading() as rows:
                row = rows.get(known)
            if row is not None:
                return enrolment_of(row, self.path)
        raise self._not_found(name)

    def list(self, *, clips: bool = True) -> Voices:
        """All voices, by name; without reading their clips, where nobody wants those."""
        if not self.path.exists():
            return []
        with self._reading() as rows:
            voices = [enrolment_of(row, self.path) for row in rows.all(clips)]
        return sorted(voices, key=lambda enrolment: enrolment.name.casefold())

    def rename(self, name: str, new_name: str, *, replace: bool = False) -> None:
        """SpeakerNotFound for `name`, EnrolmentError when `new_name` is taken (unless `replace`: it is removed)."""
        known, wanted = checked_name(name), checked_name(new_name)
        with self._writing() as rows:
            if replace and wanted != known and rows.get(known) is not None:
                rows.delete(wanted)
            try:
                renamed = rows.rename(known, wanted)
            except sqlite3.IntegrityError:
                raise _taken(new_name) from None
        if not renamed:
            raise self._not_found(name)

    def delete(self, name: str) -> None:
        """SpeakerNotFound when there is none."""
        with self._writing() as rows:
            there = rows.delete(checked_name(name))
        if not there:
            raise self._not_found(name)

    def delete_all(self) -> Names:
        """Remove every voice; the names of those that were there."""
        if not self.path.exists():
            return []
        with self._writing() as rows:
            names = sorted(rows.names())
            for name in names:
                rows.delete(name)
        return names

    @property
    def key(self) -> str | None:
        """Where the key of an encrypted store is: 'file:PATH' or 'keyring:ENTRY'; None: it is not encrypted."""
        if not self.path.exists():
            return None
        with self._open() as database:
            return lock_of(database)[0] if version_of(database) == SEALED_VERSION else None

    def encrypt(self, key: str | Path) -> str:
        """Encrypt every voice, those to come too, and overwrite what was readable; where the key is now.

        `key`: a file, made where there is none, or 'keyring'. Raises EnrolmentError for a store that is encrypted
        already and a place where no key can be kept, MissingExtra without the extra `encrypt`.
        """
        if self.key is not None:
            raise EnrolmentError(f"{self.path} is encrypted already, with the key {self.key}; decrypt it first")
        place, secret = new_key(str(key), str(self.path.absolute()))
        vault = Vault(secret)
        with self._changing() as database:
            PlainRows(database).create()
            seal_all(database, place, vault)
        return place

    def decrypt(self) -> None:
        """Keep the voices readable for whoever can read the file, as at first. EnrolmentError where they are so."""
        place = self.key
        if place is None:
            raise EnrolmentError(f"{self.path} is not encrypted; nothing was changed")
        with self._changing() as database:
            unseal_all(database, self._vault_of(database))
        forget_key(place)

    def export(self, names: Sequence[str] | None = None, *, clips: bool = False) -> str:
        """JSON of the named voices, or of all, vectors included, and with `clips` their sound.

        `import_json` reads it.
        """
        voices = self.list(clips=clips) if names is None else [self.get(name) for name in names]
        return to_json(voices if clips else [dataclasses.replace(voice, clip=None) for voice in voices])

    def import_json(self, text: str, *, replace: bool = False) -> Voices:
        """Keep the voices of an export, all or none. EnrolmentError when the text is not one, or a name is taken."""
        enrolments = from_json(text)
        self.add(enrolments, replace=replace)
        return enrolments

    def names(self) -> Names:
        """The names of all voices, without reading anything else."""
        if not self.path.exists():
            return []
        with self._reading() as rows:
            return rows.names()

    def _not_found(self, name: str) -> SpeakerNotFound:
        return SpeakerNotFound(f"no enrolled voice '{name}' in {self.path}; {close_names(name, self.names())}")

    @contextmanager
    def _reading(self) -> Iterator[Rows]:
        with self._open() as database:
            yield self._rows_of(database)

    @contextmanager
    def _writing(self) -> Iterator[Rows]:
        with self._changing() as database:
            rows = self._rows_of(database)
            if isinstance(rows, PlainRows):
                rows.create()
            yield rows

    def _rows_of(self, database: sqlite3.Connection) -> Rows:
        if version_of(database) == SEALED_VERSION:
            return SealedRows(database, self._vault_of(database))
        return PlainRows(database)

    def _vault_of(self, database: sqlite3.Connection) -> Vault:
        place, proof = lock_of(database)
        vault = Vault(key_at(place))
        if not vault.opens(proof):
            raise EnrolmentError(f"the key is not the one that {self.path} was encrypted with ({place}): name that one")
        return vault

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One immediate transaction: a second writer waits, and an error leaves everything as it was."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # A voice is personal: sqlite would make the file readable for everybody.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            reason = error.strerror
            raise EnrolmentError(f"cannot write the voices to {self.path}: {reason}; set {HOME_VARIABLE}") from None
        with self._open() as database:
            database.execute("PRAGMA journal_mode = PERSIST")
            database.execute("BEGIN IMMEDIATE")
            # From now on the lock is kept, until the journal, which holds what was there before, is overwritten.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            try:
                yield database
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
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
            try:
                # What is removed is overwritten, so that no voice can be read out of the file afterwards.
                database.execute("PRAGMA secure_delete = ON")
                version = version_of(database)
                if version > SEALED_VERSION:
                    raise EnrolmentError(
                        f"{self.path} has format {version}, this program knows {SEALED_VERSION}: update it"
                    )
                yield database
            finally:
                database.close()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise EnrolmentError(
                    f"the disk is full: nothing was changed in {self.path}; free some space"
                ) from error
            reason = " ".join(str(error).split())[:200]
            raise EnrolmentError(
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


def _taken(name: str) -> EnrolmentError:
    return EnrolmentError(f"a voice '{name}' is enrolled already: choose another name, or replace it with --replace")
