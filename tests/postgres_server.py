"""A PostgreSQL server of the tests' own, in a folder that goes away with it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from softspoken.speakers import EnrolmentStore
from softspoken.speakers.store.postgres import Postgres

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`; None: PostgreSQL is not installed."""
    named = shutil.which("initdb")
    folders = [] if named is None else [Path(named).resolve().parent]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").is_file()), None)


@contextmanager
def running(programs: Path) -> Iterator[str]:
    """A server that only this machine reaches, through a socket in its folder; its URL."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    told = {"env": {"LC_ALL": "C", "PATH": os.environ["PATH"]}, "cwd": folder, "user": user}

    def run(program: str, *words: str) -> None:
        done = subprocess.run([programs / program, *words], capture_output=True, text=True, timeout=120, **told)  # type: ignore
        assert done.returncode == 0, done.stderr

    try:
        run("initdb", "-D", str(data), "-U", "tester", "--auth=trust", "--no-sync", "-E", "UTF8")
        # No answer is read from `pg_ctl start`: the server would keep its end of the pipe.
        words = ["-D", str(data), "-w", "-l", str(folder / "log"), "-o", f"-h '' -k {folder} -F", "start"]
        subprocess.run([programs / "pg_ctl", *words], stdout=subprocess.DEVNULL, check=True, timeout=120, **told)  # type: ignore
        try:
            yield f"postgresql://tester:secret@/postgres?host={quote(str(folder), safe='')}"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def contents(store: EnrolmentStore) -> bytes:
    """Everything that somebody without the key can read of a store."""
    if store.path is not None:
        return b"".join(path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*"))
    assert isinstance(store.place, Postgres)
    with store.place.reading() as database:
        named = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        tables = [table for (table,) in database.execute(named)]
        rows = [row for table in tables for row in database.execute(f'SELECT * FROM "{table}"').fetchall()]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
