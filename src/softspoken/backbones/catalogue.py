"""The tables behind `softspoken backbone list` and `info`."""

from dataclasses import dataclass
from typing import Literal

from softspoken.backbones.checkpoints import MULTILINGUAL_VOCABULARY, read_whisper
from softspoken.backbones.embedded import EMBEDDED
from softspoken.backbones.hub import HUB_SIZES, is_cached
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.packages import Status

# Rounded, and only for the list: `backbone_info` counts.
_MILLIONS = {"tiny": 38, "base": 73, "small": 242, "medium": 764, "large-v2": 1543, "large-v3": 1543, "turbo": 809}


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
    """What a backbone is made of."""

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
    """The embedded backbones and OpenAI's other sizes on the hub; nothing is fetched."""

    def known(name: str, kind: Literal["embedded", "hub"], status: Status, source: str) -> KnownBackbone:
        size = name.removesuffix(".en")
        return KnownBackbone(name, kind, status, source, _MILLIONS[size], name == size, name == DEFAULT_BACKBONE)

    return [
        *(known(each.name, "embedded", each.status, each.sources[0].requirements) for each in EMBEDDED.values()),
        *(known(name, "hub", "cached" if is_cached(at) else "not fetched", at) for name, at in HUB_SIZES.items()),
    ]


def backbone_info(reference: str = DEFAULT_BACKBONE) -> BackboneInfo:
    """Read a backbone (fetching it if need be) and describe it. Raises BackboneError as `read_whisper` does."""
    found = read_whisper(reference)
    config = found.config
    return BackboneInfo(
        name=found.name,
        source=found.source,
        fingerprint=found.fingerprint,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        width=config.d_model,
        heads=config.decoder_attention_heads,
        mels=config.num_mel_bins,
        vocabulary=config.vocab_size,
        parameters=config.parameters,
        multilingual=config.vocab_size >= MULTILINGUAL_VOCABULARY,
    )
