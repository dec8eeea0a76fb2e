"""Prompt tuning's rivals, trained by the same loop: LoRA, adapters, all weights.

What is trained is always one module: `SoftPrompts`, or `Tuned`, prompts together with `TunedWeights`. Those meet the
backbone from outside: while attached it runs with them, detached it is bitwise what it was. So the frozen model stays
at hand, as the teacher of self-distillation and to compare with, and a run saves nothing but what it trained.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from softspoken.backbones import WhisperBackbone
from softspoken.backbones.weights import StackName
from softspoken.errors import ConfigError, MissingExtra
from softspoken.prompts import PromptRows, SoftPrompts
from softspoken_lab.training.config import (
    AdapterMethod,
    FullMethod,
    LoraMethod,
    MethodConfig,
    PromptMethod,
    Stacks,
)

_ADAPTER = "default"
"""What peft calls its factors within a layer."""


class TunedWeights(nn.Module, ABC):
    """Trained tensors of one backbone, which runs with them while they are attached."""

    def __init__(self) -> None:
        super().__init__()
        self._attachment: ExitStack | None = None

    @abstractmethod
    def _hook(self, hooks: ExitStack) -> None:
        """Put the tensors into the backbone, and into `hooks` what takes them out again."""

    def attach(self) -> None:
        """From now on the backbone runs with these weights. Raises ConfigError when it does so already."""
        if self._attachment is not None:
            raise ConfigError("these weights are attached to their backbone already; detach them first")
        with ExitStack() as hooks:
            self._hook(hooks)
            self._attachment = hooks.pop_all()

    def detach(self) -> None:
        """From now on the backbone is bitwise what it was; nothing happens when it is so already."""
        attachment, self._attachment = self._attachment, None
        if attachment is not None:
            attachment.close()

    @property
    def parameter_count(self) -> int:
        """Numbers that are trained, all of them deployed."""
        return sum(parameter.numel() for parameter in self.parameters())


@contextmanager
def attached(weights: TunedWeights | None) -> Iterator[None]:
    """Inside this context the backbone runs with `weights`; None: as it is. Gradients may be taken after it."""
    if weights is None:
        yield
        return
    weights.attach()
    try:
        yield
    finally:
        weights.detach()


class Tuned(nn.Module):
    """What is trained when it is not prompts alone. Called as prompts are, it gives their rows."""

    def __init__(self, prompts: SoftPrompts, weights: TunedWeights) -> None:
        super().__init__()
        self.prompts = prompts
        self.weights = weights

    def forward(self, *given: Tensor | None) -> PromptRows:
        rows: PromptRows = self.prompts(*given)
        return rows


Trained = SoftPrompts | Tuned
"""What a target-speaker run trains."""


def tuned(method: MethodConfig, prompts: SoftPrompts, backbone: WhisperBackbone) -> Trained:
    """What `method` trains: the prompts themselves, or prompts together with new weights for `backbone`.

    Untrained weights change nothing. Raises MissingExtra when LoRA is asked for and peft is not installed.
    """
    if isinstance(method, PromptMethod):
        return prompts
    if isinstance(method, LoraMethod):
        return Tuned(prompts, LoraWeights(method, backbone))
    if isinstance(method, AdapterMethod):
        return Tuned(prompts, AdapterWeights(method, backbone))
    return Tuned(prompts, FullWeights(method, backbone))


def prompts_of(trained: Trained) -> SoftPrompts:
    """The prompts among what is trained."""
    return trained.prompts if isinstance(trained, Tuned) else trained


def weights_of(trained: Trained) -> TunedWeights | None:
    """The weights among what is trained; None when it is prompts alone."""
    return trained.weights if isinstance(trained, Tuned) else None


def _names(stacks: Stacks) -> tuple[StackName, ...]:
    return ("encoder", "decoder") if stacks == "both" else (stacks,)


class LoraWeights(TunedWeights):
    """W x + alpha / rank * B A x at the chosen projections (Hu et al. 2021, section 4.1), on peft's own layers."""

    def __init__(self, config: LoraMethod, backbone: WhisperBackbone) -> None:
        super().__init__()
        try:
            from peft import LoraConfig, inject_adapter_in_model
            from peft.tuners.lora import LoraLayer
        except ImportError as error:
            raise MissingExtra("peft", "lab", "LoRA") from error
        host = nn.ModuleDict({name: backbone.stacks[name].layers for name in _names(config.stacks)})
        places = LoraConfig(
            r=config.rank,
            # peft says it is an integer, and only divides it by the rank.
            lora_alpha=config.alpha,  # type: ignore[arg-type]
            lora_dropout=config.dropout,
            target_modules=list(config.targets),
        )
        inject_adapter_in_model(places, host)
        # The layers themselves hold the frozen projections, too: what is trained is kept apart from them. In a plain
        # list, for modules in attributes would become a part of this one.
        self._swaps: list[tuple[nn.Module, str, nn.Module, nn.Module]] = []
        self.factors = nn.ModuleDict()
        for path, layer in [(path, each) for path, each in host.named_modules() if isinstance(each, LoraLayer)]:
            assert isinstance(layer, nn.Module)
            above, _, name = path.rpartition(".")
            parent, frozen = host.get_submodule(above), layer.get_base_layer()
            setattr(parent, name, frozen)
            self._swaps.append((parent, name, frozen, layer))
            kept = {"A": layer.lora_A[_ADAPTER], "B": layer.lora_B[_ADAPTER], "dropout": layer.lora_dropout[_ADAPTER]}
            self.factors[path.replace(".", "/")] = nn.ModuleDict(kept)

    def _hook(self, hooks: ExitStack) -> None:
        for parent, name, frozen, layer in self._swaps:
            hooks.callback(setattr, parent, name, frozen)
            setattr(parent, name, layer)


