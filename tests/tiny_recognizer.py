"""Small prompted recognisers with random weights on tiny encoders, made in milliseconds."""

import torch
from tiny import tiny_backbone
from tiny_ssl import tiny_encoder

from softspoken.backbones import Backbone, Features
from softspoken.prompts import PromptConfig, SoftPrompts
from softspoken_lab.noise.characters import Characters
from softspoken_lab.noise.head import CTCHead, HeadConfig
from softspoken_lab.noise.model import PromptedCTC

HEAD = HeadConfig(projection=12, layers=1, hidden=8)

ENCODERS = ("whisper", *(f"{kind}, {norm}" for kind in ("hubert", "wav2vec2", "wavlm") for norm in ("post", "pre")))


def encoder_named(name: str, seed: int = 0) -> Backbone:
    """One of ENCODERS."""
    if name == "whisper":
        return tiny_backbone(seed)
    kind, norm = name.split(", ")
    return tiny_encoder(kind, prenorm=norm == "pre", seed=seed)  # type: ignore[arg-type]


def new_prompts(backbone: Backbone, config: PromptConfig, seed: int = 1) -> SoftPrompts:
    """Prompts large enough to matter."""
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    prompts = SoftPrompts(config, backbone.stacks["encoder"].width, layers)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return prompts.eval()


def new_recognizer(
    backbone: Backbone, prompts: PromptConfig | None = None, seed: int = 1, head: HeadConfig = HEAD
) -> PromptedCTC:
    """In evaluation mode; without `prompts`, a frozen baseline. Its transcripts are gibberish, not empty."""
    stack = backbone.stacks["encoder"]
    made = CTCHead(head, stack.width, 1 + len(stack.layers), Characters().size)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return PromptedCTC(new_prompts(backbone, prompts, seed) if prompts is not None else None, made).eval()


def row_of(features: Features, index: int) -> Features:
    """One row of a batch, without its padding."""
    length = int(features.lengths[index])
    return Features(features.values[index : index + 1, :, :length], features.lengths[index : index + 1])
