"""One record for each input, whatever is killed; the same bytes in one go or in several."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from bulk_work import LoadWork

from softspoken.bulk import Item, Ledger, Processes, WorkerPool, items_of, run_pool
from softspoken.errors import ConfigError, MissingExtra

TEXTS = ["one", "bad", "zwei \u2028 \u00fc", "fault", "kills once", "kills", *["more"] * 6]
FAILED = {"r01.wav": "'r01.wav' is bad", "r03.wav": "unexpected ZeroDivisionError", "r05.wav": "ended 2 times"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "in", TEXTS)


def made(folder: Path, texts: Sequence[str]) -> Path:
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"r{number:02d}.wav").write_text(text)
    return folder


def ledger(out: Path, items: Sequence[Item], form: Literal["jsonl", "parquet"] = "jsonl", **options: Any) -> Ledger:
    out.mkdir(exist_ok=True)
    return Ledger(out, items, {"options": options}, form, 5)


def run(items: Sequence[Item], out: Path, pool: WorkerPool, most: int | None = None) -> int:
    """The number of records made; `most`: end after so many, with nothing tidied up."""
    with ledger(out, items) as opened:
        try:
            for made_now, (item, line) in enumerate(run_pool(opened.missing(), pool), start=1):
                opened.add(item, line)
                if made_now == most:
                    return made_now
        finally:
            pool.close()
        opened.finish()
        return len(opened.items)


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob("part-*.jsonl")) for line in path.read_text().splitlines()]


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.jsonl"))}


def test_every_input_has_one_record_in_order(folder: Path, tmp_path: Path) -> None:
    run(items_of(str(folder)), tmp_path / "out", Processes(LoadWork(), 2))
    found = [json.loads(line) for path in sorted((tmp_path / "out").glob("part-*.jsonl")) for line in path.open()]
    assert [one["id"] for one in found] == [f"r{number:02d}.wav" for number in range(12)]
    errors = {one["id"]: one["error"] for one in found if "error" in one}
    assert errors.keys() == FAILED.keys()
    assert all(FAILED[name] in error and "\n" not in error for name, error in errors.items())
    assert found[2]["text"] == TEXTS[2]
    assert found[4]["text"] == "survived"
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")) == [
        "failures.jsonl",
        "job.json",
        *(f"part-{number:05d}.jsonl" for number in range(3)),
    ]


@pytest.mark.parametrize("stops", [[1], [4, 5], [3, 1, 6]])
def test_what_was_stopped_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path, stops: list[int]) -> None:
    items = items_of(str(folder))
    run(items, tmp_path / "whole", Processes(LoadWork(), 2))
    done = 0
    for most in stops:
        run(items, tmp_path / "out", Processes(LoadWork(), 1), most=most)
        done += most
        with ledger(tmp_path / "out", items) as opened:
            assert opened.done == done
            assert len(opened.missing()) == 12 - done
    # The last record was being written.
    with (tmp_path / "out" / "unfinished").open("a") as file:
        file.write('11 {"id": "r11.wav", "te')
    run(items, tmp_path / "out", Processes(LoadWork(), 2))
    assert shards(tmp_path / "out") == shards(tmp_path / "whole")


def test_a_damaged_shard_is_made_again(folder: Path, tmp_path: Path) -> None:
    items, out = items_of(str(folder)), tmp_path / "out"
    run(items, out, Processes(LoadWork(), 2))
    before = shards(out)
    (out / "part-00001.jsonl").write_bytes(b"")
    (out / ".part-00002.jsonl.123-abc.tmp").write_bytes(b"half")
    with ledger(out, items) as opened:
        assert [item.id for item in opened.missing()] == [f"r{number:02d}.wav" for number in range(5, 10)]
    run(items, out, Processes(LoadWork(), 2))
    assert shards(out) == before
    assert not list(out.glob(".*.tmp"))


def test_a_list_of_failures_is_a_manifest(folder: Path, tmp_path: Path) -> None:
    run(items_of(str(folder)), tmp_path / "out", Processes(LoadWork(), 2))
    again = items_of(str(tmp_path / "out" / "failures.jsonl"))
    assert [item.id for item in again] == list(FAILED)
    for item in again:
        Path(item.path).write_text("mended")
    run(again, tmp_path / "again", Processes(LoadWork(), 2))
    assert [one["text"] for one in records(tmp_path / "again")] == ["mended"] * 3


def test_a_folder_belongs_to_one_job_and_one_run(folder: Path, tmp_path: Path) -> None:
    items, out = items_of(str(folder)), tmp_path / "out"
    with ledger(out, items), pytest.raises(ConfigError, match="another run writes"):
        ledger(out, items)
    with pytest.raises(ConfigError, match=r"another job \(other: options\); give another --out"):
        ledger(out, items, beam=2)
    with pytest.raises(ConfigError, match=r"another job \(other: inputs\)"):
        ledger(out, items[1:])


def test_models_that_cannot_be_loaded_end_the_job(folder: Path, tmp_path: Path) -> None:
    items = items_of(str(folder))
    with pytest.raises(ConfigError, match="no such model; name another"):
        run(items, tmp_path / "out", Processes(LoadWork("not"), 2))
    with pytest.raises(ConfigError, match=r"3 workers ended before they could begin \(by SIGKILL\)"):
        run(items, tmp_path / "out", Processes(LoadWork("killed"), 2))


DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from bulk_work import LoadWork
from test_bulk import run
from softspoken.bulk import Processes, items_of
if __name__ == "__main__":
    run(items_of(sys.argv[1]), Path(sys.argv[2]), Processes(LoadWork(), 2))
"""


