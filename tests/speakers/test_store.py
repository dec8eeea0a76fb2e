"""Voices survive; two processes do not hurt each other; nothing half-written; close names are offered."""

import base64
import io
import json
import multiprocessing
import os
import signal
import sqlite3
import stat
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from voices import PitchEmbedder, voice

from softspoken.audio import SAMPLE_RATE_HZ, write_wav
from softspoken.errors import AudioError, EnrolmentError, SpeakerNotFound
from softspoken.speakers import Clip, Enrolment, EnrolmentStore, resolve_voice
from softspoken.speakers.enrolment import pack, to_json
from softspoken.speakers.store import default_store_path
from softspoken.speakers.store.rows import PlainRows, Taken

Named = Callable[[str], Path | str]
"""Where a store may be, by a name; see `place` in conftest."""


@pytest.fixture
def store(place: Named) -> EnrolmentStore:
    return EnrolmentStore(place("voices"))


@pytest.fixture
def file_store(tmp_path: Path) -> EnrolmentStore:
    return EnrolmentStore(tmp_path / "voices.db")


def change(store: EnrolmentStore, *statements: str, version: int | None = None) -> None:
    """Behind the store's back."""
    with store.place.changing() as database:
        for statement in statements:
            database.execute(statement)
        if version is not None:
            database.set_version(version)


def made(name: str, embedder: str = "pitch") -> Enrolment:
    vector = np.zeros(8, np.float32)
    vector[len(name) % 8] = 1.0
    return Enrolment(name, embedder, vector, 5.0, "2026-01-01T00:00:00+00:00", ("a.wav",))


def test_enrol_and_get(store: EnrolmentStore, place: Named, tmp_path: Path) -> None:
    write_wav(tmp_path / "anna.wav", voice(6, 300))
    enrolled = store.enrol("Anna", [Clip(tmp_path / "anna.wav", 1.0, 5.0)], PitchEmbedder())
    kept = EnrolmentStore(place("voices")).get("Anna")
    np.testing.assert_array_equal(kept.vector, enrolled.vector)
    assert (kept.name, kept.embedder, kept.sources) == ("Anna", "pitch", (f"{tmp_path / 'anna.wav'} (1 s to 5 s)",))
    assert kept.speech_s == pytest.approx(4.0, abs=0.1)
    assert kept.created.endswith("+00:00")
    assert kept.vector @ PitchEmbedder().embed(voice(4, 300, seed=3)) > 0.95
    if store.path is not None:
        assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_clips_count_by_their_speech(store: EnrolmentStore) -> None:
    embedder, long, short = PitchEmbedder(), voice(12, 300), voice(4, 1500)
    kept = store.enrol("both", [long, short], embedder)
    mean = 12 * embedder.embed(long) + 4 * embedder.embed(short)
    np.testing.assert_allclose(kept.vector, mean / np.linalg.norm(mean), atol=0.01)
    assert kept.speech_s == pytest.approx(16, abs=0.2)


def test_a_name_is_taken_once(store: EnrolmentStore) -> None:
    first = store.enrol("Anna", [voice(4, 300)], PitchEmbedder())
    with pytest.raises(EnrolmentError, match=r"'Anna' is enrolled already.*--replace"):
        store.enrol("Anna", [voice(4, 1500)], PitchEmbedder())
    np.testing.assert_array_equal(store.get("Anna").vector, first.vector)
    second = store.enrol("Anna", [voice(4, 1500)], PitchEmbedder(), replace=True)
    np.testing.assert_array_equal(store.get("Anna").vector, second.vector)
    assert len(store.list()) == 1


def test_a_bad_clip_writes_nothing(store: EnrolmentStore, tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match="expected at least 3 s"):
        store.enrol("Anna", [voice(6), voice(1)], PitchEmbedder())
    with pytest.raises(AudioError, match="does not exist"):
        store.enrol("Anna", [tmp_path / "missing.wav"], PitchEmbedder())
    with pytest.raises(EnrolmentError, match="no clip"):
        store.enrol("Anna", [], PitchEmbedder())
    assert store.list() == []
    assert not store.exists()
    assert store.path is None or not store.path.exists()


