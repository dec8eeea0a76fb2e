"""Prompt tuning's rivals: they train what they say, leave no trace when detached, and go on exactly when killed."""

from functools import partial
from pathlib import Path

import pytest
import torch
from small_mixtures import small_mixtures
from tiny import tiny_backbone, tone

from softspoken.backbones import WhisperBackbone
from softspoken.data.batches import Batch, collate
from softspoken.data.examples import MixtureDataset
from softspoken.errors import ConfigError
from softspoken.prompts import PromptConfig, SoftPrompts, SpeakerPrompt, inject
from softspoken.training.config import ObjectiveConfig
from softspoken.training.loop import TrainingStopped, train
from softspoken.training.objective import TargetSpeakerObjective, state_distance, voice_contrast
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.training.config import (
    AdapterMethod,
    FullMethod,
    LoraMethod,
    MethodConfig,
    PromptMethod,
    StudyTrainConfig,
)
from softspoken_lab.training.methods import Tuned, attached, prompts_of, tuned, weights_of

VOICE = PromptConfig(encoder=None, decoder=None, speaker=SpeakerPrompt(dimension=8))
METHODS = [
    LoraMethod(dropout=0.2, weight_rate=2.0),
    LoraMethod(targets=("fc1", "out_proj"), stacks="decoder"),
    AdapterMethod(width=4),
    FullMethod(),
    FullMethod(stacks="encoder"),
]
NAMES = ["lora", "lora-decoder", "adapters", "full", "full-encoder"]
LARGE_WIDTH, LARGE_LAYERS = 384, 4
"""Of Whisper tiny."""

every_method = pytest.mark.parametrize("method", METHODS, ids=NAMES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MixtureDataset:
    return small_mixtures(tmp_path_factory.mktemp("speech"))


def new(method: MethodConfig, backbone: WhisperBackbone) -> Tuned | SoftPrompts:
    torch.manual_seed(0)
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    return tuned(method, SoftPrompts(VOICE, backbone.stacks["encoder"].width, layers), backbone)


def batch_of(data: MixtureDataset, backbone: WhisperBackbone) -> Batch:
    return collate([data[0], data[1]], backbone.tokens, 40)


def state_of(backbone: WhisperBackbone) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in backbone.module.state_dict().items()}


def outputs(backbone: WhisperBackbone) -> torch.Tensor:
    with torch.no_grad():
        encoded = backbone.encode(backbone.features([tone(1.0)]))
        return backbone.decode(torch.tensor([[1, 2, 3]]), encoded)


def run(folder: Path, data: MixtureDataset, backbone: WhisperBackbone, trained, method: MethodConfig, **changes):
    report = changes.pop("report", None)
    small = {"steps": 4, "mixtures_per_batch": 2, "warmup_steps": 1, "save_every": 2, "learning_rate": 0.01}
    config = StudyTrainConfig(
        prompts=VOICE, method=method, objective=ObjectiveConfig(states=0.5), **{**small, **changes}
    )
    together = partial(collate, vocabulary=backbone.tokens, max_tokens=40)
    objective = TargetSpeakerObjective(backbone, VOICE, config.objective, partial(attached, weights_of(trained)))
    rates = {} if isinstance(method, PromptMethod) else {"weights": method.weight_rate}
    return train(config, trained, objective, data, together, folder, report=report, rates=rates)


@every_method
def test_only_what_is_trained_changes(tmp_path, data: MixtureDataset, method: MethodConfig) -> None:
    backbone = tiny_backbone()
    before, modules, said = state_of(backbone), [*backbone.module.modules()], outputs(backbone)
    trained = new(method, backbone)
    untrained = {name: value.clone() for name, value in trained.named_parameters()}
    run(tmp_path, data, backbone, trained, method)
    same = {name for name, value in trained.named_parameters() if torch.equal(value, untrained[name])}
    # Tokens, positions and keys without an influence keep their values; no whole kind of tensor does.
    assert all("k_proj.bias" in name.replace("/", ".") for name in same)
    after = backbone.module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert [*backbone.module.modules()] == modules
    assert not any(value.requires_grad for value in backbone.module.parameters())
    assert torch.equal(outputs(backbone), said)


@every_method
def test_untrained_weights_change_nothing_and_trained_ones_only_while_attached(method: MethodConfig) -> None:
    backbone = tiny_backbone()
    said = outputs(backbone)
    weights = weights_of(new(method, backbone))
    assert weights is not None
    weights.eval()
    with attached(weights):
        torch.testing.assert_close(outputs(backbone), said, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        for value in weights.parameters():
            value.add_(0.3 * torch.randn_like(value))
    with attached(weights):
        assert not torch.allclose(outputs(backbone), said, atol=1e-2)
        with pytest.raises(ConfigError, match="attached to their backbone already"):
            weights.attach()
    assert torch.equal(outputs(backbone), said)
    with pytest.raises(KeyError), attached(weights):
        raise KeyError
    assert torch.equal(outputs(backbone), said)


@every_method
def test_a_killed_run_goes_on_exactly(tmp_path, data: MixtureDataset, method: MethodConfig) -> None:
    def fresh() -> tuple[WhisperBackbone, Tuned | SoftPrompts]:
        backbone = tiny_backbone()
        return backbone, new(method, backbone)

    backbone, whole = fresh()
    run(tmp_path / "whole", data, backbone, whole, method)

    def stop(step: int, steps: int, figures: dict[str, float]) -> None:
        if step == 3:
            raise TrainingStopped

    with pytest.raises(TrainingStopped):
        run(tmp_path / "killed", data, *fresh(), method, report=stop)
    backbone, resumed = fresh()
    assert run(tmp_path / "killed", data, backbone, resumed, method).step == 4
    found = resumed.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in whole.state_dict().items())


