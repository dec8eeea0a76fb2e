"""Training: only prompts change, a killed run goes on exactly, the losses mean what they say."""

import functools
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_mixtures import small_mixtures
from tiny import LAYERS, WIDTH, tiny_backbone
from torch import Tensor

from softspoken.data.batches import collate
from softspoken.data.examples import MixtureDataset
from softspoken.errors import ConfigError, PromptDamaged
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.prompts.modules import activity_of
from softspoken.training.config import ObjectiveConfig, TrainConfig
from softspoken.training.loop import STATE, TrainingStopped, learning_rate, train
from softspoken.training.objective import (
    TargetSpeakerObjective,
    cross_entropy,
    state_distance,
    token_divergence,
    voice_contrast,
)
from softspoken.training.recipes import read_recipe

PROMPTS = PromptConfig(
    encoder=StackPrompt(length=3),
    decoder=StackPrompt(length=3),
    reparameterisation="separate",
    speaker=SpeakerPrompt(dimension=8, into="both"),
    frames=FramePrompt(keyed=4),
)
SMALL = {"steps": 6, "mixtures_per_batch": 2, "warmup_steps": 2, "validate_every": 3, "save_every": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MixtureDataset:
    return small_mixtures(tmp_path_factory.mktemp("speech"))


def fresh_prompts(config: PromptConfig = PROMPTS) -> SoftPrompts:
    torch.manual_seed(0)
    return SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})


def run(folder: Path, data: MixtureDataset, prompts: SoftPrompts, **changes):
    backbone = tiny_backbone()
    validate, report = changes.pop("validate", None), changes.pop("report", None)
    config = TrainConfig(prompts=PROMPTS, objective=ObjectiveConfig(states=0.5, tokens=0.5), **{**SMALL, **changes})
    together = functools.partial(collate, vocabulary=backbone.tokens, max_tokens=40)
    objective = TargetSpeakerObjective(backbone, config.prompts, config.objective)
    return train(config, prompts, objective, data, together, folder, validate, report)


def test_after_training_every_prompt_tensor_changed_and_no_backbone_tensor(tmp_path, data: MixtureDataset) -> None:
    backbone = tiny_backbone()
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    prompts = fresh_prompts()
    untrained = {name: value.clone() for name, value in prompts.named_parameters()}
    objective = TargetSpeakerObjective(backbone, PROMPTS, ObjectiveConfig(states=0.5))
    config = TrainConfig(prompts=PROMPTS, **SMALL)
    together = functools.partial(collate, vocabulary=backbone.tokens, max_tokens=40)
    train(config, prompts, objective, data, together, tmp_path)
    assert [name for name, value in prompts.named_parameters() if torch.equal(value, untrained[name])] == []
    assert all(torch.equal(value, before[name]) for name, value in backbone.module.state_dict().items())


def test_a_killed_run_goes_on_exactly(tmp_path, data: MixtureDataset) -> None:
    whole = fresh_prompts()
    run(tmp_path / "whole", data, whole)

    def stop(step: int, steps: int, figures: dict[str, float]) -> None:
        if step == 3:
            raise TrainingStopped

    with pytest.raises(TrainingStopped):
        run(tmp_path / "killed", data, fresh_prompts(), report=stop)
    resumed = fresh_prompts()
    progress = run(tmp_path / "killed", data, resumed)
    assert progress.step == SMALL["steps"]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_log_of_a_killed_run_tells_every_step_once(tmp_path, data: MixtureDataset) -> None:
    def killed(step: int, steps: int, figures: dict[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, data, fresh_prompts(), report=killed)
    run(tmp_path, data, fresh_prompts())
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, SMALL["steps"] + 1))


