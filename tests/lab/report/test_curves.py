"""Curves of training runs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from softspoken_lab.cli.main import app


def make_run(folder: Path, hours: float, wer: float) -> Path:
    (folder / "prompt").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"mixtures_per_batch": 4, "accumulation": 1}))
    training = {"training": {"speech_hours": hours, "talkers": round(100 * hours)}}
    (folder / "prompt" / "prompt_config.json").write_text(json.dumps(training))
    lines = [{"step": 1, "loss": 2.0}]
    for step in (2, 4):
        figures = {"right_voice": 1.0, "wrong_voice": 1.0 + step / 4, "wer": wer, "wer_low": wer - 0.1, "wer_high": wer}
        lines.append({"step": step, **{f"valid/{name}": value for name, value in figures.items()}})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize("by", ["mixtures", "hours", "talkers"])
def test_the_figure_and_each_last_rate(tmp_path: Path, by: str) -> None:
    runs = [str(make_run(tmp_path / name, hours, wer)) for name, hours, wer in (("few", 1.5, 0.5), ("many", 6.0, 0.4))]
    done = CliRunner().invoke(app, ["curves", *runs, "--by", by, "--out", str(tmp_path / "figure.svg")])
    assert done.exit_code == 0, done.output
    assert "few: 50.0 % [40.0, 50.0]" in done.output
    figure = (tmp_path / "figure.svg").read_text()
    assert figure.startswith("<svg")
    # Words can be read: what stands on the axis.
    assert {"mixtures": "mixtures trained on", "hours": "hours of training speech", "talkers": "talkers"}[by] in figure


def test_a_run_without_validations_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 1.0, 0.5)
    (run / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    done = CliRunner().invoke(app, ["curves", str(run), "--out", str(tmp_path / "figure.svg")])
    assert done.exit_code == 1
    assert not (tmp_path / "figure.svg").exists()