def test_names_close_to_it(store: EnrolmentStore) -> None:
    with pytest.raises(SpeakerNotFound, match="none is enrolled yet"):
        store.get("Anna")
    store.add([made("Anna"), made("Annette"), made("Bob")])
    with pytest.raises(SpeakerNotFound, match="close to it: Anna"):
        store.get("ana")
    with pytest.raises(SpeakerNotFound, match="enrolled are: Anna, Annette, Bob"):
        store.get("Zoltán")


@pytest.mark.parametrize("name", ["", "   ", "a/b", "..\\x", "a\nb", "x" * 65, "\x00"])
def test_impossible_names(store: EnrolmentStore, name: str) -> None:
    with pytest.raises(EnrolmentError, match="cannot name a voice") as error:
        store.enrol(name, [voice(4)], PitchEmbedder())
    assert "\n" not in str(error.value)


def test_one_name_in_two_unicode_forms(store: EnrolmentStore) -> None:
    store.enrol("Jose\u0301", [voice(4)], PitchEmbedder())
    assert store.get("Jos\u00e9").name == "Jos\u00e9"
    assert store.get(" Jos\u00e9 ").name == "Jos\u00e9"


def test_rename_and_delete(store: EnrolmentStore) -> None:
    store.add([made("Anna"), made("Bob")])
    store.rename("Anna", "Hanna")
    assert [kept.name for kept in store.list()] == ["Bob", "Hanna"]
    with pytest.raises(EnrolmentError, match="'Bob' is enrolled already"):
        store.rename("Hanna", "Bob")
    with pytest.raises(SpeakerNotFound):
        store.rename("Anna", "Carl")
    store.delete("Bob")
    with pytest.raises(SpeakerNotFound):
        store.delete("Bob")
    assert [kept.name for kept in store.list()] == ["Hanna"]


def test_export_and_import(store: EnrolmentStore, place: Named) -> None:
    store.enrol("Anna", [voice(4, 300)], PitchEmbedder())
    store.enrol("Bob", [voice(4, 900)], PitchEmbedder())
    other = EnrolmentStore(place("other"))
    assert [taken.name for taken in other.import_json(store.export(clips=True))] == ["Anna", "Bob"]
    for mine, theirs in zip(store.list(), other.list(), strict=True):
        np.testing.assert_array_equal(mine.vector, theirs.vector)
        assert (mine.name, mine.sources, mine.created) == (theirs.name, theirs.sources, theirs.created)
        assert mine.clip is not None
        np.testing.assert_array_equal(mine.clip, theirs.clip)
    assert [voice["name"] for voice in json.loads(store.export(["Bob"]))["voices"]] == ["Bob"]


def test_the_sound_is_kept_unless_it_is_left_out(store: EnrolmentStore) -> None:
    sound = voice(4, 300)
    store.enrol("Anna", [voice(3.5, 300), sound], PitchEmbedder())
    store.enrol("Bob", [sound], PitchEmbedder(), keep_clip=False)
    kept = store.get("Anna").clip
    assert kept is not None
    np.testing.assert_allclose(kept, sound, atol=2**-15)
    assert store.get("Bob").clip is None
    store.enrol("Long", [np.tile(sound, 10)], PitchEmbedder())
    assert [None if one.clip is None else len(one.clip) / 16_000 for one in store.list()] == [4.0, None, 30.0]


