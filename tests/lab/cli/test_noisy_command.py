"""`softspoken-lab noisy`: paths or JSON on stdout, talk on stderr, errors as they are."""

import json
from pathlib import Path

import pytest
from noise_folder import make_noise_folder
from speech_folder import make_speech_folder
from typer.testing import CliRunner

from softspoken.errors import ConfigError, DataError
from softspoken_lab.cli.main import app
from softspoken_lab.noise.testsets import read_noisy_testset


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    manifest = make_speech_folder(tmp_path / "speech", talkers=2, utterances=2, seconds=1.0)
    manifest.write_text(manifest.read_text().replace('"train"', '"test"'))
    return manifest


def run(*arguments: object) -> tuple[str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_noisy_writes_a_set_and_prints_where(tmp_path, speech: Path) -> None:
    noise = make_noise_folder(tmp_path / "noise", clips=1, seconds=1.5)
    out = tmp_path / "set"
    options = ("--per-condition", 2, "--snr-db", "0,20", "--seed", 5)
    said, told = run("noisy", speech, noise, "--out", out, *options)
    assert said == f"{out / 'manifest.jsonl'}\n"
    assert "28 noisy utterances of split 'test', seed 5" in told
    assert len(read_noisy_testset(out)) == 7 * 2 * 2
    summary = json.loads(run("noisy", speech, noise, "--out", tmp_path / "again", *options, "--json")[0])
    assert (summary["utterances"], summary["per_condition"], summary["snr_db"], summary["seed"]) == (28, 2, [0, 20], 5)
    assert (tmp_path / "again" / "manifest.jsonl").read_bytes() == (out / "manifest.jsonl").read_bytes()


def test_noisy_takes_other_noise_from_a_folder_by_category(tmp_path, speech: Path) -> None:
    noise = tmp_path / "office"
    make_noise_folder(noise / "keyboard", ("keyboard",), clips=1).unlink()
    make_noise_folder(noise / "printer", ("printer",), clips=1).unlink()
    options = ("--category", "all", "--draw", "uniform", "--per-condition", 4, "--noise-split", "ood")
    run("noisy", speech, noise, "--out", tmp_path / "ood", *options)
    utterances = read_noisy_testset(tmp_path / "ood")
    assert {one.noise_type for one in utterances} == {"Keyboard", "Printer"}
    assert len(utterances) == 8


@pytest.mark.parametrize(
    "command",
    [
        ("noisy", "manifest", "noise", "--out", "set"),
        ("mixtures", "manifest", "set"),
        ("conversations", "manifest", "set"),
        ("grid", "manifest", "--out", "set"),
        ("train", "recipe.toml"),
        ("analyse", "clusters", "run"),
    ],
    ids=lambda command: command[0],
)
def test_a_seed_below_0_is_refused_as_an_argument(command: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(app, [*command, "--seed", "-1"])
    assert refused.exit_code == 2
    assert "seed" in refused.output


def test_what_is_wrong_is_said_as_one_error(tmp_path, speech: Path) -> None:
    noise = make_noise_folder(tmp_path / "noise", ("car",), clips=1)
    with pytest.raises(ConfigError, match="--snr-db is 'loud'"):
        run("noisy", speech, noise, "--out", tmp_path / "set", "--snr-db", "loud")
    with pytest.raises(DataError, match="no noise for metro"):
        run("noisy", speech, noise, "--out", tmp_path / "set", "--per-condition", 1)