def test_when_the_driver_is_killed_its_workers_end_and_the_next_goes_on(tmp_path: Path) -> None:
    folder = made(tmp_path / "slow", ["slow"] * 60)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(paths=[str(Path(__file__).parent), str(Path(__file__).parent.parent)]))
    command = [sys.executable, str(script), str(folder), str(tmp_path / "out")]
    driver = subprocess.Popen(command)
    journal = tmp_path / "out" / "unfinished"
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
        assert driver.poll() is None
        time.sleep(0.01)
    workers = children(driver.pid)
    assert len(workers) >= 2
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 20
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    items = items_of(str(folder))
    with ledger(tmp_path / "out", items) as opened:
        assert 3 <= opened.done < 60
    subprocess.run(command, check=True)
    assert [one["id"] for one in records(tmp_path / "out")] == [item.id for item in items]


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """By somebody else, while it is at work, and while it has nothing to do."""
    items, pool = items_of(str(made(tmp_path / "in", ["slow"] * 30))), Processes(LoadWork(), 2)
    found, killed = [], 0
    for item, _ in run_pool(items, pool):
        found.append(item.id)
        if len(found) in (3, 10, 28):
            process, _ = list(pool._workers.values())[killed % 2]
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
    pool.close()
    assert sorted(found) == [item.id for item in items]


def test_parquet_says_the_same(folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install pyarrow")
    items = items_of(str(folder))
    run(items, tmp_path / "out", Processes(LoadWork(), 2))
    text = b"".join(path.read_bytes() for path in sorted((tmp_path / "out").glob("part-*"))).decode()
    lines = text.split("\n")[:-1]
    out = tmp_path / "table"
    with ledger(out, items, "parquet") as opened:
        for item, line in zip(items[:7], lines, strict=False):
            opened.add(item, line)
    with ledger(out, items, "parquet") as opened:
        assert opened.missing() == items[7:]
        for item, line in zip(items[7:], lines[7:], strict=True):
            opened.add(item, line)
        opened.finish()
    rows = [row for path in sorted(out.glob("part-*.parquet")) for row in parquet.read_table(path).to_pylist()]
    assert [row["record"] for row in rows] == lines
    assert [row["error"] for row in rows] == [json.loads(line).get("error") for line in lines]


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"softspoken\[parquet\]"):
        ledger(tmp_path / "out", items_of(str(folder)), "parquet")
