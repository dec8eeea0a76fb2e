"""An encrypted store is the store as ever to whoever has the key, and nothing to who has not."""

import json
import os
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from postgres_server import contents

from softspoken.errors import EnrolmentError, MissingExtra, SpeakerNotFound
from softspoken.speakers import Enrolment, EnrolmentStore
from softspoken.speakers.enrolment import pack
from softspoken.speakers.store.vault import KEY_VARIABLE, Vault


def voice_of(name: str, number: int) -> Enrolment:
    rng = np.random.default_rng(number)
    vector = rng.standard_normal(16).astype(np.float32)
    clip = (0.1 * rng.standard_normal(16_000)).astype(np.float32)
    source = (f"/recordings/{name} {number}.wav",)
    return Enrolment(
        name, "campplus", vector / np.linalg.norm(vector), 1.0, "2026-01-01T00:00:00+00:00", source, (), clip
    )


Named = Callable[[str], Path | str]
"""Where a store may be, by a name; see `place` in conftest."""


@pytest.fixture
def store(place: Named) -> EnrolmentStore:
    made = EnrolmentStore(place("voices"))
    made.add([voice_of("ada", 1), voice_of("boris", 2), replace(voice_of("carl", 3), clip=None)])
    return made


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere.key"


def same(one: Enrolment, other: Enrolment) -> bool:
    clips = [None if each.clip is None else pack(each.clip) for each in (one, other)]
    told = [
        (each.name, each.embedder, each.speech_s, each.created, each.sources, each.warnings) for each in (one, other)
    ]
    return told[0] == told[1] and np.array_equal(one.vector, other.vector) and clips[0] == clips[1]


def traces(store: EnrolmentStore) -> list[bytes]:
    content = contents(store)
    # Three letters would be found by chance in what is encrypted.
    wanted = [
        b"boris",
        b"campplus",
        b"/recordings",
        b"fLaC",
        *(voice_of("", n).vector.tobytes() for n in (1, 2)),
    ]
    return [trace for trace in wanted if trace in content]


def test_everything_is_as_before_and_nothing_is_readable(store: EnrolmentStore, place: Named, key: Path) -> None:
    before = store.list()
    assert traces(store)
    assert store.key is None
    assert store.encrypt(key) == store.key == f"file:{key}"
    assert traces(store) == []
    after = EnrolmentStore(place("voices"))
    assert all(same(one, other) for one, other in zip(before, after.list(), strict=True))
    assert [voice.clip for voice in after.list(clips=False)] == [None] * 3
    assert key.stat().st_mode & 0o077 == 0
    store.decrypt()
    assert store.key is None
    assert all(same(one, other) for one, other in zip(before, store.list(), strict=True))


def test_a_store_may_be_encrypted_before_its_first_voice(place: Named, key: Path) -> None:
    store = EnrolmentStore(place("other"))
    store.encrypt(key)
    store.add([voice_of("ada", 1)])
    assert store.names() == ["ada"]
    assert traces(store) == []


def test_what_the_store_does_it_does_encrypted(store: EnrolmentStore, key: Path) -> None:
    store.encrypt(key)
    with pytest.raises(EnrolmentError, match="enrolled already"):
        store.add([voice_of("ada", 5)])
    with pytest.raises(EnrolmentError, match="enrolled already"):
        store.rename("ada", "boris")
    store.add([voice_of("ada", 5)], replace=True)
    assert np.array_equal(store.get("ada").vector, voice_of("ada", 5).vector)
    store.rename("ada", "dora")
    assert np.array_equal(store.get("dora").vector, voice_of("ada", 5).vector)
    store.rename("dora", "boris", replace=True)
    store.rename("boris", "boris")
    assert sorted(store.names()) == ["boris", "carl"]
    with pytest.raises(SpeakerNotFound, match="close to it: boris"):
        store.get("borris")
    for missing in (store.delete, store.get):
        with pytest.raises(SpeakerNotFound):
            missing("ada")
    store.delete("carl")
    assert json.loads(store.export())["voices"][0]["name"] == "boris"
    assert store.delete_all() == ["boris"]
    assert store.names() == []
    assert traces(store) == []


