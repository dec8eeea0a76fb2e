"""Nothing is lost: what a run survives ends in the very numbers of the run that nothing happened to."""

import errno
import functools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_mixtures import small_mixtures
from tiny import LAYERS, WIDTH, tiny_backbone

from softspoken.cli.main import new_app, run_app
from softspoken.data.batches import collate
from softspoken.data.examples import MixtureDataset
from softspoken.errors import AudioError, ConfigError, DataError
from softspoken.prompts import PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.training.config import ObjectiveConfig, TrainConfig
from softspoken.training.loop import STATE, train
from softspoken.training.objective import TargetSpeakerObjective
from softspoken.training.run_folder import finish_run
from softspoken.training.state import MOST_IN_A_ROW, Progress, ReadableItems, surviving_workers, unreadable

PROMPTS = PromptConfig(encoder=StackPrompt(length=2), decoder=None, speaker=SpeakerPrompt(dimension=8))
SMALL = {"steps": 6, "mixtures_per_batch": 2, "warmup_steps": 2, "save_every": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MixtureDataset:
    return small_mixtures(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: MixtureDataset) -> Path:
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, data)
    return folder


def run(folder: Path, data, objective=None, report=None, **changes) -> Progress:
    backbone = tiny_backbone()
    torch.manual_seed(0)
    prompts = SoftPrompts(PROMPTS, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    config = TrainConfig(prompts=PROMPTS, **{**SMALL, **changes})
    together = functools.partial(collate, vocabulary=backbone.tokens, max_tokens=40)
    loss = TargetSpeakerObjective(backbone, PROMPTS, ObjectiveConfig()) if objective is None else objective
    return train(config, prompts, loss, data, together, folder, report=report)


def state(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / STATE)


def assert_same_end(one: Path, other: Path) -> None:
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


class Broken(torch.utils.data.Dataset):
    """Of a dataset, some items whose audio cannot be read."""

    def __init__(self, items: MixtureDataset, bad: set[int]) -> None:
        self.items, self.bad, self.asked = items, bad, []

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int):
        self.asked.append(index)
        if index in self.bad:
            raise AudioError(f"'{index % 2}.flac' is cut off")
        return self.items[index]


def test_audio_that_cannot_be_read_is_replaced_counted_and_listed(tmp_path: Path, data, whole: Path, capsys) -> None:
    bad = {1, 4, 5}
    run(tmp_path / "run", Broken(data, bad))
    missed = unreadable(tmp_path / "run")
    assert missed["items"] == 3
    assert missed["problems"] == {"'0.flac' is cut off": 1, "'1.flac' is cut off": 2}
    finish_run(tmp_path / "run", tmp_path / "run" / "prompt")
    assert "3 items were replaced, for 2 recordings" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "result.json").read_text())["unreadable"] == missed
    # The same whoever reads: another start, or a worker.
    run(tmp_path / "again", Broken(data, bad), workers=1)
    assert_same_end(tmp_path / "run", tmp_path / "again")
    assert unreadable(tmp_path / "again") == missed
    assert unreadable(whole) == {}


def test_where_nothing_can_be_read_it_ends(tmp_path: Path, data) -> None:
    items = ReadableItems(Broken(data, set(range(len(data)))), tmp_path)
    with pytest.raises(DataError, match=f"{MOST_IN_A_ROW} items in a row.*cut off; check the data"):
        items[0]


class Killed(MixtureDataset):
    """Its reader is killed, once, while it reads item 7."""

    def __init__(self, items: MixtureDataset, once: Path) -> None:
        self.__dict__.update(items.__dict__)
        self.once = once

    def __getitem__(self, index: int):
        if index == 7 and not self.once.exists():
            self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_a_worker_that_dies_is_replaced(tmp_path: Path, data, whole: Path, capsys) -> None:
    dying = Killed(data, tmp_path / "died")

    def once(again: bool) -> Progress:
        return run(tmp_path / "run", dying, workers=1, save_every=1)

    assert surviving_workers(once, tmp_path / "run" / STATE, 1).step == SMALL["steps"]
    assert (tmp_path / "died").exists()
    assert "going on from step" in capsys.readouterr().err
    assert_same_end(tmp_path / "run", whole)


