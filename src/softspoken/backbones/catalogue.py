"""What backbones there are, and what is inside one: the tables behind `softspoken backbone list` and `info`."""

from dataclasses import dataclass
from typing import Literal

from softspoken.backbones.checkpoints import load_whisper
from softspoken.backbones.embedded import DEFAULT, EMBEDDED
from softspoken.backbones.hub import HUB_SIZES, is_cached
from softspoken.packages import Status

_FIRST_MULTILINGUAL_VOCABULARY = 51865
# Rounded, and only for the list: `backbone_info` counts.
_MILLIONS = {
    "tiny": 38,
    "base": 73,
    "small": 242,
    "medium": 764,
    "large-v2": 1543,
    "large-v3": 1543,
    "turbo": 809,
}


@dataclass(frozen=True)
class KnownBackbone:
    """A backbone that can be asked for by name."""

    name: str
    kind: Literal["embedded", "hub"]
    status: Status
    source: str
    """The packages, or the hub repository."""
    parameters_millions: int
    multilingual: bool
    default: bool


@dataclass(frozen=True)
class BackboneInfo:
    """What a loaded backbone is made of."""

    name: str
    source: str
    fingerprint: str
    encoder_layers: int
    decoder_layers: int
    width: int
    heads: int
    mels: int
    vocabulary: int
    parameters: int
    """Every weight once: the output projection is the token embedding."""
    multilingual: bool


def known_backbones() -> list[KnownBackbone]:
    """The embedded backbones, then OpenAI's other sizes on the hub; nothing is fetched."""
    embedded = [
        KnownBackbone(
            backbone.name,
            "embedded",
            backbone.status,
            backbone.sources[0].requirements,
            _MILLIONS[backbone.name.removesuffix(".en")],
            multilingual=not backbone.name.endswith(".en"),
            default=backbone.name == DEFAULT,
        )
        for backbone in EMBEDDED.values()
    ]
    hub = [
        KnownBackbone(
            size,
            "hub",
            "cached" if is_cached(repository) else "not fetched",
            repository,
            _MILLIONS[size.removesuffix(".en")],
            multilingual=not size.endswith(".en"),
            default=False,
        )
        for size, repository in HUB_SIZES.items()
    ]
    return [*embedded, *hub]


def backbone_info(reference: str = DEFAULT) -> BackboneInfo:
    """Load a backbone (fetching it if need be) and describe it. Raises BackboneError as `load_whisper` does."""
    loaded = load_whisper(reference)
    config = loaded.model.config
    return BackboneInfo(
        name=loaded.name,
        source=loaded.source,
        fingerprint=loaded.fingerprint,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        width=config.d_model,
        heads=config.decoder_attention_heads,
        mels=config.num_mel_bins,
        vocabulary=config.vocab_size,
        parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        multilingual=config.vocab_size >= _FIRST_MULTILINGUAL_VOCABULARY,
    )