def test_without_the_key_nothing_opens(store: EnrolmentStore, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.encrypt(key)
    moved = key.rename(key.with_name("moved.key"))
    for use in (store.names, store.list, store.delete_all, lambda: store.get("ada"), store.decrypt):
        with pytest.raises(EnrolmentError, match=f"cannot read the key .*{KEY_VARIABLE}"):
            use()
    monkeypatch.setenv(KEY_VARIABLE, str(moved))
    assert len(store.names()) == 3
    # Another key, or none.
    EnrolmentStore(key.with_name("other.db")).encrypt(key.with_name("other.key"))
    monkeypatch.setenv(KEY_VARIABLE, str(key.with_name("other.key")))
    with pytest.raises(EnrolmentError, match="not the one"):
        store.names()
    moved.write_text("nonsense")
    monkeypatch.setenv(KEY_VARIABLE, str(moved))
    with pytest.raises(EnrolmentError, match="holds no key"):
        store.names()


def test_what_was_changed_or_moved_in_the_file_is_refused(store: EnrolmentStore, key: Path) -> None:
    store.encrypt(key)
    with store.place.changing() as database:
        rows = database.execute("SELECT id, voice FROM sealed WHERE clip IS NOT NULL").fetchall()
        (one, _), (other, taken) = rows[:2]
        database.execute("UPDATE sealed SET voice = ? WHERE id = ?", (taken, one))
    with pytest.raises(EnrolmentError, match="was changed"):
        store.list()
    with store.place.changing() as database:
        database.execute("DELETE FROM sealed WHERE id = ?", (one,))
        clip = bytearray(database.execute("SELECT clip FROM sealed WHERE id = ?", (other,)).fetchone()[0])
        clip[40] ^= 1
        database.execute("UPDATE sealed SET clip = ? WHERE id = ?", (bytes(clip), other))
    assert len(store.list(clips=False)) == 2
    with pytest.raises(EnrolmentError, match="a clip in the store was changed"):
        store.list()


def test_a_place_where_no_key_can_be(store: EnrolmentStore, tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match="cannot write the key"):
        store.encrypt(tmp_path / "nowhere" / "key")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(EnrolmentError, match="holds no key"):
        store.encrypt(tmp_path / "text")
    assert store.key is None
    assert len(store.names()) == 3
    with pytest.raises(EnrolmentError, match="not encrypted"):
        store.decrypt()
    store.encrypt(tmp_path / "key")
    with pytest.raises(EnrolmentError, match="encrypted already"):
        store.encrypt(tmp_path / "key")


def test_the_keyring_keeps_a_key_of_its_own_for_each_store(
    store: EnrolmentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[tuple[str, str], str] = {}
    ring = types.ModuleType("keyring")
    ring.set_password = lambda service, name, value: kept.__setitem__((service, name), value)  # type: ignore[attr-defined]
    ring.get_password = lambda service, name: kept.get((service, name))  # type: ignore[attr-defined]
    ring.delete_password = lambda service, name: kept.pop((service, name))  # type: ignore[attr-defined]
    ring.errors = types.SimpleNamespace(KeyringError=OSError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert store.encrypt("keyring").startswith("keyring:")
    assert len(store.names()) == 3
    ((_, name),) = kept
    assert str(store.place) in name
    hidden = dict(kept)
    kept.clear()
    with pytest.raises(EnrolmentError, match="the keyring has no key"):
        store.names()
    kept.update(hidden)
    store.decrypt()
    assert kept == {}
    ring.set_password = lambda *given: (_ for _ in ()).throw(OSError("locked"))  # type: ignore[attr-defined]
    with pytest.raises(EnrolmentError, match=r"cannot be used \(locked\): give a key file"):
        store.encrypt("keyring")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtra, match=r"softspoken\[encrypt\]"):
        store.encrypt("keyring")


def test_a_sealed_thing_says_nothing_twice() -> None:
    vault, other = Vault(os.urandom(32)), Vault(os.urandom(32))
    assert vault.seal(b"hello", "a") != vault.seal(b"hello", "a")
    assert vault.open(vault.seal(b"hello", "a"), "a") == b"hello"
    assert vault.alias("ada") == vault.alias("ada") != other.alias("ada")
    assert vault.opens(vault.proof())
    assert not other.opens(vault.proof())


def test_no_undo_journal_is_left_with_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite writes what was there before into a journal; that is overwritten before it goes."""
    store = EnrolmentStore(tmp_path / "voices.db")
    store.add([voice_of("ada", 1), voice_of("boris", 2)])
    seen: list[tuple[bytes, bytes]] = []
    from softspoken.speakers.store import sqlite_file as module

    def looking(journal: Path) -> None:
        before = journal.read_bytes()
        overwrite(journal)
        seen.append((before, journal.read_bytes()))

    overwrite = module._overwrite
    monkeypatch.setattr(module, "_overwrite", looking)
    store.delete("ada")
    ((before, after),) = seen
    assert b"ada" in before
    assert len(after) == len(before)
    assert not any(after)
    assert [path.name for path in tmp_path.glob("voices.db*")] == ["voices.db"]
