"""Attacks change what they say, as much as they say, and nothing that tells voices apart."""

import pytest
import torch
from prompt_samples import CONFIGS, prompts_of
from torch import Tensor, nn

from softspoken.errors import PromptMismatch
from softspoken_lab.analysis.attacks import ATTACKS, Attack, Setting, attacked


def loss(prompts: nn.Module) -> Tensor:
    """Falls with every number: the attack that raises it is known."""
    return -torch.cat([value.flatten() for value in prompts.parameters()]).square().sum()


def numbers(prompts: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in prompts.parameters()])


@pytest.mark.parametrize("attack", ATTACKS)
def test_strength_is_how_much_changes(attack: Attack) -> None:
    whole, other = prompts_of().fold(), prompts_of(seed=2).fold()
    before = numbers(whole)
    assert torch.equal(numbers(attacked(whole, Setting(attack, 0.0), loss, other)), before)
    small, large = (numbers(attacked(whole, Setting(attack, share), loss, other)) for share in (0.1, 0.6))
    assert 0 < (small - before).norm() < (large - before).norm()
    assert torch.equal(numbers(whole), before)
    again = numbers(attacked(whole, Setting(attack, 0.6), loss, other))
    assert torch.equal(again, large)


@pytest.mark.parametrize("attack", ["swapped", "signs", "noise"])
def test_norms_stay(attack: Attack) -> None:
    whole = prompts_of().fold()
    changed = attacked(whole, Setting(attack, 0.5)).state_dict()
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(changed[name].norm(), tensor.norm(), rtol=1e-4, atol=1e-6)


def test_swapped_rows_are_another_layers() -> None:
    whole = prompts_of().fold()
    vectors = whole.state_dict()["stacks.encoder.vectors"]
    changed = attacked(whole, Setting("swapped", 1.0)).state_dict()["stacks.encoder.vectors"]
    assert torch.equal(changed[[1, 0]], vectors[[0, 1]])


def test_rows_of_another_prompt() -> None:
    whole, other = prompts_of().fold(), prompts_of(seed=2).fold()
    all_of_it = attacked(whole, Setting("other", 1.0), other=other)
    assert torch.equal(numbers(all_of_it), numbers(other))
    with pytest.raises(PromptMismatch, match="another shape"):
        attacked(whole, Setting("other", 1.0), other=prompts_of(CONFIGS["encoder alone"]).fold())


def test_a_gradient_attack_stays_in_its_ball_and_raises_the_loss() -> None:
    whole = prompts_of().fold()
    changed = attacked(whole, Setting("gradient", 0.2), loss)
    moved = (numbers(changed) - numbers(whole)).norm() / numbers(whole).norm()
    assert 0.1 < moved <= 0.2 + 1e-5
    assert loss(changed) > loss(whole)
    assert not any(value.requires_grad and value.grad is not None for value in changed.parameters())


def test_statistics_of_the_voices_stay() -> None:
    whole = prompts_of().fold()
    changed = attacked(whole, Setting("random", 1.0)).state_dict()
    assert torch.equal(changed["speaker_mean"], whole.state_dict()["speaker_mean"])
    assert not torch.equal(changed["stacks.encoder.vectors"], whole.state_dict()["stacks.encoder.vectors"])