def test_import_is_all_or_nothing(store: EnrolmentStore, place: Named) -> None:
    store.add([made("Anna"), made("Bob")])
    other = EnrolmentStore(place("other"))
    other.add([made("Bob")])
    with pytest.raises(EnrolmentError, match="'Bob' is enrolled already"):
        other.import_json(store.export())
    assert [kept.name for kept in other.list()] == ["Bob"]
    other.import_json(store.export(), replace=True)
    assert [kept.name for kept in other.list()] == ["Anna", "Bob"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="other"), "in format 'other'"),
        (lambda c: c.update(version=2), "version 2"),
        (lambda c: c["voices"][0].update(clip="@"), "voice 1 of the export is incomplete"),
        (lambda c: c["voices"][0].update(clip="AAAA"), "kept clip of 'Anna' is damaged"),
        (lambda c: c["voices"][0].pop("vector"), "voice 1 of the export is incomplete"),
        (lambda c: c["voices"][0].pop("clip"), "voice 1 of the export is incomplete"),
        (lambda c: c["voices"][0]["vector"].__setitem__(0, float("nan")), "no unit vector"),
        (lambda c: c["voices"][0].update(vector=[1.0, 1.0]), "no unit vector"),
        (lambda c: c["voices"][0].update(name="a/b"), "cannot name a voice"),
        (lambda c: c.pop("voices"), "not an export of voices"),
    ],
)
def test_a_broken_export(store: EnrolmentStore, change: object, message: str) -> None:
    store.add([made("Anna")])
    content = json.loads(store.export())
    change(content)  # type: ignore[operator]
    with pytest.raises(EnrolmentError, match=message):
        store.import_json(json.dumps(content), replace=True)
    np.testing.assert_array_equal(store.get("Anna").vector, made("Anna").vector)


@pytest.mark.parametrize("text", ["", "[]", "12", "not json"])
def test_no_export_at_all(store: EnrolmentStore, text: str) -> None:
    with pytest.raises(EnrolmentError, match="not an export of voices"):
        store.import_json(text)


def _add_many(place: Path | str, start: int) -> None:
    for index in range(start, start + 20):
        EnrolmentStore(place).add([made(f"voice {index}")])


