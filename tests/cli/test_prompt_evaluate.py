import json
from pathlib import Path

import pytest
import typer
from speech_folder import make_speech_folder
from typer.testing import CliRunner

from softspoken.cli.prompt_evaluate import evaluate_prompt
from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import ConfigError
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.evaluation.runner import Method
from softspoken.runs.methods import Systems

app = typer.Typer()
app.command()(evaluate_prompt)

SMALL = ("--talkers", "2", "--overlap", "0,1", "--snr-db", "-5,5", "--mixtures", "1", "--split", "train")


@pytest.fixture(autouse=True)
def systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that need no model: 'right' knows, every other writes nothing."""

    def method(self: object, name: str) -> Method:
        def transcribe(item: EvaluationItem) -> Transcript:
            text = item.text if name == "right" else ""
            return Transcript((Segment(0.0, 1.0, text),) if text else ())

        return Method(name, transcribe, identity={"name": name})

    monkeypatch.setattr(Systems, "method", method)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    return make_speech_folder(tmp_path / "speech", talkers=12, seconds=3.2)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_grid_is_one_command_with_tables_numbers_and_a_picture(speech: Path, tmp_path: Path) -> None:
    out = tmp_path / "grid"
    shown = run("right", speech, "--grid", "--out", out, "--method", "deaf", *SMALL)
    assert "| 2 | all | deaf | 100.0% [100, 100] | +100.0 [+100.0, +100.0] |" in shown
    assert {path.name for path in out.iterdir()} == {"cells", "results", "grid.json", "grid.md", "grid.svg"}
    found = json.loads((out / "grid.json").read_text())
    assert [(row["method"], row["overlap"], row["snr_db"]) for row in found["cells"]][:2] == [
        ("right", 0.0, -5.0),
        ("deaf", 0.0, -5.0),
    ]
    again = json.loads(run("right", speech, "--grid", "--out", out, "--method", "deaf", "--json", *SMALL))
    assert again == found


def test_without_a_grid_it_is_evaluate(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    row = {"audio": "a.wav", "enrolment": "a.wav", "text": "GOOD DAY"}
    manifest = tmp_path / "items.jsonl"
    manifest.write_text(json.dumps(row))
    assert json.loads(run("right", manifest, "--json"))["wer"] == 0.0
    rows = json.loads(run("deaf", manifest, "--json", "--method", "right", "--out", tmp_path / "items-out.jsonl"))
    assert [(row["method"], row["wer"]) for row in rows] == [("deaf", 1.0), ("right", 0.0)]
    assert len((tmp_path / "items-out.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("grid", [True, False])
def test_the_engine_and_precision_asked_for(
    grid: bool, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def method(self: Systems, name: str) -> Method:
        asked.append((self.engine, self.precision))
        return Method(name, lambda item: Transcript(()), identity={})

    monkeypatch.setattr(Systems, "method", method)
    engine = ("--engine", "openvino", "--precision", "int8")
    if grid:
        run("any", speech, "--grid", "--out", tmp_path / "grid", *engine, *SMALL)
    else:
        (tmp_path / "a.wav").touch()
        (tmp_path / "items.jsonl").write_text('{"audio": "a.wav", "enrolment": "a.wav", "text": "GOOD DAY"}')
        run("any", tmp_path / "items.jsonl", *engine)
    assert asked == [("openvino", "int8")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--talkers", "2"), "--talkers is for a grid"),
        (("--grid",), "give --out FOLDER"),
        (("--grid", "--out", "x", "--limit", "3"), "no --limit"),
        (("--grid", "--out", "x", "--talkers", "2.5"), "whole numbers"),
        (("--grid", "--out", "x", "--snr-db", "loud"), "--snr-db is 'loud'"),
        (("--grid", "--out", "x", "--overlap", "0,0"), "each once"),
        (("--grid", "--out", "x", "--noise-snr-db", "5"), "noise needs both"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        run("right", speech, *arguments)
