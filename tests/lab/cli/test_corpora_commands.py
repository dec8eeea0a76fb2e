"""`softspoken-lab prepare` and `check`: what is printed, and the exit code."""

import json
from pathlib import Path

import pytest
from mixture_folders import make_librimix
from typer.testing import CliRunner, Result

from softspoken.errors import DataError
from softspoken_lab.cli.corpora import MixtureCorpus
from softspoken_lab.cli.main import app
from softspoken_lab.corpora.prepare_mixtures import MixtureCorpusName


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    make_librimix(root)
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_every_corpus_there_is_can_be_named() -> None:
    assert set(MixtureCorpus.__args__) == set(MixtureCorpusName.__args__)


def test_prepare_prints_a_manifest_a_part(storage: Path, tmp_path) -> None:
    ran = run("prepare", "librimix", storage / "Libri2Mix", "--out", tmp_path, "--silent", 1, "--only", "dev")
    assert ran.exit_code == 0
    assert ran.stdout == f"{tmp_path / 'dev' / 'manifest.jsonl'}\n"
    assert "dev: 3 targets (1 silent) in 1 mixtures, 0.00 h" in ran.stderr
    options = ("--variant", "max/mix_both", "--seed", 3, "--json", "--librispeech", storage / "LibriSpeech")
    ran = run("prepare", "librimix", storage, "--out", tmp_path / "both", *options)
    parts = json.loads(ran.stdout)
    assert [(part["split"], part["items"], part["silent"]) for part in parts] == [
        ("train", 4, 0),
        ("development", 2, 0),
        ("test", 4, 0),
    ]
    spec = json.loads((tmp_path / "both" / "test" / "spec.json").read_text())
    assert (spec["variant"], spec["seed"], spec["enrolment_s"]) == ("max/mix_both", 3, 15.0)


def test_check_prints_a_line_a_problem_and_fails(storage: Path, tmp_path) -> None:
    run("prepare", "librimix", storage, "--out", tmp_path, "--only", "test", "--only", "train-100")
    ran = run("check", tmp_path)
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert "8 lines in 2 manifest(s)," in ran.stderr
    assert ran.stderr.endswith("nothing wrong\n")
    first = (tmp_path / "test" / "manifest.jsonl").read_text().splitlines()[0]
    gone = tmp_path / "test" / json.loads(first)["enrolment"]
    gone.unlink()
    ran = run("check", tmp_path / "test", tmp_path / "train-100" / "manifest.jsonl")
    assert ran.exit_code == 1
    assert ran.stdout == f"{tmp_path / 'test' / 'manifest.jsonl'}:1: missing: no file '{gone}'\n"
    assert "1 problem(s): 1 missing" in ran.stderr
    ran = run("check", tmp_path, "--json")
    found = json.loads(ran.stdout)
    assert (ran.exit_code, found["counts"], found["problems"][0]["kind"]) == (1, {"missing": 1}, "missing")


def test_check_refuses_a_place_without_manifests(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no manifest.jsonl in it"):
        run("check", tmp_path)
