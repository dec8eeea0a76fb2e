"""A whole run for speech in noise on a small backbone: recipe to recogniser, stopped and gone on with."""

import json
from pathlib import Path

import pytest
import torch
from noise_folder import make_noise_folder, write_noise_recipe
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from typer.testing import CliRunner

from softspoken.errors import ConfigError
from softspoken.training.loop import STATE
from softspoken.training.state import load_state
from softspoken_lab.cli.main import app
from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.config import NoiseTrainConfig
from softspoken_lab.noise.folder import load_recognizer
from softspoken_lab.noise.training import new_model, noise_data, read_noise_recipe


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    backbone = tiny_backbone()
    for room in ("softspoken_lab.noise.training", "softspoken_lab.noise.encoders"):
        monkeypatch.setattr(f"{room}.load_encoder", lambda reference, device="cpu": backbone)
    speech = make_speech_folder(tmp_path / "speech", talkers=40, utterances=1, seconds=1.2)
    return speech, make_noise_folder(tmp_path / "noise", ("car", "cafe"))


@pytest.fixture
def recipe(folders: tuple[Path, Path], tmp_path: Path) -> Path:
    return write_noise_recipe(tmp_path / "recipe.toml", *folders)


def train(recipe: Path, out: Path, *more: str) -> str:
    ran = CliRunner().invoke(app, ["noise", "train", str(recipe), "--out", str(out), *more])
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_a_recipe_becomes_a_recogniser(recipe: Path, tmp_path: Path) -> None:
    backbone = tiny_backbone()
    before = {name: tensor.clone() for name, tensor in backbone.module.state_dict().items()}
    train(recipe, tmp_path / "run")
    loaded = load_recognizer(tmp_path / "run" / "recognizer", backbone)
    assert loaded.prompts is not None
    assert loaded.prompts.task == "noise"
    assert (loaded.prompts.prompts.encoder.length, loaded.prompts.prompts.placement) == (3, "appended")
    assert loaded.info.training["utterances"] == 4 * loaded.info.training["steps"]
    untrained = new_model(read_noise_recipe(recipe), backbone, Characters())
    for name, tensor in loaded.model.named_parameters():
        # With one layer's weights alone in the sum ("last"), there would be nothing to learn there.
        assert not torch.equal(tensor, dict(untrained.named_parameters())[name]), name
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.module.state_dict().items())
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"valid/clean_wer", "valid/noisy_wer", "valid/score"} <= lines[1].keys()


def test_a_frozen_baseline_has_no_prompts_and_the_same_head_to_begin_with(
    folders, recipe: Path, tmp_path: Path
) -> None:
    frozen = write_noise_recipe(tmp_path / "frozen.toml", *folders, '"none"')
    heads = [new_model(read_noise_recipe(path), tiny_backbone(), Characters()).head for path in (recipe, frozen)]
    assert all(torch.equal(a, b) for a, b in zip(heads[0].parameters(), heads[1].parameters(), strict=True))
    train(frozen, tmp_path / "run")
    loaded = load_recognizer(tmp_path / "run" / "recognizer")
    assert loaded.prompts is None
    assert not (tmp_path / "run" / "recognizer" / "prompt").exists()


def test_a_stopped_run_ends_exactly_where_a_whole_one_does(recipe: Path, tmp_path: Path) -> None:
    """Dropout and masks of the head included."""
    train(recipe, tmp_path / "whole")
    while not (tmp_path / "parts" / "recognizer").exists():
        train(recipe, tmp_path / "parts", "--stop-after-s", "0")
    models = []
    for run in ("whole", "parts"):
        model = new_model(read_noise_recipe(recipe), tiny_backbone(), Characters())
        load_state(tmp_path / run / STATE, model, None)
        models.append(model.state_dict())
    assert all(torch.equal(tensor, models[1][name]) for name, tensor in models[0].items())


def test_talkers_who_are_put_aside_do_not_train(recipe: Path) -> None:
    data = noise_data(read_noise_recipe(recipe), Characters())
    trained = {data.training[index].id for index in range(len(data.training))}
    assert data.clean
    assert trained.isdisjoint(utterance.id for utterance in data.clean)
    assert {utterance.id for utterance in data.noisy} == {utterance.id for utterance in data.clean}
    assert all(utterance.corruption is None for utterance in data.clean)
    assert all(utterance.corruption is not None for utterance in data.noisy)


