"""`softspoken-lab prepare folder`: paths or JSON on stdout, talk on stderr, errors as they are."""

import json

import pytest
from noise_folder import make_noise_folder
from typer.testing import CliRunner

from softspoken.errors import DataError
from softspoken_lab.cli.corpora import Corpus
from softspoken_lab.cli.main import app
from softspoken_lab.corpora.prepare import CorpusName


def run(*arguments: object) -> tuple[str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_every_corpus_there_is_can_be_named() -> None:
    assert set(Corpus.__args__) == set(CorpusName.__args__)


def test_prepare_prints_the_manifest(tmp_path) -> None:
    make_noise_folder(tmp_path / "noise" / "cafe", ("cafe",), clips=1).unlink()
    out = tmp_path / "manifest.jsonl"
    said, told = run("prepare", "folder", tmp_path / "noise", "--out", out, "--split", "ood")
    assert said == f"{out}\n"
    assert "2 recordings, 0.00 h: 2 ood" in told
    summary = json.loads(run("prepare", "folder", tmp_path / "noise", "--out", out, "--json")[0])
    assert (summary["manifest"], summary["recordings"]) == (str(out), 2)


def test_what_is_wrong_is_said_as_one_error(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no recordings in"):
        run("prepare", "folder", tmp_path / "empty", "--out", tmp_path / "m.jsonl")