def test_workers_that_keep_dying_end_it_in_one_line(tmp_path: Path) -> None:
    def dies(again: bool) -> Progress:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. \nmore")

    with pytest.raises(ConfigError, match=r"has died \(DataLoader worker \(pid 7\).*fewer 'workers'; there is no"):
        surviving_workers(dies, tmp_path / STATE, 1)

    def other(again: bool) -> Progress:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        surviving_workers(other, tmp_path / STATE, 1)


def test_a_loss_that_stays_no_number_ends_the_run_and_changes_nothing(tmp_path: Path, data) -> None:
    backbone = tiny_backbone()
    sound = TargetSpeakerObjective(backbone, PROMPTS, ObjectiveConfig())
    calls: Iterator[int] = iter(range(1000))

    def objective(module, batch):
        losses = sound(module, batch)
        return losses if next(calls) < 2 else {name: value * torch.nan for name, value in losses.items()}

    run(tmp_path / "two", data, steps=2)
    with pytest.raises(ConfigError, match=r"no finite number 20 times in a row, up to step 22.*learning_rate"):
        run(tmp_path / "run", data, objective, steps=40, save_every=1, schedule="stepped")
    assert all(bool(value.isfinite().all()) for value in state(tmp_path / "run").values())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_leaves_the_last_state(
    tmp_path: Path, data, whole: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    from safetensors import SafetensorError

    import softspoken.training.state as states

    real, saves = states.save_file, iter(range(100))

    def full(tensors, path, metadata) -> None:
        if next(saves) == 1:
            Path(path).write_bytes(b"half")
            raise SafetensorError(f"Error while serializing: I/O error: full (os error {number})")
        real(tensors, path, metadata)

    monkeypatch.setattr(states, "save_file", full)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        run(tmp_path / "run", data)
    assert caught.value.errno == number
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", STATE, "log.jsonl"]
    # A line of the log may be torn as well, and what a killed process was writing may lie about.
    with (tmp_path / "run" / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')
    (tmp_path / "run" / f".{STATE}.1-abcd.tmp").write_bytes(b"half")
    run(tmp_path / "run", data)
    assert_same_end(tmp_path / "run", whole)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", STATE, "log.jsonl"]
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_the_command_line_says_so_in_one_line(number: int, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    app = new_app("softspoken", "")

    @app.command("write")
    def write() -> None:
        raise OSError(number, os.strerror(number), "place")

    @app.command("other")
    def other() -> None: ...

    monkeypatch.setattr("sys.argv", ["softspoken", "write"])
    with pytest.raises(SystemExit) as caught:
        run_app(app)
    assert caught.value.code == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"cannot write to 'place' ({os.strerror(number)})" in err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_it_ends_the_same(tmp_path: Path, data, whole: Path) -> None:
    """A few kills; `tools/kill_study.py` makes many."""
    kills = 0
    for attempt in range(30):
        child = os.fork()
        if child == 0:
            try:
                run(tmp_path / "run", data, save_every=1)
            finally:
                os._exit(0)
        time.sleep(0.05 + 0.1 * attempt)
        finished, _ = os.waitpid(child, os.WNOHANG)
        if finished:
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
    assert kills > 0
    run(tmp_path / "run", data, save_every=1)
    assert_same_end(tmp_path / "run", whole)


def test_a_death_is_found_behind_another_error(tmp_path: Path) -> None:
    def train(again: bool) -> Progress:
        try:
            raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")
        except RuntimeError as error:
            raise TypeError("a check was interrupted") from error

    with pytest.raises(ConfigError, match="DataLoader worker"):
        surviving_workers(train, tmp_path / "none", 1)
