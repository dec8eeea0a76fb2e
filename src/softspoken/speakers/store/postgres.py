"""A store of voices in a PostgreSQL database, for several machines. It needs psycopg, the extra `postgres`.

The tables have a schema of their own: 'softspoken', or the one that `?schema=NAME` in the URL says; several stores may
so share a database.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from softspoken.errors import EnrolmentError, MissingExtra, StoreUnavailable
from softspoken.speakers.store.rows import Taken

SCHEMES = ("postgresql://", "postgres://")
_SCHEMA = "softspoken"
_LONGEST_SCHEMA = 63
"""In bytes; PostgreSQL cuts a longer name, and two that begin alike would be one."""
_SESSION = "SET LOCAL lock_timeout = '30s'; SET LOCAL idle_in_transaction_session_timeout = '60s'"
_VERSION = "CREATE TABLE IF NOT EXISTS store_version (version INTEGER NOT NULL)"
_DIALECT = (("?", "%s"), ("BLOB", "BYTEA"), ("REAL", "DOUBLE PRECISION"))
"""What SQLite and PostgreSQL call differently."""


class PostgresDatabase:
    """See `rows.Database`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def version(self) -> int:
        if self._connection.execute("SELECT to_regclass('store_version')").fetchone()[0] is None:
            return 0
        kept = self._connection.execute("SELECT version FROM store_version").fetchone()
        return 0 if kept is None else int(kept[0])

    def set_version(self, version: int) -> None:
        self._connection.execute(_VERSION)
        self._connection.execute("DELETE FROM store_version")
        self._connection.execute("INSERT INTO store_version VALUES (%s)", (version,))

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        for one, other in _DIALECT:
            sql = sql.replace(one, other)
        try:
            return self._connection.execute(sql, values)
        except import_module("psycopg").IntegrityError as error:
            raise Taken(str(error)) from None


def store_of(url: str, name: str) -> str:
    """The URL of another store, for `name` alone: in the schema 'SCHEMA/NAME' of the same database."""
    parts, options = _read(url)
    schema = f"{options.get('schema', _SCHEMA)}/{name}"
    return urlunsplit(parts._replace(query=urlencode({**options, "schema": schema})))


class Postgres:
    """See `rows.Place`. Every call connects, does its work in one transaction, and leaves."""

    def __init__(self, url: str) -> None:
        """`url`: 'postgresql://USER:PASSWORD@HOST/DATABASE'. Raises EnrolmentError for what is none."""
        parts, options = _read(url)
        self._schema = options.pop("schema", _SCHEMA)
        size = len(self._schema.encode())
        if not 0 < size <= _LONGEST_SCHEMA:
            expected = f"PostgreSQL takes 1 to {_LONGEST_SCHEMA}; choose another name"
            raise EnrolmentError(f"the schema '{self._schema}' has {size} bytes, {expected}")
        self._url = urlunsplit(parts._replace(query=urlencode(options)))
        # A password is not for messages.
        user, mark, host = parts.netloc.rpartition("@")
        shown = "" if self._schema == _SCHEMA else urlencode({"schema": self._schema})
        place = parts._replace(netloc=f"{user.partition(':')[0]}{mark}{host}", query=shown, fragment="")
        self._shown = urlunsplit(place)

    def __str__(self) -> str:
        return self._shown

    @contextmanager
    def reading(self) -> Iterator[PostgresDatabase]:
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            yield PostgresDatabase(connection)

    @contextmanager
    def changing(self) -> Iterator[PostgresDatabase]:
        """One transaction under a lock of the store; its tables' schema is made where there is none."""
        with self._transaction("BEGIN") as connection:
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"softspoken {self._schema}",))
            known = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self._schema,)).fetchone()
            if known is None:
                connection.execute(f"CREATE SCHEMA {_quoted(self._schema)}")
            yield PostgresDatabase(connection)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Any]:
        try:
            psycopg = import_module("psycopg")
        except ImportError:
            raise MissingExtra("psycopg", "postgres", "a store of voices in PostgreSQL") from None
        try:
            # No prepared statements: proxies such as pgbouncer hand a connection on.
            connection = psycopg.connect(self._url, autocommit=True, prepare_threshold=None, connect_timeout=10)
            try:
                connection.execute(begin)
                connection.execute(_SESSION)
                connection.execute(f"SET LOCAL search_path TO {_quoted(self._schema)}")
                yield connection
                connection.execute("COMMIT")
            finally:
                # What was not committed is rolled back by the server.
                connection.close()
        except (psycopg.Error, UnicodeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise StoreUnavailable(
                f"cannot use the voices in {self}: {reason}; check the URL, the server and the rights of its user"
            ) from error


def _read(url: str) -> tuple[SplitResult, dict[str, str]]:
    """A URL and its options."""
    try:
        parts = urlsplit(url)
        return parts, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        expected = "postgresql://USER:PASSWORD@HOST/DATABASE"
        raise EnrolmentError(f"the URL of the store cannot be read; expected {expected}") from None


def _quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
