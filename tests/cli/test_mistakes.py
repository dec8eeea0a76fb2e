"""A mistake costs a moment: arguments are checked before a model is loaded, or a package that only learning needs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from mistakes import MISTAKES, Outcome, outcome, prepare

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mistakes")
    prepare(place)
    return place


@pytest.mark.parametrize(
    "name",
    [
        "misspelt voice",
        "no folder for --out",
        "text named .wav",
        "a track that is not there",
        "unknown backbone",
        "backbone: unknown name",
        "a prompt of another backbone",
        "train: two wrong keys",
        "serve: unknown prompt",
        "serve: no keys",
        "serve: no such database",
        "evaluate: unknown method",
        "evaluate: a line that is none",
    ],
)
def test_a_mistake_is_told_soon_and_in_little_memory(name: str, folder: Path) -> None:
    """`tools/mistakes.py` tries them all."""
    found = outcome(MISTAKES[name].split(), folder, times=3)
    assert found.fine, (name, found)


def test_all_wrong_keys_are_told_at_once(folder: Path) -> None:
    said = outcome(MISTAKES["train: two wrong keys"].split(), folder).said
    assert [part for part in ("stepps", "learning_rat", "wrong.toml:2", "wrong.toml:3") if part not in said] == []


@pytest.mark.parametrize(
    "wrong",
    [
        Outcome(9.0, 2.0, 50.0, 1, "softspoken: no"),
        Outcome(0.5, 0.5, 624.0, 1, "softspoken: no"),
        Outcome(0.5, 0.5, 50.0, 0, "softspoken: nothing said"),
        Outcome(0.5, 0.5, 50.0, 1, "Traceback (most recent call last):"),
        Outcome(0.5, 0.5, 50.0, 1, ""),
    ],
)
def test_the_measure_can_fail(wrong: Outcome) -> None:
    assert not wrong.fine
    assert Outcome(5.0, 0.5, 50.0, 1, "softspoken: no").fine
