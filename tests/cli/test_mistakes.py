"""A mistake costs a moment: arguments are checked before a model is loaded, or a package that only learning needs."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from softspoken.cli.main import new_app, run_app

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
        "too short a recording",
        "a track that is not there",
        "unknown backbone",
        "backbone: unknown name",
        "a prompt of another backbone",
        "verify: unknown backbone",
        "export: no run",
        "teach: no recipe",
        "train: two wrong keys",
        "serve: unknown prompt",
        "serve: --data is a file",
        "serve: the address of another machine",
        "serve: no keys",
        "serve: no such database",
        "evaluate: unknown method",
        "evaluate: a threshold that is none",
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


@pytest.mark.parametrize(("said_by_itself", "said"), [(False, "softspoken: stopped\n"), (True, "3 of 7 are kept\n")])
def test_ctrl_c_is_said_once(
    said_by_itself: bool, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = new_app("softspoken", "")

    @tried.command("work")
    def work() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            if not said_by_itself:
                raise
            typer.echo("3 of 7 are kept", err=True)
            raise typer.Exit(130) from None

    monkeypatch.setattr("sys.argv", ["softspoken", "work"])
    with pytest.raises(SystemExit) as ended:
        run_app(tried)
    assert (ended.value.code, capsys.readouterr().err) == (130, said)


def test_a_closed_output_and_a_long_name_are_no_tracebacks(folder: Path) -> None:
    def run(*words: str) -> "subprocess.CompletedProcess[bytes]":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "softspoken.cli.main", *words]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False)

    listed = run("backbone", "list")
    assert (listed.returncode, listed.stderr) == (0, b"")
    said = run("transcribe", 300 * "x" + ".wav", "--plain").stderr.decode()
    assert said.startswith("softspoken: ")
    assert said.endswith("is too long; give a shorter one\n")