def test_prompts_alone_are_trained_as_themselves() -> None:
    backbone = tiny_backbone()
    trained = new(PromptMethod(), backbone)
    assert isinstance(trained, SoftPrompts)
    assert prompts_of(trained) is trained
    assert weights_of(trained) is None


def test_the_numbers_trained_are_those_of_the_formulas() -> None:
    backbone = tiny_backbone(width=LARGE_WIDTH, layers=LARGE_LAYERS)
    width, layers = LARGE_WIDTH, LARGE_LAYERS

    def count(method: MethodConfig) -> int:
        weights = weights_of(new(method, backbone))
        assert weights is not None
        return weights.parameter_count

    # Query and value in the encoder's attention and in both of the decoder's: two factors of rank x width each.
    assert count(LoraMethod(rank=4)) == layers * (1 + 2) * 2 * (2 * 4 * width) == 73_728
    assert count(LoraMethod(rank=4, stacks="encoder")) == layers * 2 * (2 * 4 * width)
    assert count(AdapterMethod(width=16)) == 2 * layers * (2 * 16 * width + 16 + width)
    positions = backbone.max_frames * width
    assert count(FullMethod()) == backbone.parameter_count - positions
    assert count(FullMethod(stacks="encoder")) + count(FullMethod(stacks="decoder")) == count(FullMethod())


@every_method
def test_the_teacher_hears_with_the_frozen_weights(data: MixtureDataset, method: MethodConfig) -> None:
    """So it is the same for every method, and no figure depends on what was attached before."""
    backbone = tiny_backbone()
    trained = new(method, backbone)
    batch = batch_of(data, backbone)
    with torch.no_grad():
        for value in trained.parameters():
            value.add_(0.1 * torch.randn_like(value))
    objective = TargetSpeakerObjective(
        backbone,
        VOICE,
        ObjectiveConfig(states=1.0, tokens=1.0),
        partial(attached, weights_of(trained)),
    )
    trained.eval()
    with torch.no_grad():
        found = objective(trained, batch)
        assert torch.equal(found["loss"], objective(trained, batch)["loss"])
        plain = TargetSpeakerObjective(backbone, VOICE, objective.config)(prompts_of(trained), batch)
        with attached(weights_of(trained)), inject(backbone, prompts_of(trained), batch.voices):
            learner = backbone.encode(backbone.features(batch.audio))
        teacher = backbone.encode(backbone.features(batch.clean))
        apart = state_distance(learner.states[:, 1:], teacher.states, learner.lengths - 1)
    assert found["states"].item() == pytest.approx(apart.item(), rel=1e-4)
    assert not torch.equal(found["cross_entropy"], plain["cross_entropy"])
    contrast = voice_contrast(objective, trained, [batch])
    assert contrast["right_voice"] == pytest.approx(found["cross_entropy"].item(), rel=1e-4)


@every_method
def test_gradients_flow_under_bfloat16_into_float32_weights(data: MixtureDataset, method: MethodConfig) -> None:
    backbone = tiny_backbone()
    trained = new(method, backbone)
    objective = TargetSpeakerObjective(
        backbone,
        VOICE,
        ObjectiveConfig(states=1.0, tokens=1.0),
        partial(attached, weights_of(trained)),
    )
    with torch.autocast("cpu", torch.bfloat16):
        objective(trained, batch_of(data, backbone))["loss"].backward()
    assert {value.dtype for value in trained.parameters()} == {torch.float32}
    assert {value.grad.dtype for value in trained.parameters() if value.grad is not None} == {torch.float32}
    weights = weights_of(trained)
    assert weights is not None
    moved = [
        name for name, value in weights.named_parameters() if value.grad is not None and value.grad.abs().max() > 0
    ]
    assert len(moved) >= len(list(weights.parameters())) // 2


def test_weights_may_learn_at_a_rate_of_their_own(tmp_path, data: MixtureDataset) -> None:
    def moved(rate: float) -> float:
        backbone, method = tiny_backbone(), AdapterMethod(width=4, weight_rate=rate)
        trained = new(method, backbone)
        before = {name: value.clone() for name, value in trained.named_parameters()}
        run(tmp_path / str(rate), data, backbone, trained, method, steps=1)
        name = "weights.blocks.encoder/0.up.bias"
        return (trained.get_parameter(name) - before[name]).abs().max().item()

    # The first step of Adam is the learning rate itself.
    assert moved(0.1) == pytest.approx(0.1 * moved(1.0), rel=0.05)


def test_a_recipe_names_its_method(tmp_path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[method]\nkind = "lora"\nrank = 4\ntargets = ["q_proj", "v_proj"]\n'
        '[prompts]\nencoder = "none"\ndecoder = "none"\nspeaker = { into = "encoder" }\n'
    )
    config = read_any_recipe(recipe)
    assert isinstance(config, StudyTrainConfig)
    assert config.method == LoraMethod()
    assert (config.prompts.encoder, config.prompts.decoder) == (None, None)
    assert StudyTrainConfig.model_validate_json(config.model_dump_json()) == config
    recipe.write_text("steps = 3")
    assert read_any_recipe(recipe).method == PromptMethod()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[method]\nkind = "lorra"', "lorra"),
        ("[method]\nrank = 4", "kind"),
        ('[method]\nkind = "lora"\nrank = 0', "rank"),
        ('[method]\nkind = "lora"\ntargets = ["query"]', "targets"),
        ('[method]\nkind = "full"\nstacks = "none"', "stacks"),
        ('[method]\nkind = "full"\n[prompts.enrolment]\nform = "frames"', "frozen encoder"),
    ],
)
def test_an_impossible_method_is_one_clear_line(tmp_path, text: str, said: str) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_any_recipe(recipe)
    assert "\n" not in str(caught.value)
