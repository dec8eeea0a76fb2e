"""Attacks on a prompt's numbers, and what each costs: "Are soft prompts good zero-shot learners for speech
recognition?", table 1, has random replacement and swapped prompts.

Strengths run from 0 (nothing) to 1. Every attack but `random` leaves each tensor's norm as it was or nearly so, which
a check of norms would not see.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from softspoken.prompts import SoftPrompts

Attack = Literal["random", "swapped", "signs", "noise", "gradient"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)
_STATISTICS = ("speaker_mean", "speaker_scale")
_STEPS = 4

Loss = Callable[[nn.Module], Tensor]
"""Prompts to the loss that a gradient attack raises."""


@dataclass(frozen=True)
class Setting:
    """One row of the bench."""

    attack: Attack
    strength: float
    """Share of the rows replaced (`random`), of the numbers that change their sign (`signs`), of neighbouring rows that
    change places (`swapped`), of noise in the mixture of prompt and noise at the prompt's norm (`noise`); the length of
    the change as a share of the norm of all numbers (`gradient`)."""
    seed: int = 0


def attacked(prompts: SoftPrompts, setting: Setting, loss: Loss | None = None) -> SoftPrompts:
    """A copy of folded prompts, changed. `loss`: for `gradient`, which needs one."""
    if setting.attack == "gradient":
        if loss is None:
            raise ValueError("a gradient attack needs a loss")
        return _by_gradient(prompts, loss, setting.strength)
    generator = torch.Generator().manual_seed(setting.seed)
    copy = prompts.fold()
    state = {
        name: tensor if name.endswith(_STATISTICS) else _changed(tensor, setting, generator)
        for name, tensor in copy.state_dict().items()
    }
    copy.load_state_dict(state)
    return copy.eval()


def _changed(tensor: Tensor, setting: Setting, generator: torch.Generator) -> Tensor:
    rows = tensor.clone().reshape(-1, tensor.shape[-1] if tensor.dim() else 1)
    share = setting.strength
    if setting.attack == "random":
        chosen = torch.rand(rows.shape[0], generator=generator) < share
        rows[chosen] = torch.randn(int(chosen.sum()), rows.shape[1], generator=generator)
    elif setting.attack == "signs":
        rows = torch.where(torch.rand(rows.shape, generator=generator) < share, -rows, rows)
    elif setting.attack == "swapped":
        pairs = rows.shape[0] // 2
        first = 2 * torch.nonzero(torch.rand(pairs, generator=generator) < share).flatten()
        rows[first], rows[first + 1] = rows[first + 1], rows[first].clone()
    else:
        noise = torch.randn(rows.shape, generator=generator)
        noise *= rows.norm() / noise.norm().clamp(min=1e-12)
        mixed = (1 - share) * rows + share * noise
        rows = mixed * (rows.norm() / mixed.norm().clamp(min=1e-12))
    return rows.reshape(tensor.shape)


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
