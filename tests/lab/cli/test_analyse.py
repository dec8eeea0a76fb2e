"""`softspoken-lab analyse`: every command prints a table, JSON and CSV, and one line where it cannot."""

import csv
import json
import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from made_noise import write_noise
from tiny_subjects import BACKBONE, recognizer_of, write_manifest
from typer.testing import CliRunner

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken_lab.analysis.probe_data import ProbeOptions
from softspoken_lab.cli.analyse_tables import numbers
from softspoken_lab.cli.main import app, run
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.folder import load_recognizer

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analyse")
    recognizer_of(folder / "prompted", noise_prompts(4))
    recognizer_of(folder / "frozen", None)
    recognizer_of(folder / "single", noise_prompts(1))
    write_manifest(folder / "speech", 4)
    write_noise(folder / "noise", {"car": (50.0, 400.0), "babble": (2000.0, 5000.0), "metro": (500.0, 900.0)}, clips=3)
    write_noise(folder / "office", {"office": (300.0, 3000.0)}, clips=2)
    (folder / "empty").mkdir()
    (folder / "silent").mkdir()
    write_audio(folder / "silent" / "nothing.wav", np.zeros(SAMPLE_RATE_HZ, np.float32))
    return folder


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softspoken_lab.analysis.load.load_encoder", lambda reference, device="cpu": BACKBONE)
    # What annotates with the class must have been imported before a function stands in its place.
    import_module("softspoken_lab.analysis.probe")
    monkeypatch.setattr(
        "softspoken_lab.analysis.probe_data.ProbeOptions", partial(ProbeOptions, trees=20, permutations=1)
    )


def asked(place: Path, *words: str) -> list[str]:
    return ["analyse", *(word.replace("@", f"{place}/") for word in words)]


CLEAN = ("--data", "clean=@speech")
COMMANDS = {
    "random": ("random", "@prompted", *CLEAN, "--seeds", "2", "--frozen", "@frozen"),
    "leave-one-out": ("leave-one-out", "@prompted", *CLEAN, "--limit", "2"),
    "clusters": ("clusters", "@prompted"),
    "roles": ("roles", "@prompted", *CLEAN),
    "subsets": ("subsets", "@prompted", *CLEAN, "--content", "1,3-4"),
    "removed": ("removed", "@prompted", *CLEAN, "--frozen", "@frozen"),
    "probe": ("probe", "@prompted", *CLEAN, "--noise", "@noise", "--per-cell", "2", "--content", "1,2", "--folds", "2"),
    "shift": ("shift", "@prompted", *CLEAN, "--noise", "@office/manifest.jsonl", "--content", "1,2"),
}
KINDS = {"random": "replacement", "removed": "removal"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_gives_numbers(place: Path, name: str, tmp_path: Path) -> None:
    table = tmp_path / "numbers.csv"
    done = RUNNER.invoke(app, [*asked(place, *COMMANDS[name]), "--json", "--csv", str(table)])
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert found["kind"] == KINDS.get(name, name)
    assert found["subject"]["prompts"] == 4
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(None not in row for row in rows)


@pytest.mark.parametrize("name", ["random", "leave-one-out", "clusters", "roles", "probe"])
def test_every_kind_of_table_can_be_read(place: Path, name: str) -> None:
    done = RUNNER.invoke(app, asked(place, *COMMANDS[name]), env={"COLUMNS": "200"})
    assert done.exit_code == 0, (done.output, done.exception)
    assert "prompted: 4 prompts, input" in done.stdout


def test_a_shift_is_stored_with_its_history(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "shifted"
    done = RUNNER.invoke(app, [*asked(place, *COMMANDS["shift"]), "--out", str(out), "--scale", "unit"])
    assert done.exit_code == 0, (done.output, done.exception)
    about = load_recognizer(out, BACKBONE).prompts
    assert about is not None
    assert about.history[0]["noise_prompts"] == [3, 4]
    assert about.history[0]["scale"] == "unit"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("leave-one-out", "@frozen", *CLEAN), "frozen baseline (m = 0)"),
        (("leave-one-out", "@single", *CLEAN), "m = 1: leaving one out needs at least 2"),
        (("clusters", "@single"), "m = 1: finding clusters needs at least 3"),
        (("random", "@prompted", "--data", "@speech"), "is not NAME=PATH"),
        (("random", "@prompted", "--data", "clean=@nowhere.jsonl"), "no manifest at"),
        (("random", "@prompted", *CLEAN, "--split", "train"), "has no utterance of split 'train'"),
        (("subsets", "@prompted", *CLEAN, "--content", "9"), "no prompts 9; there are 4"),
        (("subsets", "@prompted", *CLEAN, "--clean", "quiet"), "no set 'quiet' among clean"),
        (("shift", "@prompted", *CLEAN, "--noise", "@empty", "--content", "1"), "no recordings in"),
        (("shift", "@prompted", *CLEAN, "--noise", "@silent", "--content", "1"), "is silent"),
        (("shift", "@prompted", *CLEAN, "--noise", "@office", "--content", "1-4"), "the noise set is empty"),
        (("clusters", "@nowhere"), "no prompt"),
    ],
)
def test_what_cannot_be_analysed_is_one_line(
    place: Path,
    words: tuple[str, ...],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["softspoken-lab", *asked(place, *words)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 1
    shown = capsys.readouterr().err.strip().splitlines()
    assert len(shown) == 1, shown
    assert expected in shown[0]


def test_runs_of_numbers_are_short() -> None:
    assert numbers([3, 1, 2, 7, 9, 10]) == "1-3, 7, 9-10"
    assert numbers([]) == "-"