class Bottleneck(nn.Module):
    """x + U gelu(V x + a) + b, which at first is x."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, narrow)
        self.up = nn.Linear(narrow, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        changed: Tensor = self.up(F.gelu(self.down(hidden)))
        return hidden + changed


class AdapterWeights(TunedWeights):
    """A bottleneck on the output of each block's feed-forward. peft has none of these for Whisper."""

    def __init__(self, config: AdapterMethod, backbone: WhisperBackbone) -> None:
        super().__init__()
        self._places: list[tuple[nn.Module, nn.Module]] = []
        self.blocks = nn.ModuleDict()
        for name in _names(config.stacks):
            stack = backbone.stacks[name]
            for index, layer in enumerate(stack.layers):
                block = Bottleneck(stack.width, config.width).to(backbone.device)
                self.blocks[f"{name}/{index}"] = block
                self._places.append((layer.get_submodule("fc2"), block))

    def _hook(self, hooks: ExitStack) -> None:
        for place, block in self._places:
            hooks.callback(place.register_forward_hook(partial(_through, block)).remove)


def _through(block: nn.Module, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    changed: Tensor = block(output)
    return changed


class FullWeights(TunedWeights):
    """A float32 copy of the backbone's weights, which takes their place while attached."""

    def __init__(self, config: FullMethod, backbone: WhisperBackbone) -> None:
        super().__init__()
        model = backbone.module.get_submodule("model")
        chosen = {
            id(value): f"{name}.{key}"
            for name in _names(config.stacks)
            for key, value in model.get_submodule(name).named_parameters()
            # Fixed sinusoids, and no weights in OpenAI's own model.
            if f"{name}.{key}" != "encoder.embed_positions.weight"
        }
        self.values = nn.ParameterDict()
        self._swaps: list[tuple[nn.Module, str, nn.Parameter, nn.Parameter]] = []
        # By identity, over the whole model: the output projection is the token embedding, in two places.
        for module in backbone.module.modules():
            for key, frozen in module.named_parameters(recurse=False):
                if id(frozen) in chosen:
                    name = chosen[id(frozen)].replace(".", "/")
                    if name not in self.values:
                        self.values[name] = nn.Parameter(frozen.detach().to(torch.float32, copy=True))
                    self._swaps.append((module, key, frozen, self.values[name]))

    def _hook(self, hooks: ExitStack) -> None:
        for module, key, frozen, trained in self._swaps:
            hooks.callback(module.register_parameter, key, frozen)
            module.register_parameter(key, trained)
