import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from known_systems import known_method, three_items
from typer.testing import CliRunner

from softspoken.cli import evaluate as command
from softspoken.cli import evaluate_progress
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.runner import Method
from softspoken.evaluation.systems import Systems

app = typer.Typer()
app.command()(command.evaluate)


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Systems, "method", known_method)
    monkeypatch.setattr(command, "require_methods", lambda names: None)
    return three_items(tmp_path)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_one_method_is_one_json_object(manifest: Path) -> None:
    row = json.loads(run(manifest, "--method", "talks", "--json"))
    assert (row["method"], row["wer"], row["rejection_rate"], row["words"]) == ("talks", 0.5, 0.0, 4)
    assert row["wer_low"] <= row["wer"] <= row["wer_high"]


def test_several_methods_are_a_list_with_paired_differences(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "items.jsonl"
    rows = json.loads(run(manifest, "--method", "deaf", "--method", "right", "--json", "--out", out))
    assert [row["method"] for row in rows] == ["deaf", "right"]
    assert "difference" not in rows[0]
    assert rows[1]["difference"]["against"] == "deaf"
    assert rows[1]["difference"]["wer"] == -1.0
    assert len(out.read_text().splitlines()) == 6


def test_every_method_in_every_precision(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the first; in one precision alone, names stay as they are."""
    asked = []
    made = Systems.method

    def noting(self: Systems, name: str) -> Method:
        asked.append((self.engine, self.precision, name))
        return made(self, name)

    monkeypatch.setattr(Systems, "method", noting)
    both = ("--precision", "float32", "--precision", "int8")
    rows = json.loads(run(manifest, "--method", "right", "--method", "deaf", "--engine", "openvino", *both, "--json"))
    assert [row["method"] for row in rows] == ["right, float32", "right, int8", "deaf, float32", "deaf, int8"]
    assert {row["difference"]["against"] for row in rows[1:]} == {"right, float32"}
    assert asked == [("openvino", kind, name) for name in ("right", "deaf") for kind in ("float32", "int8")]
    assert json.loads(run(manifest, "--method", "right", "--precision", "int8", "--json"))["method"] == "right"
    assert asked[-1] == ("auto", "int8", "right")
    run(manifest, "--method", "right")
    assert asked[-1] == ("auto", None, "right")


def test_the_table_fits_a_narrow_terminal(manifest: Path) -> None:
    shown = run(manifest, "--method", "talks", "--method", "right", "--precision", "float32", "--precision", "int8")
    table = shown.split("silent kept: ")[0].splitlines()
    assert max(len(line) for line in table) <= 80
    assert "seconds" in table[1]
    rows = [line for line in table if "%" in line][1:]
    names = ("talks, float32", "talks, int8", "right, float32", "right, int8")
    assert [line.strip().startswith(name) for line, name in zip(rows, names, strict=True)] == [True] * 4
    assert all("0.0" in line.split()[-1] for line in rows)
    assert "right, float32 less talks, float32: -50.0 points" in shown


def test_a_long_name_is_shown_whole(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "run:/somewhere/far/down/a/run@last"
    found = Systems.method
    monkeypatch.setattr(Systems, "method", lambda self, asked: replace(found(self, "talks"), name=asked))
    table = run(manifest, "--method", name).split("silent kept: ")[0].splitlines()
    assert max(len(line) for line in table) <= 80
    assert "".join(line[:16].strip() for line in table[3:]) == name


def test_limit_takes_the_first_items(manifest: Path) -> None:
    assert json.loads(run(manifest, "--method", "talks", "--json", "--limit", 1))["wer"] == 0.0


def test_a_missing_manifest_is_an_expected_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no file"):
        run(tmp_path / "none.jsonl")


def test_a_log_is_told_how_long_it_takes(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_progress, "LINE_EVERY_S", 0.0)
    result = CliRunner().invoke(app, [str(manifest), "--method", "right", "--method", "deaf", "--json"])
    lines = [line for line in result.stderr.splitlines() if "items, about" in line]
    assert [line.partition(", about")[0] for line in lines] == [
        *(f"right: {done} of 6 items" for done in (1, 2, 3)),
        *(f"deaf: {done} of 6 items" for done in (4, 5, 6)),
    ]
    assert lines[-1].endswith("about 0 s left")
    json.loads(result.stdout)


def test_threads_are_those_asked_for_or_of_the_environment(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    made = Systems.method

    def noting(self: Systems, name: str) -> Method:
        given.append(self.threads)
        return made(self, name)

    monkeypatch.setattr(Systems, "method", noting)
    monkeypatch.setattr("torch.set_num_threads", given.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run(manifest, "--method", "right")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    run(manifest, "--method", "right")
    run(manifest, "--method", "right", "--threads", 2)
    assert given == [None, 3, 2, 2]


@pytest.mark.parametrize("out", ["manifest.jsonl", "a.wav", "no/out.jsonl"])
def test_a_bad_place_is_told_before_anything_runs(out: str, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Systems, "method", lambda *given: pytest.fail("loaded"))
    before = {file: file.read_bytes() for file in manifest.parent.iterdir()}
    with pytest.raises(ConfigError, match="--out"):
        run(manifest, "--method", "right", "--limit", 1, "--out", manifest.parent / out)
    assert {file: file.read_bytes() for file in manifest.parent.iterdir()} == before


def test_the_table_is_shown_even_if_the_transcripts_cannot_be_written(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("softspoken.evaluation.runner.write_text", full)
    result = CliRunner().invoke(app, [str(manifest), "--method", "right", "--json", "--out", str(tmp_path / "x.jsonl")])
    assert isinstance(result.exception, DataError)
    assert json.loads(result.stdout)["wer"] == 0.0
