"""Attacks on a prompt's numbers: "Are soft prompts good zero-shot learners for speech recognition?" (table 1) has
random replacement.

Strengths run from 0 (nothing) to 1. `swapped`, `signs` and `noise` leave each tensor's norm as it was, so that a check
of norms sees nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from softspoken.errors import PromptMismatch
from softspoken.prompts import SoftPrompts

Attack = Literal["random", "swapped", "other", "signs", "noise", "gradient"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)
STRENGTHS: dict[Attack, tuple[float, ...]] = {
    "random": (0.001, 0.02, 0.3),
    "swapped": (0.02, 0.1, 0.3),
    "other": (0.02, 0.1, 0.3),
    "signs": (0.005, 0.02, 0.1),
    "noise": (0.02, 0.1, 0.3),
    "gradient": (0.002, 0.005, 0.02),
}
"""From mild to strong, for the shipped prompts."""
_STATISTICS = ("speaker_mean", "speaker_scale")
_STEPS = 4

Loss = Callable[[nn.Module], Tensor]
"""Prompts to the loss that a gradient attack raises."""


@dataclass(frozen=True)
class Setting:
    """One row of the bench."""

    attack: Attack
    strength: float
    """Share of the rows replaced by standard normal numbers (`random`) or by those of another prompt (`other`), of the
    rows that change places with the same row of the next layer (`swapped`), of the numbers that change their sign
    (`signs`), of noise in the mixture of prompt and noise at the prompt's norm (`noise`); the length of the change as a
    share of the norm of all numbers (`gradient`)."""
    seed: int = 0


def attacked(
    prompts: SoftPrompts, setting: Setting, loss: Loss | None = None, other: SoftPrompts | None = None
) -> SoftPrompts:
    """A copy of folded prompts, changed. `loss`: for `gradient`; `other`: for the attack of that name.

    Raises PromptMismatch where `other` has not the same tensors.
    """
    if setting.attack == "gradient":
        assert loss is not None
        return _by_gradient(prompts, loss, setting.strength)
    generator = torch.Generator().manual_seed(setting.seed)
    copy = prompts.fold()
    state = copy.state_dict()
    assert other is not None or setting.attack != "other"
    theirs = state if other is None else _fitting(other, state)
    changed = {
        name: tensor if name.endswith(_STATISTICS) else _changed(tensor, theirs[name], setting, generator)
        for name, tensor in state.items()
    }
    copy.load_state_dict(changed)
    return copy.eval()


def _fitting(other: SoftPrompts, state: dict[str, Tensor]) -> dict[str, Tensor]:
    theirs: dict[str, Tensor] = other.fold().state_dict()
    for name in sorted(state.keys() | theirs.keys()):
        if name not in state or name not in theirs or state[name].shape != theirs[name].shape:
            raise PromptMismatch(f"the other prompt's '{name}' has another shape; give one of the same configuration")
    return theirs


def _changed(tensor: Tensor, theirs: Tensor, setting: Setting, generator: torch.Generator) -> Tensor:
    if setting.attack == "swapped":
        return _swapped(tensor, setting.strength, generator)
    rows = tensor.clone().reshape(-1, tensor.shape[-1] if tensor.dim() else 1)
    share = setting.strength
    if setting.attack in ("random", "other"):
        chosen = torch.rand(rows.shape[0], generator=generator) < share
        noise = torch.randn(int(chosen.sum()), rows.shape[1], generator=generator)
        rows[chosen] = noise if setting.attack == "random" else theirs.reshape(rows.shape)[chosen]
    elif setting.attack == "signs":
        rows = torch.where(torch.rand(rows.shape, generator=generator) < share, -rows, rows)
    else:
        noise = torch.randn(rows.shape, generator=generator)
        noise *= rows.norm() / noise.norm().clamp(min=1e-12)
        mixed = (1 - share) * rows + share * noise
        rows = mixed * (rows.norm() / mixed.norm().clamp(min=1e-12))
    return rows.reshape(tensor.shape)


def _swapped(tensor: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Layers 0 and 1, 2 and 3, ... exchange a share of their rows: the first axis of a prompt's tensors is the layer's.

    Within a layer most rows have no place, so that exchanging those would change nothing. Tensors without layers stay.
    """
    if tensor.dim() < 2:
        return tensor
    layers = tensor.clone().reshape(tensor.shape[0], -1, tensor.shape[-1])
    chosen = torch.rand(layers.shape[0] // 2, layers.shape[1], generator=generator) < share
    pairs, rows = torch.nonzero(chosen, as_tuple=True)
    layers[2 * pairs, rows], layers[2 * pairs + 1, rows] = layers[2 * pairs + 1, rows], layers[2 * pairs, rows].clone()
    return layers.reshape(tensor.shape)


def _by_gradient(prompts: SoftPrompts, loss: Loss, strength: float) -> SoftPrompts:
    """Normalised ascent, kept within a ball whose radius is a share of the prompts' norm (Madry et al. 2018, 2.1)."""
    copy = prompts.fold().eval()
    parameters = [value for value in copy.parameters() if value.numel()]
    begun = [value.detach().clone() for value in parameters]
    for value in parameters:
        value.requires_grad_(True)
    radius = strength * float(torch.sqrt(sum((value.square().sum() for value in begun), torch.zeros(()))))
    for _ in range(_STEPS if radius else 0):
        gradients = torch.autograd.grad(loss(copy), parameters, allow_unused=True)
        filled = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]
        length = torch.sqrt(sum((each.square().sum() for each in filled), torch.zeros(()))).clamp(min=1e-12)
        with torch.no_grad():
            for value, gradient in zip(parameters, filled, strict=True):
                value.add_(2 * radius / _STEPS * gradient / length)
            moved = [value - first for value, first in zip(parameters, begun, strict=True)]
            size = torch.sqrt(sum((each.square().sum() for each in moved), torch.zeros(())))
            for value, first, each in zip(parameters, begun, moved, strict=True):
                value.copy_(first + each * min(1.0, radius / float(size)))
    for value in parameters:
        value.requires_grad_(False)
    return copy
