"""What a store in PostgreSQL has of its own; everything else of it is in test_store and test_vault."""

import sys

import numpy as np
import pytest

from softspoken.errors import EnrolmentError, MissingExtra
from softspoken.speakers import Enrolment, EnrolmentStore

ADA = Enrolment("ada", "campplus", np.eye(4, dtype=np.float32)[0], 5.0, "2026-01-01T00:00:00+00:00", ("a.wav",))


def test_stores_of_one_database_are_apart_and_leave_the_rest_alone(postgres_url: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE public.voices (whose text)")
        connection.execute("INSERT INTO public.voices VALUES ('of another program')")
    one, other = (EnrolmentStore(f"{postgres_url}&schema={name}") for name in ('team "a"', "team-b"))
    plain = EnrolmentStore(postgres_url)
    one.add([ADA])
    assert (one.names(), other.names(), plain.names()) == (["ada"], [], [])
    plain.add([ADA])
    one.delete("ada")
    assert (one.names(), other.names(), plain.names()) == ([], [], ["ada"])
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT whose FROM public.voices").fetchall() == [("of another program",)]


def test_a_reader_sees_one_state_while_another_writes(postgres_url: str) -> None:
    store = EnrolmentStore(f"{postgres_url}&schema=read")
    store.add([ADA])
    with store.place.reading() as database:
        assert database.version() == 1
        store.delete("ada")
        assert database.execute("SELECT name FROM voices").fetchall() == [("ada",)]
    assert store.names() == []


def test_who_reads_changes_nothing(postgres_url: str) -> None:
    store = EnrolmentStore(f"{postgres_url}&schema=locked")
    store.add([ADA])
    with pytest.raises(EnrolmentError, match="read-only"), store.place.reading() as database:
        database.execute("DELETE FROM voices")
    assert store.names() == ["ada"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:secret@localhost:1/voices", "postgresql://ada@localhost:1/voices"),
        ("postgres://ada@localhost:1/voices?password=secret", "postgres://ada@localhost:1/voices"),
        ("postgresql://ada:se@cret@localhost:1/voices?schema=team", "postgresql://ada@localhost:1/voices?schema=team"),
    ],
)
def test_a_server_that_is_not_there(url: str, shown: str) -> None:
    pytest.importorskip("psycopg")
    store = EnrolmentStore(url)
    assert str(store.place) == shown
    for use in (store.names, lambda: store.get("ada"), lambda: store.add([ADA]), store.exists):
        with pytest.raises(EnrolmentError, match=r"cannot use the voices in postgres.*check the URL") as error:
            use()
        assert "secret" not in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("url", ["postgresql://[half/voices", "postgresql://host/voices?schema"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(EnrolmentError, match="expected postgresql://USER:PASSWORD@HOST/DATABASE"):
        EnrolmentStore(url)


def test_a_name_that_the_server_would_cut() -> None:
    """Two stores of 64 bytes that begin alike would be one."""
    EnrolmentStore(f"postgresql://host/voices?schema={'x' * 63}")
    for name in ("x" * 64, "ä" * 32):
        with pytest.raises(EnrolmentError, match="has 64 bytes, PostgreSQL takes 1 to 63"):
            EnrolmentStore(f"postgresql://host/voices?schema={name}")


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'softspoken\[postgres\]'"):
        EnrolmentStore("postgresql://localhost/voices").names()


def test_the_dialect_is_the_servers(postgres_url: str) -> None:
    """No SQL of the rows says 'REAL', which is half as exact there, or holds a sign that stands for a value."""
    store = EnrolmentStore(f"{postgres_url}&schema=exact")
    store.add([Enrolment("100 %", "campplus", ADA.vector, 1 / 3, ADA.created, ("what?.wav",))])
    kept = store.get("100 %")
    assert (kept.speech_s, kept.sources) == (1 / 3, ("what?.wav",))