def test_two_processes_lose_nothing(store: EnrolmentStore, place: Named) -> None:
    context = multiprocessing.get_context("spawn" if multiprocessing.get_start_method() == "spawn" else "fork")
    workers = [context.Process(target=_add_many, args=(place("voices"), start)) for start in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(store.list()) == 40


def test_a_store_of_the_future(store: EnrolmentStore) -> None:
    store.add([made("Anna")])
    change(store, version=99)
    for action in (store.list, store.names, lambda: store.add([made("Bob")])):
        with pytest.raises(EnrolmentError, match=r"format 99.*update"):
            action()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, whatever its name says\n" * 50)
    before = (tmp_path / "text.db").read_bytes()
    for action in (lambda s: s.list(), lambda s: s.add([made("Anna")])):
        with pytest.raises(EnrolmentError, match="cannot use the voices"):
            action(EnrolmentStore(tmp_path / "text.db"))
    assert (tmp_path / "text.db").read_bytes() == before


def test_a_vector_of_the_wrong_size_cannot_be_kept(store: EnrolmentStore) -> None:
    store.add([made("Anna")])
    with pytest.raises(Taken), store.place.changing() as database:
        database.execute("UPDATE voices SET vector = ?", (b"1234",))
    with store.place.changing() as database:
        database.execute("UPDATE voices SET vector = ?", (np.full(8, np.nan, "<f4").tobytes(),))
    with pytest.raises(EnrolmentError, match=r"'Anna' .* is damaged"):
        store.get("Anna")


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSPOKEN_HOME", str(tmp_path / "mine"))
    assert default_store_path() == tmp_path / "mine" / "voices.db"
    monkeypatch.delenv("SOFTSPOKEN_HOME")
    assert default_store_path().name == "voices.db"
    assert "softspoken" in str(default_store_path())


def test_resolve_a_name_or_a_clip(store: EnrolmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    embedder = PitchEmbedder()
    enrolled = store.enrol("Anna", [voice(4, 300)], embedder)
    write_wav(tmp_path / "clip.wav", voice(4, 1500))
    write_wav(tmp_path / "Anna", voice(4, 1500))
    assert resolve_voice("Anna", store, embedder).sources == enrolled.sources
    for reference in ("clip.wav", "./clip.wav", str(tmp_path / "clip.wav"), "./Anna"):
        clip = resolve_voice(reference, store, embedder)
        assert clip.vector @ enrolled.vector < 0.5
    assert [kept.name for kept in store.list()] == ["Anna"]
    with pytest.raises(SpeakerNotFound, match="close to it: Anna"):
        resolve_voice("Hanna", store, embedder)
    with pytest.raises(AudioError, match="does not exist"):
        resolve_voice("other.wav", store, embedder)


def test_a_clip_whose_name_could_not_name_a_voice(
    store: EnrolmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{'long ' * 30}.wav"
    write_wav(tmp_path / name, voice(4))
    for reference in (name, str(tmp_path / name)):
        assert resolve_voice(reference, store, PitchEmbedder()).embedder == "pitch"


def test_a_voice_of_another_embedder(store: EnrolmentStore) -> None:
    store.add([made("Anna", embedder="ge2e")])
    with pytest.raises(EnrolmentError, match="enrolled with the embedder 'ge2e', but 'pitch' is needed"):
        resolve_voice("Anna", store, PitchEmbedder())


def voice_of(name: str, number: int = 0, clip_s: float = 0.0) -> Enrolment:
    rng = np.random.default_rng(number)
    vector = rng.normal(size=192).astype(np.float32)
    clip = rng.normal(0, 0.1, round(clip_s * SAMPLE_RATE_HZ)).astype(np.float32) if clip_s else None
    return Enrolment(name, "e", vector / np.linalg.norm(vector), 5.0, "2026-01-01T00:00:00+00:00", ("a",), (), clip)


def test_ten_thousand_voices_are_listed_at_once(file_store: EnrolmentStore) -> None:
    store = file_store
    store.add([voice_of(f"voice {number}", number) for number in range(10_000)])
    begin = time.process_time()
    assert len(store.list(clips=False)) == 10_000
    # 0.2 s on a machine with nothing else to do.
    assert time.process_time() - begin < 1.0


def test_what_is_removed_is_gone_from_the_file(file_store: EnrolmentStore, tmp_path: Path) -> None:
    store = file_store
    assert store.path is not None
    store.add([voice_of("ada", 1, 2.0), voice_of("boris", 2, 2.0)])
    kept = voice_of("ada", 1, 2.0)
    assert kept.clip is not None
    packed, before = pack(kept.clip), store.path.read_bytes()
    # Some pieces lie across two pages of the file.
    pieces = [packed[start : start + 64] for start in range(0, len(packed) - 64, 1000)]
    traces = [kept.vector.tobytes(), b"ada", *(piece for piece in pieces if piece in before)]
    assert len(traces) > 0.8 * len(pieces)
    assert all(trace in before for trace in traces)
    store.delete("ada")
    after = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(trace in after for trace in traces)
    assert store.delete_all() == ["boris"]
    assert voice_of("boris", 2).vector.tobytes() not in store.path.read_bytes()


def test_what_is_not_there_is_told_at_once(store: EnrolmentStore) -> None:
    """Also in a store that nothing was ever put into."""
    begun = time.monotonic()
    for wrong in (lambda store: store.delete("ada"), lambda store: store.rename("ada", "boris")):
        with pytest.raises(SpeakerNotFound, match="none is enrolled yet"):
            wrong(store)
    assert time.monotonic() - begun < 20


def test_a_name_may_take_the_place_of_another(store: EnrolmentStore) -> None:
    store.add([voice_of("ada", 1), voice_of("boris", 2)])
    with pytest.raises(EnrolmentError, match="enrolled already"):
        store.rename("ada", "boris")
    with pytest.raises(SpeakerNotFound):
        store.rename("carl", "boris", replace=True)
    assert len(store.names()) == 2
    store.rename("ada", "boris", replace=True)
    np.testing.assert_array_equal(store.get("boris").vector, voice_of("ada", 1).vector)
    assert store.names() == ["boris"]


def test_a_full_disk_says_so_and_changes_nothing(file_store: EnrolmentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = file_store
    store.add([voice_of("ada", 1)])
    connect = sqlite3.connect

    def small(*given: object, **named: object) -> sqlite3.Connection:
        database = connect(*given, **named)  # type: ignore
        database.execute("PRAGMA max_page_count = 8")
        return database

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(EnrolmentError, match="disk is full"):
        store.add([voice_of("boris", 2, 10.0)])
    assert store.names() == ["ada"]


def test_eight_processes_enrol_at_once(store: EnrolmentStore, place: Named) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        pool.map(partial(_add, place("voices")), range(24), chunksize=1)
    assert sorted(store.names()) == sorted(f"voice {number}" for number in range(24))
    for number in range(24):
        np.testing.assert_array_equal(store.get(f"voice {number}").vector, voice_of("", number).vector)


def _add(place: Path | str, number: int) -> None:
    EnrolmentStore(place).add([voice_of(f"voice {number}", number, 1.0)])


def test_a_kill_in_the_middle_of_an_enrolment_leaves_nothing_half(store: EnrolmentStore, place: Named) -> None:
    """Nor does it keep the next one from writing."""
    store.add([made("Anna")])
    before = store.export()
    child = os.fork()
    if child == 0:
        add, added = PlainRows.add, []

        def dying(rows: PlainRows, row: tuple[object, ...], replace: bool) -> None:
            add(rows, row, replace)
            added.append(row)
            if len(added) == 5:
                os.kill(os.getpid(), signal.SIGKILL)

        PlainRows.add = dying  # type: ignore
        new = [made("Anna", "other"), *(made(f"v{n}") for n in range(9))]
        try:
            EnrolmentStore(place("voices")).add(new, replace=True)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert store.export() == before
    store.add([made("Bob")])
    assert [kept.name for kept in store.list()] == ["Anna", "Bob"]


@pytest.mark.parametrize(
    "damage", ["name = x'00ff'", "speech_s = 'long'", "sources = '{'", "clip = 'text'", "created = 3"]
)
def test_a_damaged_row_is_refused_or_read(store: EnrolmentStore, damage: str) -> None:
    """A database with types refuses some of this."""
    store.add([made("Anna")])
    with suppress(EnrolmentError):
        change(store, f"UPDATE voices SET {damage}")
    with suppress(EnrolmentError):
        assert len(store.list()) == 1


def test_a_clip_of_hours_is_not_unpacked(store: EnrolmentStore) -> None:
    exported = json.loads(to_json([voice_of("ada", clip_s=1.0)]))
    long = io.BytesIO()
    soundfile.write(long, np.zeros(16_000 * 31, np.float32), 16_000, format="FLAC")
    exported["voices"][0]["clip"] = base64.b64encode(long.getvalue()).decode()
    with pytest.raises(EnrolmentError, match="longer than 30 s"):
        store.import_json(json.dumps(exported))
    assert store.names() == []


def _locked(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


def test_a_thread_that_waits_takes_no_lock_from_another(file_store: EnrolmentStore) -> None:
    file_store.add([made("ada")])
    path = file_store.path
    assert path is not None
    spawn = multiprocessing.get_context("spawn")
    with ThreadPoolExecutor(1) as thread, ProcessPoolExecutor(1, spawn) as process:
        with file_store.place.changing():
            waiting = thread.submit(file_store.delete, "ada")
            assert process.submit(_locked, path).result()
            assert not waiting.done()
        waiting.result(10)
    assert file_store.names() == []
