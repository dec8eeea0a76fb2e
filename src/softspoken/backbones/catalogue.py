"""What backbones there are, and what is inside one: the tables behind `softspoken backbone list` and `info`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from softspoken.backbones.checkpoints import read_whisper
from softspoken.backbones.embedded import EMBEDDED
from softspoken.backbones.hub import HUB_SIZES, SSL_MODELS, SSLKind, is_cached
from softspoken.defaults import DEFAULT_BACKBONE
from softspoken.packages import Status

if TYPE_CHECKING:
    from softspoken.backbones.ssl_checkpoints import LoadedSSL

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
    "hubert-base": 95,
    "hubert-large": 317,
    "wavlm-base": 95,
    "wavlm-base-plus": 95,
    "wavlm-large": 317,
    "wav2vec2-base": 95,
    "wav2vec2-large": 317,
}

ModelKind = Literal["whisper"] | SSLKind


@dataclass(frozen=True)
class KnownBackbone:
    """A backbone that can be asked for by name."""

    name: str
    model: ModelKind
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
    model: ModelKind
    source: str
    fingerprint: str
    encoder_layers: int
    decoder_layers: int
    """0 where there is none, as in all but Whisper."""
    width: int
    heads: int
    """Of the decoder, or of the encoder where there is no decoder."""
    mels: int | None
    """None where the input is a waveform."""
    vocabulary: int | None
    """None where there is no decoder."""
    parameters: int
    """Every weight once: the output projection is the token embedding."""
    multilingual: bool | None
    """Of the text it writes; None where it writes none."""


def known_backbones() -> list[KnownBackbone]:
    """The embedded backbones, OpenAI's other sizes and self-supervised encoders on the hub; nothing is fetched."""
    embedded = [
        KnownBackbone(
            backbone.name,
            "whisper",
            "embedded",
            backbone.status,
            backbone.sources[0].requirements,
            _MILLIONS[backbone.name.removesuffix(".en")],
            multilingual=not backbone.name.endswith(".en"),
            default=backbone.name == DEFAULT_BACKBONE,
        )
        for backbone in EMBEDDED.values()
    ]
    hub = [
        KnownBackbone(
            size,
            "whisper",
            "hub",
            "cached" if is_cached(repository) else "not fetched",
            repository,
            _MILLIONS[size.removesuffix(".en")],
            multilingual=not size.endswith(".en"),
            default=False,
        )
        for size, repository in HUB_SIZES.items()
    ]
    encoders = [
        KnownBackbone(
            name,
            _ssl_kind(name),
            "hub",
            "cached" if is_cached(repository) else "not fetched",
            repository,
            _MILLIONS[name],
            multilingual=False,
            default=False,
        )
        for name, repository in SSL_MODELS.items()
    ]
    return [*embedded, *hub, *encoders]


def _ssl_kind(name: str) -> SSLKind:
    kinds: dict[str, SSLKind] = {kind: kind for kind in get_args(SSLKind)}
    return kinds[name.split("-")[0]]


def backbone_info(reference: str = DEFAULT_BACKBONE) -> BackboneInfo:
    """Load a backbone (fetching it if need be) and describe it. Raises BackboneError as `load_encoder` does."""
    if reference not in ("embedded", *EMBEDDED):
        from softspoken.backbones.ssl_checkpoints import load_ssl

        encoder = load_ssl(reference)
        if encoder is not None:
            return _ssl_info(encoder)
    loaded = read_whisper(reference)
    config = loaded.config
    return BackboneInfo(
        name=loaded.name,
        model="whisper",
        source=loaded.source,
        fingerprint=loaded.fingerprint,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        width=config.d_model,
        heads=config.decoder_attention_heads,
        mels=config.num_mel_bins,
        vocabulary=config.vocab_size,
        parameters=config.parameters,
        multilingual=config.vocab_size >= _FIRST_MULTILINGUAL_VOCABULARY,
    )


def _ssl_info(loaded: "LoadedSSL") -> BackboneInfo:
    config = loaded.model.config
    return BackboneInfo(
        name=loaded.name,
        model=config.model_type,
        source=loaded.source,
        fingerprint=loaded.fingerprint,
        encoder_layers=config.num_hidden_layers,
        decoder_layers=0,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        mels=None,
        vocabulary=None,
        parameters=sum(parameter.numel() for parameter in loaded.model.parameters()),
        multilingual=None,
    )
