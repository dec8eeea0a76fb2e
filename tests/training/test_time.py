"""Runs that end by the clock, and figures that are read now and then."""

import functools
import json
from pathlib import Path

import pytest
import torch
from small_mixtures import small_mixtures
from tiny import LAYERS, WIDTH, tiny_backbone

from softspoken.data.batches import collate
from softspoken.data.examples import MixtureDataset
from softspoken.prompts import PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.training.config import TrainConfig
from softspoken.training.loop import STATE, learning_rate, train
from softspoken.training.objective import TargetSpeakerObjective
from softspoken.training.state import Progress, read_progress

PROMPTS = PromptConfig(encoder=StackPrompt(length=2), decoder=None, speaker=SpeakerPrompt(dimension=8))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MixtureDataset:
    return small_mixtures(tmp_path_factory.mktemp("speech"))


class Clock:
    """Each step seems to take three seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(folder: Path, data: MixtureDataset, clock: Clock, validate=None, objective=None, **changes) -> Progress:
    backbone = tiny_backbone()
    config = TrainConfig(prompts=PROMPTS, mixtures_per_batch=1, warmup_steps=2, **changes)
    heard = TargetSpeakerObjective(backbone, PROMPTS, config.objective) if objective is None else objective

    def timed(module, batch):
        clock.now += 3.0
        return heard(module, batch)

    torch.manual_seed(0)
    prompts = SoftPrompts(PROMPTS, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    together = functools.partial(collate, vocabulary=backbone.tokens, max_tokens=40)
    return train(config, prompts, timed, data, together, folder, validate, clock=clock)


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_ends_when_its_time_is_up_and_its_rate_with_it(tmp_path, data: MixtureDataset) -> None:
    checked: list[int] = []

    def validate(module) -> dict[str, float]:
        checked.append(1)
        return {"score": 1.0}

    progress = run(tmp_path, data, Clock(), validate, minutes=0.5, steps=100, validate_every=100, final_rate=0.1)
    assert progress.step == 10
    assert progress.seconds == pytest.approx(30)
    assert checked == [1]
    rates = [line["learning_rate"] for line in log(tmp_path)]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.2 * max(rates)


def test_a_run_that_was_stopped_goes_on_with_the_time_that_is_left(tmp_path, data: MixtureDataset) -> None:
    run(tmp_path, data, Clock(), minutes=0.2, steps=100)
    assert run(tmp_path, data, Clock(), minutes=0.5, steps=100).step == 10
    assert run(tmp_path, data, Clock(), minutes=0.5, steps=100).step == 10


def test_the_last_state_is_there_before_the_last_validation(tmp_path, data: MixtureDataset) -> None:
    def killed(module) -> dict[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, data, Clock(), killed, minutes=0.5, steps=100, validate_every=100)
    assert read_progress(tmp_path / STATE).step == 10


def test_steps_end_a_run_that_has_time_left(tmp_path, data: MixtureDataset) -> None:
    assert run(tmp_path, data, Clock(), minutes=60, steps=3).step == 3


def test_the_rate_falls_with_the_clock_alone() -> None:
    config = TrainConfig(minutes=10, steps=10**6, warmup_steps=10, learning_rate=1.0, final_rate=0.0)
    assert learning_rate(5, config, 400.0) == pytest.approx(0.6)
    assert learning_rate(500, config, 300.0) == pytest.approx(0.5, abs=1e-3)
    assert learning_rate(500, config, 900.0) == pytest.approx(0.0)


def test_figures_are_read_every_so_many_steps_and_at_the_end(tmp_path, data: MixtureDataset) -> None:
    run(tmp_path, data, Clock(), steps=8, log_every=3)
    lines = log(tmp_path)
    assert [line["step"] for line in lines] == [3, 6, 8]
    # Three steps of three seconds, two targets each.
    assert lines[0]["examples_per_s"] == pytest.approx(6 / 9, rel=1e-3)


def test_a_step_whose_loss_is_not_finite_changes_nothing(tmp_path, data: MixtureDataset) -> None:
    def broken(module, batch):
        return {"loss": sum(parameter.sum() for parameter in module.parameters()) * float("nan")}

    run(tmp_path, data, Clock(), objective=broken, steps=2)
    assert [line["skipped"] for line in log(tmp_path)] == [1.0, 1.0]
