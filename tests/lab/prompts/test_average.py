"""The mean of several prompts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from prompt_samples import CONFIGS, SILENCE, trained
from tiny import tiny_backbone

from softspoken.backbones import WhisperBackbone
from softspoken.errors import ConfigError
from softspoken.prompts import LoadedPrompts, load_prompts, save_prompts
from softspoken.prompts.card import by_run
from softspoken_lab.prompts.average import average

FACTS = {"talkers": 5, "seed": 1}
Given = Callable[..., LoadedPrompts]


@pytest.fixture
def given(tmp_path: Path, backbone: WhisperBackbone) -> Given:
    """given(kind, seed): prompts of a kind, stored and loaded again."""

    def made(kind: str, seed: int, on: WhisperBackbone = backbone, **more: Any) -> LoadedPrompts:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        facts = {"training": FACTS | {"seed": seed}, "silence": SILENCE} | more
        save_prompts(trained(CONFIGS[kind], seed), folder, backbone=on, keep_reparameterisation=True, **facts)
        return load_prompts(folder)

    return made


@pytest.mark.parametrize("kind", ["deep", "frames, keyed", "enrolment", "low rank"])
def test_every_number_is_the_mean(given: Given, kind: str) -> None:
    three = [given(kind, seed) for seed in (1, 2, 3)]
    before = {name: value.clone() for name, value in three[0].prompts.state_dict().items()}
    mean, _ = average(three)
    for name, value in mean.state_dict().items():
        expected = sum(one.prompts.state_dict()[name] for one in three) / 3
        assert torch.allclose(value, expected, atol=1e-6), name
    # What was given stays as it was.
    assert all(torch.equal(value, before[name]) for name, value in three[0].prompts.state_dict().items())


def test_reparameterised_prompts_are_folded_first(given: Given) -> None:
    two = [given("separate", seed) for seed in (1, 2)]
    mean, _ = average(two)
    one, other = (prompts.prompts.fold().state_dict() for prompts in two)
    assert mean.config.reparameterisation == "none"
    assert all(
        torch.allclose(value, (one[name] + other[name]) / 2, atol=1e-5) for name, value in mean.state_dict().items()
    )


def test_facts_that_hold_for_all_stay_and_calibrations_go(given: Given) -> None:
    two = [given("deep", 1), given("deep", 2)]
    _, facts = average(two)
    assert facts["training"] == {
        "talkers": 5,
        "mean of": [{"digest": one.info.digest[:12], "seed": seed} for one, seed in zip(two, (1, 2), strict=True)],
    }
    assert facts["task"] == two[0].info.task
    assert "silence" not in facts


def test_runs_that_all_went_on_from_are_said_once(given: Given) -> None:
    first = {"mixtures": 800, "steps": 200, "hours": 0.25, "seed": 0}
    branches = [
        {"talkers": talkers, "mixtures": 400, "steps": 100, "hours": 0.5, "seed": talkers, "before": first}
        for talkers in (7, 9)
    ]
    two = [given("deep", seed, training=facts) for seed, facts in enumerate(branches)]
    _, facts = average(two)
    said = by_run(facts["training"])
    assert said["mean of"] == ["run 2", "run 3"]
    assert said["run 1"] == first
    assert said["run 3"]["after"] == ["run 1"]
    assert [said[f"run {number}"]["talkers"] for number in (2, 3)] == [7, 9]
    assert said["run 2"]["digest"] == two[0].info.digest[:12]
    assert said["all runs"] == {"mixtures": 1600, "hours": 1.25}


def test_other_kinds_backbones_and_tasks_have_no_mean(given: Given) -> None:
    one = given("deep", 1)
    with pytest.raises(ConfigError, match="two or more"):
        average([one])
    with pytest.raises(ConfigError, match="differ in 'prompts'"):
        average([one, given("frames", 1)])
    with pytest.raises(ConfigError, match="differ in 'backbone'"):
        average([one, given("deep", 2, on=tiny_backbone(seed=3))])
    with pytest.raises(ConfigError, match="differ in 'window'"):
        average([one, given("deep", 2, window="30s")])
