"""Enrolled voices on disk: one SQLite file, safe with several processes, exported and imported as JSON.

A voice is kept as its unit vector and, unless it is left out, up to half a minute of its sound, for prompts that hear
the clip themselves. The file is readable by its owner alone.
"""

import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import platformdirs

from softspoken.errors import EnrolmentError, SpeakerNotFound
from softspoken.speakers.base import SpeakerEmbedder
from softspoken.speakers.enrolment import (
    LONGEST_NAME,
    Clip,
    ClipLike,
    Enrolment,
    checked_name,
    close_names,
    enrol,
    from_json,
    pack,
    to_json,
    unpack,
)
from softspoken.speakers.quality import EnrolmentLimits

HOME_VARIABLE = "SOFTSPOKEN_HOME"
SCHEMA_VERSION = 2
_WAIT_S = 30.0
_TABLE = """
CREATE TABLE IF NOT EXISTS voices (
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
_COLUMNS = "name, embedder, dimension, vector, speech_s, created, sources, warnings"
_WITHOUT_CLIPS = 1
"""The format that had none."""

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
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        with self._writing() as database:
            for enrolment in enrolments:
                try:
                    database.execute(
                        f"{verb} INTO voices ({_COLUMNS}, clip) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(enrolment)
                    )
                except sqlite3.IntegrityError:
                    raise _taken(enrolment.name) from None

    def get(self, name: str) -> Enrolment:
        """SpeakerNotFound, with the names that come close, when there is none."""
        for enrolment in self._select("WHERE name = ?", checked_name(name)):
            return enrolment
        raise self._not_found(name)

    def list(self, *, clips: bool = True) -> Voices:
        """All voices, by name; without reading their clips, where nobody wants those."""
        return sorted(self._select("", clips=clips), key=lambda enrolment: enrolment.name.casefold())

    def rename(self, name: str, new_name: str, *, replace: bool = False) -> None:
        """SpeakerNotFound for `name`, EnrolmentError when `new_name` is taken (unless `replace`: it is removed)."""
        with self._writing() as database:
            try:
                known = database.execute("SELECT 1 FROM voices WHERE name = ?", (checked_name(name),)).fetchone()
                if replace and known is not None and checked_name(new_name) != checked_name(name):
                    database.execute("DELETE FROM voices WHERE name = ?", (checked_name(new_name),))
                changed = database.execute(
                    "UPDATE voices SET name = ? WHERE name = ?", (checked_name(new_name), checked_name(name))
                )
            except sqlite3.IntegrityError:
                raise _taken(new_name) from None
            if changed.rowcount == 0:
                raise self._not_found(name)

    def delete(self, name: str) -> None:
        """SpeakerNotFound when there is none."""
        with self._writing() as database:
            if database.execute("DELETE FROM voices WHERE name = ?", (checked_name(name),)).rowcount == 0:
                raise self._not_found(name)

    def delete_all(self) -> Names:
        """Remove every voice; the names of those that were there."""
        if not self.path.exists():
            return []
        with self._writing() as database:
            names = [name for (name,) in database.execute("SELECT name FROM voices ORDER BY name")]
            database.execute("DELETE FROM voices")
        return names

    def export(self, names: Sequence[str] | None = None, *, clips: bool = True) -> str:
        """JSON of the named voices, or of all, vectors included, kept clips too unless `clips` is False.

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
        with self._open() as database:
            return [name for (name,) in database.execute("SELECT name FROM voices")]

    def _not_found(self, name: str) -> SpeakerNotFound:
        return SpeakerNotFound(f"no enrolled voice '{name}' in {self.path}; {close_names(name, self.names())}")

    def _select(self, condition: str, *values: str, clips: bool = True) -> Voices:
        if not self.path.exists():
            return []
        with self._open() as database:
            clip = "NULL" if _version(database) == _WITHOUT_CLIPS or not clips else "clip"
            rows = database.execute(f"SELECT {_COLUMNS}, {clip} FROM voices {condition}", values).fetchall()
        return [_enrolment(row, self.path) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One immediate transaction: a second writer waits, and an error leaves everything as it was."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # A voice is personal: sqlite would make the file readable for everybody.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            reason = error.strerror
            raise EnrolmentError(f"cannot write the voices to {self.path}: {reason}; set {HOME_VARIABLE}") from None
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                database.execute(_TABLE)
                if _version(database) == _WITHOUT_CLIPS:
                    database.execute("ALTER TABLE voices ADD COLUMN clip BLOB")
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # a full disk ends it by itself
                    database.execute("ROLLBACK")
                raise

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
            try:
                # What is removed is overwritten, so that no voice can be read out of the file afterwards.
                database.execute("PRAGMA secure_delete = ON")
                version = _version(database)
                if version > SCHEMA_VERSION:
                    raise EnrolmentError(
                        f"{self.path} has format {version}, this program knows {SCHEMA_VERSION}: update it"
                    )
                if version == 0:  # made this moment by another process, or empty
                    database.execute(_TABLE)
                yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise EnrolmentError(
                    f"the disk is full: nothing was changed in {self.path}; free some space"
                ) from error
            raise EnrolmentError(
                f"cannot use the voices in {self.path}: {error}; move the file away, or name another"
            ) from error


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _taken(name: str) -> EnrolmentError:
    return EnrolmentError(f"a voice '{name}' is enrolled already: choose another name, or replace it with --replace")


def _row(enrolment: Enrolment) -> tuple[object, ...]:
    vector = np.ascontiguousarray(enrolment.vector, "<f4")
    sources, warnings = json.dumps(enrolment.sources), json.dumps(enrolment.warnings)
    kept = (enrolment.name, enrolment.embedder, len(vector), vector.tobytes(), enrolment.speech_s)
    clip = None if enrolment.clip is None else pack(enrolment.clip)
    return (*kept, enrolment.created, sources, warnings, clip)


def _enrolment(row: tuple[str, str, int, bytes, float, str, str, str, bytes | None], path: Path) -> Enrolment:
    name, embedder, dimension, blob, speech_s, created, sources, warnings, kept = row
    vector = np.frombuffer(blob, "<f4").astype(np.float32)
    if len(vector) != dimension or not np.isfinite(vector).all():
        raise EnrolmentError(f"the voice '{name}' in {path} is damaged: remove it and enrol it again")
    clip = None if kept is None else unpack(kept, name)
    known = (tuple(json.loads(sources)), tuple(json.loads(warnings)))
    return Enrolment(name, embedder, vector, speech_s, created, *known, clip)


def resolve_voice(reference: str, store: EnrolmentStore, embedder: SpeakerEmbedder) -> Enrolment:
    """The enrolled voice of that name; otherwise the path of a clip, enrolled on the spot and not kept.

    A name wins over a file of the same name. Raises SpeakerNotFound for neither, AudioError or EnrolmentError for a
    clip that cannot be used, EnrolmentError for a voice enrolled with another embedder.
    """
    found = find_voice(reference, store)
    if isinstance(found, Enrolment):
        return _of(embedder, found)
    mixed = EnrolmentLimits(accept_mixed=True)
    return enrol(found.stem[:LONGEST_NAME] or "clip", [Clip(found)], embedder, limits=mixed)


def find_voice(reference: str, store: EnrolmentStore) -> Enrolment | Path:
    """The enrolled voice of that name, or the path of a clip: what can be known before a model is loaded.

    Raises SpeakerNotFound for what is neither.
    """
    path = Path(reference)
    if len(reference) > LONGEST_NAME or any(mark in reference for mark in "/\\"):
        return path
    try:
        return store.get(reference)
    except SpeakerNotFound as error:
        if not path.exists() and not path.suffix:
            raise SpeakerNotFound(f"{error}; nor is '{reference}' a clip") from None
    return path


def _of(embedder: SpeakerEmbedder, enrolment: Enrolment) -> Enrolment:
    if enrolment.embedder != embedder.name or len(enrolment.vector) != embedder.dimension:
        raise EnrolmentError(
            f"'{enrolment.name}' is enrolled with the embedder '{enrolment.embedder}', but '{embedder.name}' is needed "
            f"here: softspoken speaker enrol '{enrolment.name}' FILE --replace --embedder {embedder.name}"
        )
    return enrolment
