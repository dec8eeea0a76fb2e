"""Stored prompts as systems under test: answers are kept for what a prompt is, and names are checked."""

import json
import shutil
from pathlib import Path

import pytest
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from typer.testing import CliRunner
from voices import PitchEmbedder, voice

from softspoken.audio import write_audio
from softspoken.cli.main import app
from softspoken.errors import PromptError
from softspoken.training.recipes import read_recipe
from softspoken.training.run import run_training

RECIPE = """
steps = 2
mixtures_per_batch = 2
development_mixtures = 4
validate_every = 2
warmup_steps = 1

[data]
speech = ["{manifest}"]
piece_s = [1.0, 3.0]
speeds = [1.0]

[mixing]
max_s = 3.0

[prompts]
encoder = "none"
decoder = "none"
speaker = {{ dimension = 8, into = "encoder" }}
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softspoken.training.run.load_backbone", lambda reference: tiny_backbone())
    monkeypatch.setattr("softspoken.training.run.load_learning_embedder", lambda *given: PitchEmbedder())
    monkeypatch.setattr("softspoken.evaluation.systems.load_embedder", lambda reference: PitchEmbedder())
    monkeypatch.setattr("softspoken.decoding.transcriber.load_embedder", lambda *given: PitchEmbedder())
    monkeypatch.setattr("softspoken.backbones.load_backbone", lambda *given: tiny_backbone())
    monkeypatch.setattr("softspoken.engines.load.stored_whisper", lambda reference: tiny_backbone().stored())


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    write_audio(tmp_path / "mixture.flac", voice(2.0, 300.0) + voice(2.0, 900.0, seed=1))
    rows = []
    for name, pitch in (("a", 300.0), ("b", 900.0)):
        write_audio(tmp_path / f"{name}.flac", voice(3.0, pitch, seed=2))
        rows.append({"id": name, "audio": "mixture.flac", "enrolment": f"{name}.flac", "text": "WORDS"})
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def kept_of(manifest: Path, method: str) -> int:
    """How many answers of a method are there from before."""
    ran = CliRunner().invoke(app, ["evaluate", str(manifest), "--method", method, "--json"])
    assert ran.exit_code == 0, (ran.output, ran.exception)
    (said,) = [line for line in ran.stderr.splitlines() if "kept" in line] or ["x: 0"]
    return int(said.rpartition(": ")[2].split()[0])


def test_a_changed_prompt_is_not_answered_by_the_old_one(tmp_path: Path, manifest: Path) -> None:
    speech = make_speech_folder(tmp_path / "speech", talkers=40, utterances=1, seconds=1.2)
    (tmp_path / "recipe.toml").write_text(RECIPE.format(manifest=speech))
    recipe = read_recipe(tmp_path / "recipe.toml")
    one, other = (run_training(recipe.model_copy(update={"seed": seed}), tmp_path / f"run{seed}") for seed in (0, 1))
    place = tmp_path / "prompt"
    shutil.copytree(one, place)
    assert [kept_of(manifest, str(place)) for _ in range(2)] == [0, 2]
    # A prompt is what it is, wherever it lies.
    shutil.copytree(one, tmp_path / "copy")
    assert kept_of(manifest, str(tmp_path / "copy")) == 2
    shutil.rmtree(place)
    shutil.copytree(other, place)
    assert [kept_of(manifest, str(place)) for _ in range(2)] == [0, 2]


def test_a_mistyped_method_is_one_line_with_those_there_are(manifest: Path) -> None:
    ran = CliRunner().invoke(app, ["evaluate", str(manifest), "--method", "cascaed"])
    assert isinstance(ran.exception, PromptError)
    assert str(ran.exception).startswith("no method or prompt 'cascaed'; did you mean cascade")
    assert "\n" not in str(ran.exception)
