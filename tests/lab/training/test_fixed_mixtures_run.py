"""A whole run on a corpus's own mixtures, on a small backbone: from LibriMix's folder to a prompt."""

from pathlib import Path

import pytest
from mixture_folders import make_librimix
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from typer.testing import CliRunner

from softspoken.prompts import load_prompts
from softspoken_lab.cli.main import app as lab

RECIPE = """
steps = 2
mixtures_per_batch = 2
development_mixtures = 2
validate_every = 2
warmup_steps = 1

[data]
speech = ["{speech}"]
piece_s = [1.0, 3.0]
mixtures = "{mixtures}"

[objective]
states = 0.5

[prompts]
encoder = {{ length = 2 }}
decoder = {{ length = 2 }}
speaker = {{ dimension = 8, into = "frames" }}
frames = {{ keyed = 3, window_s = 0.4, hop_s = 0.2 }}
"""


@pytest.mark.usefixtures("small_models")
def test_librimix_trains_a_prompt(tmp_path: Path) -> None:
    command = ["prepare", "librimix", str(make_librimix(tmp_path / "storage")), "--only", "train-100"]
    prepared = CliRunner().invoke(lab, [*command, "--out", str(tmp_path / "prepared")])
    assert prepared.exit_code == 0, prepared.output
    speech = make_speech_folder(tmp_path / "speech", talkers=40, utterances=2, seconds=1.2)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(speech=speech, mixtures=prepared.stdout.strip()))
    ran = CliRunner().invoke(lab, ["train", str(recipe), "--out", str(tmp_path / "run")])
    assert ran.exit_code == 0, ran.output
    info = load_prompts(tmp_path / "run" / "prompt", tiny_backbone()).info
    assert info.prompts.encoder.length == 2
    # The card tells of the corpus that trained, not of the speech beside it.
    assert info.training["corpus"] == "train-100"
    assert "speech_hours" not in info.training
