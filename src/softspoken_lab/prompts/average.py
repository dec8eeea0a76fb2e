"""The mean of several stored prompts: "Model soups" (Wortsman et al. 2022, arXiv 2203.05482, section 2) for prompts."""

from collections.abc import Sequence
from typing import Any

import torch

from softspoken.errors import ConfigError
from softspoken.prompts.card import HOW_LONG, MEAN_OF
from softspoken.prompts.checkpoint import LoadedPrompts
from softspoken.prompts.modules import SoftPrompts

_ALIKE = ("prompts", "backbone", "task", "embedder", "window", "timestamps", "licence")
_FEWEST = 2


def average(loaded: Sequence[LoadedPrompts]) -> tuple[SoftPrompts, dict[str, Any]]:
    """The mean of every number of prompts of one kind, folded, and the facts to store it with (see `save_prompts`).

    Sensible for runs with a common ancestor; others may have chosen other directions for the same thing. Silence
    models and results of the single ones are left out: they do not hold for the mean.

    Raises ConfigError for fewer than two, or where they differ in more than their numbers.
    """
    if len(loaded) < _FEWEST:
        raise ConfigError(f"a mean of {len(loaded)} prompt; give two or more")
    folded = [one.prompts.fold() for one in loaded]
    described = [_described(one, prompts) for one, prompts in zip(loaded, folded, strict=True)]
    for other in described[1:]:
        differing = [name for name in _ALIKE if other[name] != described[0][name]]
        if differing:
            raise ConfigError(f"these prompts differ in '{differing[0]}'; only prompts of one kind have a mean")
    states = [prompts.state_dict() for prompts in folded]
    mean = {name: torch.stack([state[name].float() for state in states]).mean(dim=0) for name in states[0]}
    prompts = folded[0]
    prompts.load_state_dict(mean)
    facts = {name: described[0][name] for name in _ALIKE if name not in ("prompts", "backbone")}
    facts["training"] = _training(loaded)
    return prompts, facts


def _described(one: LoadedPrompts, folded: SoftPrompts) -> dict[str, Any]:
    described = {name: getattr(one.info, name) for name in _ALIKE}
    # Of the backbone its weights count, not how they were asked for.
    return described | {"prompts": folded.config, "backbone": one.info.backbone.fingerprint}


def _training(loaded: Sequence[LoadedPrompts]) -> dict[str, Any]:
    """What holds for all, and under 'mean of' what each noted besides. See `by_run`."""
    noted = [one.info.training for one in loaded]
    shared = {
        name: value
        for name, value in noted[0].items()
        if name not in HOW_LONG and all(name in other and other[name] == value for other in noted[1:])
    }
    each = [
        {"digest": one.info.digest[:12]} | {name: value for name, value in own.items() if name not in shared}
        for one, own in zip(loaded, noted, strict=True)
    ]
    return shared | {MEAN_OF: each}
