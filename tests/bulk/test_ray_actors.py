"""Ray's actors do what processes do, to the byte."""

import os
import sys
from pathlib import Path

import pytest
from bulk_work import LoadWork

from softspoken.bulk import Ledger, Processes, RayActors, WorkerPool, items_of, run_pool
from softspoken.errors import ConfigError, MissingExtra

TEXTS = ["one", "bad", "fault", "kills once", "kills", *["more"] * 6]


def shards(folder: Path, out: Path, pool: WorkerPool) -> dict[str, bytes]:
    for number, text in enumerate(TEXTS):
        (folder / f"{number:02d}.wav").write_text(text)
    out.mkdir()
    items = items_of(str(folder))
    with Ledger(out, items, {}, "jsonl", 4) as ledger:
        for item, line in run_pool(items, pool):
            ledger.add(item, line)
        ledger.finish()
    return {path.name: path.read_bytes() for path in out.glob("*.jsonl")}


def test_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'softspoken[ray]'")
    # Actors find what is under test where this process does.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    folder = tmp_path / "in"
    folder.mkdir()
    actors, processes = RayActors(LoadWork(), "local", 2, 1, gpu=False), Processes(LoadWork(), 2)
    theirs = shards(folder, tmp_path / "ray", actors)
    assert theirs == shards(folder, tmp_path / "processes", processes)
    assert len(theirs) == 4
    processes.close()
    # Other workers on the same cluster, whose start takes seconds.
    actors._awaited.clear()
    actors._actors.clear()
    actors._load = LoadWork("not")
    with pytest.raises(ConfigError, match="no such model"):
        next(run_pool(items_of(str(folder)), actors))
    actors.close()


def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'softspoken[ray]'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match="--ray auto: no such cluster") as error:
        RayActors(LoadWork(), "auto", 1, 1, gpu=False)
    assert "\n" not in str(error.value)


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'softspoken\[ray\]'"):
        RayActors(LoadWork(), "local", 1, 1, gpu=False)