def test_prompts_and_head_have_rates_of_their_own(folders, tmp_path: Path) -> None:
    """A rate of prompts of next to nothing leaves them where they were, while the head moves on."""
    slow = write_noise_recipe(tmp_path / "slow.toml", *folders, "{}")
    slow.write_text(slow.read_text().replace("prompt_rate = 0.5", "prompt_rate = 1e-9"))
    train(slow, tmp_path / "run")
    found = load_recognizer(tmp_path / "run" / "recognizer").model
    fresh = new_model(read_noise_recipe(slow), tiny_backbone(), Characters())
    vectors = [model.prompts.stacks["encoder"].vectors for model in (found, fresh)]
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-6, rtol=0)
    assert (found.head.output.weight - fresh.head.output.weight).abs().max() > 1e-3


def test_prompts_are_added_to_a_trained_head_that_stays_as_it_is(folders, recipe: Path, tmp_path: Path) -> None:
    train(write_noise_recipe(tmp_path / "frozen.toml", *folders, '"none"'), tmp_path / "frozen")
    known = tmp_path / "frozen" / "recognizer"
    recipe.write_text(f'start = "{known}"\nhead_rate = 0.0\n' + recipe.read_text())
    train(recipe, tmp_path / "run")
    found, before = load_recognizer(tmp_path / "run" / "recognizer").model, load_recognizer(known).model
    assert all(torch.equal(a, b) for a, b in zip(found.head.parameters(), before.head.parameters(), strict=True))
    fresh = new_model(read_noise_recipe(recipe), tiny_backbone(), Characters())
    assert not torch.equal(found.prompts.stacks["encoder"].vectors, fresh.prompts.stacks["encoder"].vectors)
    recipe.write_text(recipe.read_text().replace("hidden = 8", "hidden = 4"))
    refused = CliRunner().invoke(app, ["noise", "train", str(recipe), "--out", str(tmp_path / "other")])
    assert isinstance(refused.exception, ConfigError)
    assert "other sizes" in str(refused.exception)


def test_a_baseline_learns_from_states_that_were_encoded_once(folders, tmp_path: Path) -> None:
    """The same steps as with the encoder in every step, up to the rounding of what is kept; and nothing is encoded
    twice."""
    frozen = write_noise_recipe(tmp_path / "frozen.toml", *folders, '"none"')
    frozen.write_text(frozen.read_text().replace("[head]", '[head]\nstates = "last"\njoined = 2'))
    cached = tmp_path / "cached.toml"
    cached.write_text(frozen.read_text() + f'\n[cache]\nfolder = "{tmp_path / "states"}"\ncopies = 2\n')
    for recipe in (frozen, cached):
        train(recipe, tmp_path / recipe.stem)
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "states").iterdir()}
    assert len(written) == 4
    train(cached, tmp_path / "again")
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "states").iterdir()} == written
    heads = [load_recognizer(tmp_path / run / "recognizer").model.head for run in ("frozen", "cached", "again")]
    for name, tensor in heads[0].state_dict().items():
        torch.testing.assert_close(heads[1].state_dict()[name], tensor, atol=2e-2, rtol=0)
        assert torch.equal(heads[2].state_dict()[name], heads[1].state_dict()[name])


def test_states_under_prompts_are_not_kept(folders, tmp_path: Path) -> None:
    recipe = write_noise_recipe(tmp_path / "recipe.toml", *folders)
    recipe.write_text(recipe.read_text() + f'\n[cache]\nfolder = "{tmp_path / "states"}"\n')
    ran = CliRunner().invoke(app, ["noise", "train", str(recipe)])
    assert isinstance(ran.exception, ConfigError)
    assert "without prompts" in str(ran.exception)


def test_no_prompts_of_length_nothing(folders, tmp_path: Path) -> None:
    recipe = write_noise_recipe(tmp_path / "zero.toml", *folders, "{ encoder = { length = 0 } }")
    ran = CliRunner().invoke(app, ["noise", "train", str(recipe)])
    assert isinstance(ran.exception, ConfigError)
    assert "prompts.encoder.length" in str(ran.exception)


@pytest.mark.parametrize("name", ["frozen", "m20", "m50"])
def test_the_papers_recipes_are_the_papers(name: str) -> None:
    """Section 2.2 and 2.3 of the paper, with SUPERB's decoder."""
    config = read_noise_recipe(Path(__file__).parents[3] / "recipes" / "noise" / f"paper.toml:{name}")
    assert isinstance(config, NoiseTrainConfig)
    assert config.backbone == "facebook/hubert-base-ls960"
    assert config.learning_rate == 1e-4
    assert (config.corruption.probability, config.corruption.snr_db) == (0.8, (0.0, 20.0))
    assert (config.head.projection, config.head.layers, config.head.hidden) == (1024, 2, 1024)
    length = 0 if config.prompts is None else config.prompts.encoder.length
    assert length == {"frozen": 0, "m20": 20, "m50": 50}[name]
    assert config.prompts is None or (config.prompts.encoder.depth, config.prompts.placement) == ("input", "appended")