def test_the_loss_falls_and_the_log_says_so(tmp_path, data: MixtureDataset) -> None:
    known = [data[0], data[1]]

    class Repeated(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 200

        def __getitem__(self, index: int):
            return known[index % 2]

    figures: list[dict[str, float]] = []
    run(
        tmp_path,
        Repeated(),
        fresh_prompts(),
        steps=12,
        learning_rate=0.02,
        validate=lambda prompts: {"score": float(len(figures))},
        report=lambda step, steps, seen: figures.append(seen),
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]
    assert {"valid/score", "examples_per_s", "learning_rate"} <= lines[2].keys()


def test_accumulated_batches_are_one_step(tmp_path, data: MixtureDataset) -> None:
    progress = run(tmp_path, data, fresh_prompts(), steps=2, accumulation=3)
    assert progress.step == 2


def test_a_damaged_state_is_refused(tmp_path, data: MixtureDataset) -> None:
    (tmp_path / STATE).write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      junk")
    with pytest.raises(PromptDamaged, match="start anew"):
        run(tmp_path, data, fresh_prompts())


def test_no_state_is_half_written_when_the_disk_fails(tmp_path, data: MixtureDataset, monkeypatch) -> None:
    run(tmp_path, data, fresh_prompts(), steps=2)
    good = (tmp_path / STATE).read_bytes()

    def fail(*args, **kwargs) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("softspoken.files.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        run(tmp_path, data, fresh_prompts(), steps=4)
    assert (tmp_path / STATE).read_bytes() == good


def test_learning_rate_warms_up_and_falls() -> None:
    config = TrainConfig(steps=100, warmup_steps=10, learning_rate=1.0, final_rate=0.1)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_cross_entropy_is_the_mean_over_tokens() -> None:
    logits = torch.randn(2, 5)
    labels = torch.tensor([1, 2])
    by_hand = -(logits[0].log_softmax(-1)[1] + logits[1].log_softmax(-1)[2]) / 2
    assert cross_entropy(logits, labels).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_state_distance_is_zero_for_equal_states_and_ignores_padding() -> None:
    teacher = torch.randn(2, 6, 4)
    student = teacher.clone()
    student[1, 3:] += 100.0
    lengths = torch.tensor([6, 3])
    assert state_distance(student, teacher, lengths).item() == 0.0
    far: Tensor = teacher + teacher.reshape(-1, 4).std() * 1.0
    assert state_distance(far, teacher, torch.tensor([6, 6])).item() == pytest.approx(1.0, rel=0.3)


def test_token_divergence_is_zero_for_equal_and_positive_for_other_distributions() -> None:
    logits = torch.randn(3, 7)
    assert token_divergence(logits, logits).item() == pytest.approx(0.0, abs=1e-6)
    assert token_divergence(logits, -logits).item() > 0.1


def test_the_contrast_compares_the_voices_of_one_mixture(data: MixtureDataset) -> None:
    backbone = tiny_backbone()
    batches = [collate([data[0], data[1]], backbone.tokens, 40)]
    deaf = PromptConfig(encoder=StackPrompt(length=2), decoder=None, speaker=None)
    unhearing = TargetSpeakerObjective(backbone, deaf, ObjectiveConfig())
    figures = voice_contrast(unhearing, fresh_prompts(deaf), batches)
    assert figures["gap"] == pytest.approx(0.0, abs=1e-6)
    objective = TargetSpeakerObjective(backbone, PROMPTS, ObjectiveConfig())
    listening = voice_contrast(objective, fresh_prompts(), batches)
    assert listening["gap"] != 0.0
    assert np.isfinite(listening["right_voice"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps = ", "not TOML"),
        ("stepz = 3", "stepz"),
        ("steps = 0", "steps"),
        ("[prompts]\nplacement = 'x'", "placement"),
        ("seed = -1", "seed.*greater than or equal to 0"),
        ("minutes = 5.0\n[mixing]\ncurriculum = 0.5", "'mixing.curriculum'.*'minutes'.*leave out one"),
    ],
)
def test_a_bad_recipe_is_one_clear_line(tmp_path, text: str, said: str) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_recipe(recipe)
    assert "\n" not in str(caught.value)


def test_activity_rises_with_the_score() -> None:
    weights = activity_of(torch.tensor([[0.2, 0.68, 0.95]]), FramePrompt(slope=25.0, threshold=0.68))[0].tolist()
    assert weights[0] < 1e-4
    assert weights[1] == pytest.approx(0.5)
    assert weights[2] > 0.99


def test_a_stepped_schedule_falls_by_its_factor_and_stays_between() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=2, schedule="stepped", decay_every=10, decay=0.1, steps=30)
    rates = [learning_rate(step, config) for step in range(30)]
    assert rates[1:10] == [1.0] * 9
    assert rates[10:20] == pytest.approx([0.1] * 10)
    assert rates[20:] == pytest.approx([0.01] * 10)
