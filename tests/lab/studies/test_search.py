"""A search for the learning rate: a run for each, on a small backbone."""

import json
from pathlib import Path

import pytest
from noise_folder import make_noise_folder, write_noise_recipe
from speech_folder import make_speech_folder
from tiny import tiny_backbone

from softspoken.errors import ConfigError
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.studies.search import search_learning_rate


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    backbone = tiny_backbone()
    monkeypatch.setattr("softspoken_lab.noise.training.load_encoder", lambda reference, device="cpu": backbone)
    speech = make_speech_folder(tmp_path / "speech", talkers=40, utterances=1, seconds=1.2)
    noise = make_noise_folder(tmp_path / "noise", ("car", "cafe"))
    return write_noise_recipe(tmp_path / "recipe.toml", speech, noise)


def test_a_search_tries_every_rate_and_does_not_repeat_one(recipe: Path, tmp_path: Path) -> None:
    config = read_any_recipe(recipe)
    seen: list[float] = []
    results = search_learning_rate(
        config, tmp_path / "search", (0.001, 0.02), lambda one: seen.append(one.learning_rate)
    )
    assert seen == [0.001, 0.02]
    assert results[0].score <= results[1].score
    logs = {result.run: (result.run / "log.jsonl").read_text() for result in results}
    rates = {result.run: json.loads(logs[result.run].splitlines()[1])["learning_rate"] for result in results}
    assert all(rates[result.run] == pytest.approx(result.learning_rate) for result in results)
    again = search_learning_rate(config, tmp_path / "search", (0.001, 0.02))
    assert [result.score for result in again] == [result.score for result in results]
    assert all((run / "log.jsonl").read_text() == log for run, log in logs.items())
    with pytest.raises(ConfigError, match="different ones above 0"):
        search_learning_rate(config, tmp_path / "search", (0.001, 0.001))
