"""`softspoken backbone`: tables for people, JSON for programs, errors for neither."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner
from whisper_files import tiny_model, write_ctranslate2

from softspoken.backbones.weights import fingerprint
from softspoken.cli.backbone import app
from softspoken.errors import BackboneError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_ctranslate2(tiny_model(), tmp_path / "ct2")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list_says_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSPOKEN_CACHE", str(tmp_path))
    table = run("list")
    rows = json.loads(run("list", "--json"))
    assert {"name", "status", "kind", "source"} <= rows[0].keys()
    assert all(row["name"] in table and row["source"] in table for row in rows)
    assert rows[0]["name"] == "tiny.en"


def test_info_describes_the_model(folder: Path) -> None:
    model = tiny_model()
    described = json.loads(run("info", str(folder), "--json"))
    assert described["fingerprint"] == fingerprint(model.state_dict())
    assert described["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert (described["encoder_layers"], described["width"], described["heads"]) == (2, 32, 2)
    assert (described["mels"], described["vocabulary"], described["multilingual"]) == (80, 300, False)
    text = run("info", str(folder))
    assert described["fingerprint"] in text
    assert "multilingual    no" in text


def test_fetch_verifies_what_is_here(folder: Path) -> None:
    assert "is ready" in run("fetch", str(folder))


def test_an_unknown_backbone_is_an_expected_error() -> None:
    result = CliRunner().invoke(app, ["info", "nonsense"])
    assert isinstance(result.exception, BackboneError)
    assert result.stdout == ""
