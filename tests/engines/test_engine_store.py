"""Exported models on disk: made once, whole or not at all."""

import multiprocessing
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine_samples import assert_close, engine_start, few_steps, sample, windows

from softspoken.backbones import WhisperBackbone
from softspoken.engines import Engine, load_engine
from softspoken.engines.model_store import ModelStore
from softspoken.errors import BackboneError
from softspoken.packages import CACHE_VARIABLE


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return ModelStore.of("0123456789abcdefghij", "runtime-1")


def refuse(folder: Path) -> None:
    raise AssertionError("made twice")


def write(folder: Path) -> None:
    (folder / "model.xml").write_text("whole")


def visible(store: ModelStore) -> list[str]:
    """What lies in the store, locks aside."""
    return sorted(path.name for path in store.folder.iterdir() if not path.name.endswith(".lock"))


def test_a_model_is_made_once(store: ModelStore, tmp_path: Path) -> None:
    folder = store.model("encoder", write)
    assert folder.is_relative_to(tmp_path / "cache" / "engines")
    assert (folder / "model.xml").read_text() == "whole"
    assert store.model("encoder", refuse) == folder
    assert ModelStore.of("0123456789abcdefghij", "runtime-1").model("encoder", refuse) == folder
    # Another runtime, weights, name: other models.
    others = [ModelStore.of("0123456789abcdefghij", "runtime-2"), ModelStore.of("another", "runtime-1")]
    assert len({folder, *(other.model("encoder", write) for other in others), store.model("decoder", write)}) == 4
    assert visible(store) == ["decoder", "encoder"]


def slowly(log: Path, folder: Path) -> None:
    with log.open("a") as file:
        file.write("made\n")
    (folder / "model.xml").write_text("half")
    time.sleep(0.3)
    (folder / "model.xml").write_text("whole")


def find(store: ModelStore, log: Path) -> str:
    return (store.model("encoder", lambda folder: slowly(log, folder)) / "model.xml").read_text()


def test_threads_make_it_once(store: ModelStore, tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def work() -> str:
        together.wait()
        return find(store, tmp_path / "log")

    with ThreadPoolExecutor(4) as pool:
        found = [job.result() for job in [pool.submit(work) for _ in range(4)]]
    assert found == ["whole"] * 4
    assert (tmp_path / "log").read_text() == "made\n"


def test_processes_make_it_once(store: ModelStore, tmp_path: Path) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def work() -> None:
        results.put(find(store, tmp_path / "log"))

    processes = [context.Process(target=work) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert [results.get(), results.get()] == ["whole", "whole"]
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_failure_leaves_nothing(store: ModelStore) -> None:
    def broken(folder: Path) -> None:
        write(folder)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        store.model("encoder", broken)
    assert visible(store) == []
    assert (store.model("encoder", write) / "model.xml").read_text() == "whole"


def test_what_a_killed_process_left_is_swept(store: ModelStore) -> None:
    store.folder.mkdir(parents=True)
    for name in (".encoder.1-abc.tmp", ".decoder.1-abc.tmp"):
        (store.folder / name).mkdir()
        (store.folder / name / "model.xml").write_text("half")
    store.model("encoder", write)
    # Somebody may be at work on the decoder.
    assert visible(store) == [".decoder.1-abc.tmp", "encoder"]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(BackboneError, match=f"cannot write the cache .*{CACHE_VARIABLE}") as caught:
        ModelStore.of("abc", "runtime").model("encoder", refuse)
    assert "\n" not in str(caught.value)

    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    store = ModelStore.of("abc", "runtime")
    with pytest.raises(BackboneError, match="No space left on device; free space") as caught:
        store.model("encoder", full)
    assert "\n" not in str(caught.value)
    assert visible(store) == []


def exported(engine: Engine) -> Path:
    folder: Path = engine._store.folder
    return folder


@pytest.mark.parametrize(
    ("file", "content"),
    [("model.xml", b"<net"), ("model.xml", b""), ("model.bin", b"short"), ("model.bin", None), ("model.xml", None)],
)
def test_a_damaged_model_says_what_to_remove(
    file: str, content: bytes | None, engines: dict[str, Engine], backbone: WhisperBackbone, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    given, features = sample(backbone, "none"), windows([0])
    wanted = few_steps(engine_start(engines["openvino"], given, features))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    fresh = load_engine(backbone, "openvino", threads=1)
    # The good ones of the other tests, but for one file.
    for name in ("frontend", "encoder-none", "decoder"):
        folder = exported(fresh) / name
        folder.mkdir(parents=True)
        for good in (exported(engines["openvino"]) / name).iterdir():
            (folder / good.name).write_bytes(good.read_bytes())
    damaged = exported(fresh) / "decoder"
    whole = (damaged / file).read_bytes()
    (damaged / file).unlink() if content is None else (damaged / file).write_bytes(content)
    heard = given.heard(fresh, features)
    with pytest.raises(BackboneError, match="remove it, it is made anew") as caught:
        heard.prefill(fresh.tokens.start(timestamps=True))
    assert f"'{damaged}'" in str(caught.value)
    assert "\n" not in str(caught.value)
    # Nothing bad was kept.
    (damaged / file).write_bytes(whole)
    assert_close(few_steps(heard.prefill(fresh.tokens.start(timestamps=True))), wanted, atol=1e-6)


def test_a_store_that_is_read_only_is_used_as_it_is(
    engines: dict[str, Engine], backbone: WhisperBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, features = sample(backbone, "none"), windows([0])
    wanted = few_steps(engine_start(engines["openvino"], given, features))
    there = exported(engines["openvino"])
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    fresh = load_engine(backbone, "openvino", threads=1)
    for name in ("frontend", "encoder-none", "decoder"):
        shutil.copytree(there / name, exported(fresh) / name)
    monkeypatch.setattr(os, "access", lambda place, mode: mode != os.W_OK)
    assert_close(few_steps(engine_start(fresh, given, features)), wanted, atol=1e-6)
    assert sorted(path.name for path in exported(fresh).iterdir()) == ["decoder", "encoder-none", "frontend"]
