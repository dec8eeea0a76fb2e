import json
from pathlib import Path

import pytest
import typer
from speech_folder import make_speech_folder
from typer.testing import CliRunner

from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import ConfigError
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.evaluation.runner import Method
from softspoken_lab.cli.grid import grid
from softspoken_lab.studies.systems import StudySystems

app = typer.Typer()
app.command()(grid)

SMALL = ("--talkers", "2", "--overlap", "0,1", "--snr-db", "-5,5", "--mixtures", "1", "--split", "train")


@pytest.fixture(autouse=True)
def systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that need no model: 'right' knows, every other writes nothing."""

    def method(self: object, name: str) -> Method:
        def transcribe(item: EvaluationItem) -> Transcript:
            text = item.text if name == "right" else ""
            return Transcript((Segment(0.0, 1.0, text),) if text else ())

        return Method(name, transcribe, identity={"name": name})

    monkeypatch.setattr(StudySystems, "method", method)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    return make_speech_folder(tmp_path / "speech", talkers=12, seconds=3.2)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_grid_is_one_command_with_tables_numbers_and_a_picture(speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "grid"
    shown = run("right", speech, "--out", out, "--method", "deaf", *SMALL)
    assert "| 2 | all | deaf | 100.0% [100, 100] | +100.0 [+100.0, +100.0] |" in shown
    assert {path.name for path in out.iterdir()} == {"cells", "results", "grid.json", "grid.md", "grid.svg"}
    found = json.loads((out / "grid.json").read_text())
    assert [(row["method"], row["overlap"], row["snr_db"]) for row in found["cells"]][:2] == [
        ("right", 0.0, -5.0),
        ("deaf", 0.0, -5.0),
    ]
    again = json.loads(run("right", speech, "--out", out, "--method", "deaf", "--json", *SMALL))
    assert again == found


def test_the_engine_and_precision_asked_for(speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def method(self: StudySystems, name: str) -> Method:
        asked.append((self.engine, self.precision))
        return Method(name, lambda item: Transcript(()), identity={})

    monkeypatch.setattr(StudySystems, "method", method)
    run("any", speech, "--out", tmp_path / "grid", "--engine", "openvino", "--precision", "int8", *SMALL)
    assert asked == [("openvino", "int8")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "x", "--talkers", "2.5"), "whole numbers"),
        (("--out", "x", "--snr-db", "loud"), "--snr-db is 'loud'"),
        (("--out", "x", "--overlap", "0,0"), "each once"),
        (("--out", "x", "--noise-snr-db", "5"), "noise needs both"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        run("right", speech, *arguments)
