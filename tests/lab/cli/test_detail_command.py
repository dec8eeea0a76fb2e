"""`softspoken-lab detail`: times and natural text are further fields and tables."""

import json
from pathlib import Path

import pytest
from known_systems import known_method, three_items
from typer.testing import CliRunner

from softspoken_lab.cli.main import app
from softspoken_lab.studies.systems import StudySystems


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(StudySystems, "method", known_method)
    monkeypatch.setattr("softspoken_lab.cli.detail.require_methods", lambda names, others: None)
    return three_items(tmp_path)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["detail", *[str(argument) for argument in arguments]], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("command", ["evaluate", "detail"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--backbone", "tiny.enn"], "no backbone 'tiny.enn'; did you mean tiny.en"),
        (["--method", "cascad"], "no method or prompt 'cascad'; did you mean cascade"),
        (["--method", "run:there", "--method", "separate:x", "--method", "casc:1"], "no method or prompt 'casc:1'"),
    ],
)
def test_a_mistyped_name_loads_no_model(
    command: str, given: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StudySystems, "method", lambda self, name: pytest.fail("it is too late for a name"))
    refused = CliRunner().invoke(app, [command, str(three_items(tmp_path)), *given])
    assert told in str(refused.exception)


def test_details_are_further_fields_and_tables(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in rows[:2]:
        one, other = row["text"].split()
        row |= {"words": [[one, 0.25, 0.5], [other, 0.5, 0.75]], "text": f"{one.title()} {other.lower()}."}
    manifest.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(StudySystems, "plain_text", lambda self, audio: pytest.fail("the manifest has natural text"))
    asked = (manifest, "--method", "right", "--method", "talks", "--timing", "--natural")
    right, talks = json.loads(run(*asked, "--json"))
    assert right["timing"]["truth"] == {"alignment": 2, "energy": 0}
    assert (right["timing"]["start"]["median_s"], right["timing"]["segment_end"]["p90_s"]) == (0.25, 0.25)
    assert right["timing"]["segment_start"]["count"] == 2
    assert right["natural"]["reference"] == {"manifest": 2, "whisper": 0}
    assert (right["natural"]["right"], right["natural"]["capitals"]["f1"]) == (4, 1.0)
    # 'good day' for both: one item right, without its capital and its mark.
    assert (talks["natural"]["right"], talks["natural"]["punctuation"]["recall"]) == (2, 0.0)
    shown = run(*asked)
    assert "natural text" in shown
    tables = [line for line in shown[shown.index("error of times") :].splitlines() if line.startswith("  ")]
    assert max(map(len, tables)) <= 80
    assert sum(line.split()[:1] == ["talks"] for line in tables) == 2
    assert "…" not in "".join(tables)
    assert "timing" not in json.loads(run(manifest, "--method", "right", "--natural", "--json"))
    assert json.loads(run(*asked[:3], "--json")).keys() >= {"timing", "natural"}
