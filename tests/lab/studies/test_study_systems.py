"""Runs of prompt tuning's rivals: recipe to stored weights, evaluated as prompts are, and what they cost."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from typer.testing import CliRunner
from voices import PitchEmbedder, voice

from softspoken.audio import write_audio
from softspoken.errors import ConfigError
from softspoken.training.run_folder import steps_done
from softspoken_lab.cli.main import app
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.studies.systems import StudySystems
from softspoken_lab.training.checkpoint import load_run, run_named
from softspoken_lab.training.config import StudyTrainConfig
from softspoken_lab.training.run import run_training

RECIPE = """
steps = 3
mixtures_per_batch = 2
development_mixtures = 4
validate_every = 3
save_every = 1
learning_rate = 0.01
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

[method]
{method}
"""
METHODS = {
    "prompt": 'kind = "prompt"',
    "lora": 'kind = "lora"',
    "adapters": 'kind = "adapters"\nwidth = 4',
    "full": 'kind = "full"',
}
PROJECTION = 8 * 32 + 32
"""Numbers of the speaker projection."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = ("softspoken_lab.training.run", "softspoken_lab.training.checkpoint", "softspoken_lab.studies.systems")
    for room in (*lab, "softspoken.training.run"):
        monkeypatch.setattr(f"{room}.load_backbone", lambda reference: tiny_backbone(int(reference == "other")))
    for room in ("softspoken_lab.training.checkpoint", "softspoken.evaluation.systems"):
        monkeypatch.setattr(f"{room}.load_embedder", lambda reference: PitchEmbedder())
    monkeypatch.setattr("softspoken.training.run.load_learning_embedder", lambda *given: PitchEmbedder())
    monkeypatch.setattr("softspoken.decoding.transcriber.load_embedder", lambda *given: PitchEmbedder())
    monkeypatch.setattr("softspoken.backbones.load_backbone", lambda *given: tiny_backbone())
    monkeypatch.setattr("softspoken.engines.load.stored_whisper", lambda reference: tiny_backbone().stored())


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_speech_folder(tmp_path_factory.mktemp("speech"), talkers=40, utterances=1, seconds=1.2)


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


def recipe_of(speech: Path, folder: Path, kind: str) -> StudyTrainConfig:
    path = folder / f"{kind}.toml"
    path.write_text(RECIPE.format(manifest=speech, method=METHODS[kind]))
    config = read_any_recipe(path)
    assert isinstance(config, StudyTrainConfig)
    return config


def written(manifest: Path, *methods: str, how: Sequence[str] = ()) -> dict[str, list[str]]:
    """What each method writes for each item. `how`: further options."""
    out = manifest.with_name("items.jsonl")
    named = [word for method in methods for word in ("--method", method)]
    ran = CliRunner().invoke(app, ["evaluate", str(manifest), *named, *how, "--json", "--out", str(out)])
    assert ran.exit_code == 0, (ran.output, ran.exception)
    found: dict[str, list[str]] = {}
    for line in map(json.loads, out.read_text().splitlines()):
        found.setdefault(line["method"], []).append(line["hypothesis"])
    return found


@pytest.mark.parametrize("kind", METHODS)
def test_a_run_of_every_method_is_evaluated(tmp_path: Path, speech: Path, manifest: Path, kind: str) -> None:
    run = tmp_path / "run"
    result = run_training(recipe_of(speech, tmp_path, kind), run)
    names = [f"run:{run}", f"run:{run}@last"]
    if kind == "prompt":
        assert result == run / "prompt"
        names.append(str(result))
    else:
        assert result == run / "best.safetensors"
        assert not (run / "prompt").exists()
    found = written(manifest, *names)
    assert all(len(found[name]) == 2 for name in names)
    # The only validation was at the end: best and last are the same state.
    assert found[names[0]] == found[names[1]]
    if kind == "prompt":
        assert found[names[0]] == found[names[2]]

        assert len(written(manifest, names[0], how=["--precision", "bfloat16"])[names[0]]) == 2
        reference, rounded = (StudySystems(precision=kind).method(names[0]).identity for kind in (None, "bfloat16"))
        assert rounded == reference | {"engine": "torch", "precision": "bfloat16"}
    else:
        for how in (["--precision", "bfloat16"], ["--engine", "openvino"]):
            refused = CliRunner().invoke(app, ["evaluate", str(manifest), "--method", names[0], *how])
            assert isinstance(refused.exception, ConfigError)
            assert "leave --engine and --precision out" in str(refused.exception)

    facts = json.loads((run / "facts.json").read_text())
    backbone = tiny_backbone()
    numbers = {
        "prompt": 0,
        "lora": 2 * 3 * 2 * (2 * 4 * 32),
        "adapters": 4 * (2 * 4 * 32 + 4 + 32),
        "full": backbone.parameter_count - backbone.max_frames * 32,
    }
    assert facts["trained_parameters"] == facts["deployed_parameters"] == numbers[kind] + PROJECTION
    assert facts["share_percent"] == pytest.approx(100 * facts["deployed_parameters"] / backbone.parameter_count)
    assert facts["stored_bytes"] == 2 * facts["deployed_parameters"] + 2 * 8 * 4
    assert facts["peak_memory_mb"] > 50


def test_a_stopped_run_of_weights_goes_on_as_if_it_had_not_been(tmp_path: Path, speech: Path) -> None:
    config = recipe_of(speech, tmp_path, "lora")
    run_training(config, tmp_path / "whole")
    assert run_training(config, tmp_path / "stopped", stop_after_s=0.0) is None
    assert steps_done(tmp_path / "stopped") == 1
    assert run_training(config, tmp_path / "stopped") is not None
    whole, resumed = (load_run(tmp_path / name, "last").trained.state_dict() for name in ("whole", "stopped"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_weights_are_no_prompt(tmp_path: Path, speech: Path) -> None:
    run = tmp_path / "run"
    run_training(recipe_of(speech, tmp_path, "full"), run)
    done = CliRunner().invoke(app, ["export", str(run), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, ConfigError)
    assert f"--method run:{run}" in str(done.exception)


def test_a_run_that_is_not_there_is_one_line(tmp_path: Path, manifest: Path) -> None:
    for name, said in ((f"run:{tmp_path / 'none'}", "no training run"), (f"run:{manifest}", "no training run")):
        ran = CliRunner().invoke(app, ["evaluate", str(manifest), "--method", name])
        assert isinstance(ran.exception, ConfigError)
        assert said in str(ran.exception)


def test_names_of_runs() -> None:
    assert run_named("cascade") is None
    assert run_named("run:runs/a") == (Path("runs/a"), "best")
    assert run_named("run:runs/a@last") == (Path("runs/a"), "last")
    assert run_named("run:runs/a@home") == (Path("runs/a@home"), "best")
