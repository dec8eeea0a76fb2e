"""Enrolled voices, in an SQLite file (`sqlite_file`) or a PostgreSQL database (`postgres`); JSON in and out.

A voice is kept as its unit vector and, unless it is left out, up to half a minute of its sound, for prompts that hear
the clip themselves. All of it is encrypted where that is asked for.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from softspoken.errors import EnrolmentError, SpeakerNotFound
from softspoken.speakers.base import SpeakerEmbedder
from softspoken.speakers.enrolment import ClipLike, Enrolment, checked_name, close_names, enrol, from_json, to_json
from softspoken.speakers.quality import EnrolmentLimits
from softspoken.speakers.store.postgres import SCHEMES, Postgres
from softspoken.speakers.store.rows import (
    SEALED_VERSION,
    Database,
    Place,
    PlainRows,
    Rows,
    SealedRows,
    Taken,
    enrolment_of,
    lock_of,
    row_of,
    seal_all,
    unseal_all,
)
from softspoken.speakers.store.sqlite_file import HOME_VARIABLE, SqliteFile
from softspoken.speakers.store.vault import Vault, forget_key, key_at, new_key

# Inside the class, `list` is a method.
Voices = list[Enrolment]
Names = list[str]


def default_store_path() -> Path:
    """`voices.db` in $SOFTSPOKEN_HOME, or in the platform's folder for a user's data."""
    home = os.environ.get(HOME_VARIABLE, "")
    return (Path(home).expanduser() if home else Path(platformdirs.user_data_dir("softspoken"))) / "voices.db"


class EnrolmentStore:
    """Voices by name. Every call opens the store, does its work in one transaction, and closes it."""

    def __init__(self, place: str | Path | None = None) -> None:
        """`place`: a file (None: the default one), or 'postgresql://USER:PASSWORD@HOST/DATABASE', with '?schema=NAME'
        for one of several stores in it.

        The store is made by the first enrolment; reading one that is not there yet finds no voices.
        """
        self.place: Place
        if isinstance(place, str) and place.startswith(SCHEMES):
            self.place = Postgres(place)
        else:
            self.place = SqliteFile(default_store_path() if place is None else Path(place))

    def exists(self) -> bool:
        """Whether anything was ever kept here."""
        with self.place.reading() as database:
            return self._version_of(database) > 0

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
                except Taken:
                    raise _taken(enrolment.name) from None

    def get(self, name: str) -> Enrolment:
        """SpeakerNotFound, with the names that come close, when there is none."""
        known = checked_name(name)
        with self._reading() as rows:
            row = None if rows is None else rows.get(known)
        if row is None:
            raise self._not_found(name)
        return enrolment_of(row, self.place)

    def list(self, *, clips: bool = True) -> Voices:
        """All voices, by name; without reading their clips, where nobody wants those."""
        with self._reading() as rows:
            voices = [] if rows is None else [enrolment_of(row, self.place) for row in rows.all(clips)]
        return sorted(voices, key=lambda enrolment: enrolment.name.casefold())

    def rename(self, name: str, new_name: str, *, replace: bool = False) -> None:
        """SpeakerNotFound for `name`, EnrolmentError when `new_name` is taken (unless `replace`: it is removed)."""
        known, wanted = checked_name(name), checked_name(new_name)
        with self._writing() as rows:
            if replace and wanted != known and rows.get(known) is not None:
                rows.delete(wanted)
            try:
                renamed = rows.rename(known, wanted)
            except Taken:
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
        if not self.exists():
            return []
        with self._writing() as rows:
            names = sorted(rows.names())
            for name in names:
                rows.delete(name)
        return names

    @property
    def key(self) -> str | None:
        """Where the key of an encrypted store is: 'file:PATH' or 'keyring:ENTRY'; None: it is not encrypted."""
        if not self.exists():
            return None
        with self.place.reading() as database:
            return lock_of(database)[0] if self._version_of(database) == SEALED_VERSION else None

    def encrypt(self, key: str | Path) -> str:
        """Encrypt every voice, those to come too, and overwrite what was readable; where the key is now.

        `key`: a file, made where there is none, or 'keyring'. Raises EnrolmentError for a store that is encrypted
        already and a place where no key can be kept, MissingExtra without the extra `encrypt`.
        """
        if self.key is not None:
            raise EnrolmentError(f"{self.place} is encrypted already, with the key {self.key}; decrypt it first")
        path = self.path
        place, secret = new_key(str(key), str(self.place if path is None else path.absolute()))
        vault = Vault(secret)
        with self.place.changing() as database:
            PlainRows(database).create()
            seal_all(database, place, vault)
        return place

    def decrypt(self) -> None:
        """Keep the voices readable for whoever can read the file, as at first. EnrolmentError where they are so."""
        place = self.key
        if place is None:
            raise EnrolmentError(f"{self.place} is not encrypted; nothing was changed")
        with self.place.changing() as database:
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
        with self._reading() as rows:
            return [] if rows is None else rows.names()

    @property
    def path(self) -> Path | None:
        """Its file; None: it is in a database."""
        return self.place.path if isinstance(self.place, SqliteFile) else None

    def _not_found(self, name: str) -> SpeakerNotFound:
        return SpeakerNotFound(f"no enrolled voice '{name}' in {self.place}; {close_names(name, self.names())}")

    @contextmanager
    def _reading(self) -> Iterator[Rows | None]:
        """None: nothing was ever kept here."""
        with self.place.reading() as database:
            yield self._rows_of(database) if self._version_of(database) > 0 else None

    @contextmanager
    def _writing(self) -> Iterator[Rows]:
        with self.place.changing() as database:
            rows = self._rows_of(database)
            if isinstance(rows, PlainRows):
                rows.create()
            yield rows

    def _rows_of(self, database: Database) -> Rows:
        if self._version_of(database) == SEALED_VERSION:
            return SealedRows(database, self._vault_of(database))
        return PlainRows(database)

    def _version_of(self, database: Database) -> int:
        version = database.version()
        if version > SEALED_VERSION:
            raise EnrolmentError(f"{self.place} has format {version}, this program knows {SEALED_VERSION}: update it")
        return version

    def _vault_of(self, database: Database) -> Vault:
        place, proof = lock_of(database)
        vault = Vault(key_at(place))
        if not vault.opens(proof):
            raise EnrolmentError(
                f"the key is not the one that {self.place} was encrypted with ({place}): name that one"
            )
        return vault


def _taken(name: str) -> EnrolmentError:
    return EnrolmentError(f"a voice '{name}' is enrolled already: choose another name, or replace it with --replace")
