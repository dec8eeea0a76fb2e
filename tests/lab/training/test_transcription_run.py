"""A run for everybody's words on a small backbone: recipe to prompt folder to transcripts, and who refuses it."""

import json
from pathlib import Path

import numpy as np
import pytest
from speech_folder import make_speech_folder
from tiny import tiny_backbone, tone
from typer.testing import CliRunner
from voices import PitchEmbedder

from softspoken.decoding import DecodingOptions, PromptedTranscriber, TargetSpeakerTranscriber
from softspoken.engines import load_engine
from softspoken.errors import ConfigError
from softspoken.prompts import SoftPrompts, load_prompts
from softspoken_lab.cli.main import app
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.training.checkpoint import load_run, transcriber_of
from softspoken_lab.training.config import StudyTrainConfig
from softspoken_lab.training.initialization import initialize_as_silence

RECIPE = """
task = "transcription"
prompt_start = "silence"
steps = 3
mixtures_per_batch = 2
validate_every = 2
learning_rate = 0.01
warmup_steps = 1

[data]
speech = ["{manifest}"]
piece_s = [1.0, 3.0]

[mixing]
talkers = {{ 1 = 0.6, 2 = 0.4 }}
overlap = [-0.1, 0.0]
max_s = 3.2
silent_probability = 0.2

[objective]
states = 1.0
teacher_window = "30s"

[prompts]
encoder = {{ length = 2 }}
decoder = "none"
speaker = "none"
"""
QUICK = DecodingOptions(temperatures=(0.0,), max_tokens=8)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the speech, and the run of the recipe as soon as a test has asked for it."""
    folder = tmp_path_factory.mktemp("shared")
    make_speech_folder(folder / "speech", talkers=40, utterances=2, seconds=1.2)
    return folder


@pytest.fixture
def recipe(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch, small_models: None) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(manifest=shared / "speech" / "manifest.jsonl"))
    monkeypatch.setattr("softspoken_lab.training.datasets.DEVELOPMENT_WINDOWS", 4)

    def no_embedder(reference: str, device: str) -> None:
        raise AssertionError("a prompt without a voice needs no embedder")

    monkeypatch.setattr("softspoken.training.run.load_learning_embedder", no_embedder)
    return path


@pytest.fixture
def run(recipe: Path, shared: Path) -> Path:
    """What the recipe trains; tests only read it."""
    if not (shared / "run").exists():
        ran = CliRunner().invoke(app, ["train", str(recipe), "--out", str(shared / "run")])
        assert ran.exit_code == 0, ran.output
    return shared / "run"


def test_a_recipe_becomes_a_prompt_that_transcribes(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert "valid/wer" in lines[1]
    assert "valid/gap" not in lines[1]
    loaded = load_prompts(run / "prompt", tiny_backbone())
    assert (loaded.info.task, loaded.info.embedder, loaded.info.window) == ("transcription", None, "audio")
    assert "short windows" in (run / "prompt" / "README.md").read_text()
    transcript = PromptedTranscriber(load_engine(tiny_backbone(), "torch"), loaded).transcribe(tone(3.0), options=QUICK)
    assert transcript.duration_s == 3.0
    assert transcript.speaker is None


def test_training_begins_at_silence(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace("steps = 3", "steps = 1").replace("= 0.01", "= 1e-9"))
    assert CliRunner().invoke(app, ["train", str(recipe), "--out", str(tmp_path / "run")]).exit_code == 0
    prompts = load_prompts(tmp_path / "run" / "prompt").prompts
    vectors = prompts.get_parameter("stacks.encoder.vectors").detach().numpy()
    # Normal vectors have a norm of 0.11.
    assert np.linalg.norm(vectors, axis=-1).min() > 1.0
    other = SoftPrompts(prompts.config, prompts.width, prompts.layers)
    initialize_as_silence(other, tiny_backbone(), [tone(1.0)])
    silent = other.get_parameter("stacks.encoder.vectors").detach().numpy()
    assert np.abs(vectors - silent).mean() < 0.5 * np.abs(silent).mean()


def test_who_follows_a_voice_refuses_it(run: Path) -> None:
    with pytest.raises(ConfigError, match="trained for 'transcription', expected 'target-speaker'"):
        TargetSpeakerTranscriber(load_engine(tiny_backbone(), "torch"), load_prompts(run / "prompt"), PitchEmbedder())
    with pytest.raises(ConfigError, match="follows no voice"):
        transcriber_of(load_run(run, "best", tiny_backbone()))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('speaker = "none"', "speaker = { dimension = 8 }", "follows no voice"),
        ("overlap = [-0.1, 0.0]", "overlap = [0.0, 0.5]", "one after the other"),
        ("[data]", '[data]\nmixtures = "mixtures.jsonl"', "leave out 'data.mixtures'"),
        ("length = 2 }", "length = 2, rank = 1 }", "plain encoder vectors"),
        ("[prompts]", '[prompts]\nplacement = "shifted"', "placement 'unshifted'"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "recipe.toml"
    content = RECIPE.format(manifest="none.jsonl")
    path.write_text(content)
    assert isinstance(read_any_recipe(path), StudyTrainConfig)
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        read_any_recipe(path)
