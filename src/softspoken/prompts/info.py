"""What is known about stored prompts besides their tensors: the content of `prompt_config.json`."""

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from softspoken.backbones.weights import StackName
from softspoken.defaults import DEFAULT_EMBEDDER
from softspoken.frozen import Frozen
from softspoken.prompts.arrays import STATISTICS, shapes_of
from softspoken.prompts.config import PromptConfig
from softspoken.prompts.silence import SilenceModel

FORMAT_VERSION = 1
"""The newest layout of a prompt folder that this version reads; the one it writes."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Layers = Annotated[int, Field(ge=1, le=1000)]


@runtime_checkable
class FrozenModel(Protocol):
    """What prompts record of a model: `Backbone` has it, and so has `StoredWhisper`."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> Mapping[StackName, int]: ...
    @property
    def parameter_count(self) -> int: ...


class BackboneRef(Frozen):
    """The frozen model that prompts belong to, as far as they need to know it."""

    name: str
    """How its weights were asked for: 'tiny.en', a hub id, a path."""
    fingerprint: str = Field(min_length=1)
    """Digest of its weights."""
    width: int = Field(ge=1, le=1_000_000)
    layers: dict[StackName, Layers]
    """Layers of each of its stacks."""
    parameters: int | None = Field(default=None, ge=1)
    """Number of its weights, for the share that the prompts are of it."""

    @classmethod
    def of(cls, backbone: FrozenModel) -> "BackboneRef":
        """Describe a backbone."""
        return cls(
            name=backbone.name,
            fingerprint=backbone.fingerprint,
            width=backbone.width,
            layers=dict(backbone.layers),
            parameters=backbone.parameter_count,
        )


class PromptInfo(Frozen):
    """Everything about stored prompts that is not a tensor."""

    format_version: int = FORMAT_VERSION
    task: Literal["target-speaker", "transcription", "noise"] = "target-speaker"
    prompts: PromptConfig
    backbone: BackboneRef
    embedder: str | None = DEFAULT_EMBEDDER
    """Which speaker embedder the voices come from; None where no voice is involved."""
    embedder_fingerprint: Digest | None = None
    """Digest of its weights, where these are pinned (`EMBEDDER_FINGERPRINTS`)."""
    window: Literal["audio", "30s"] = "audio"
    """Trained on windows as long as the audio, or padded with silence to 30 s."""
    timestamps: bool = True
    """Decode with timestamps."""
    silence: SilenceModel | None = None
    """Calibrated probability that the target speaks in a window; None: the decoder alone says so."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Facts for the model card: data, steps, hours, seed."""
    results: list[dict[str, str | int | float | None]] = Field(default_factory=list)
    """The measured table for the model card, one dictionary a row."""
    licence: str = "apache-2.0"
    history: list[dict[str, Any]] = Field(default_factory=list)
    """What was done to them after training, oldest first: the digest they had, and how they were changed."""
    trained_parameters: int | None = Field(default=None, ge=1)
    """Numbers that were trained, reparameterisation included."""
    digest: Digest
    """SHA-256 of `prompts.safetensors`."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the stored tensors. Raises KeyError for a stack that the backbone has not."""
        return shapes_of(self.prompts, self.backbone.width, self.backbone.layers)

    @cached_property
    def deployed_parameters(self) -> int:
        """Numbers of the folded prompts, the speaker projection included."""
        shapes = shapes_of(self.prompts.folded(), self.backbone.width, self.backbone.layers)
        return sum(prod(shape) for name, shape in shapes.items() if name not in STATISTICS)

    @property
    def share_percent(self) -> float | None:
        """Deployed numbers in percent of the backbone's weights, where these are known."""
        if self.backbone.parameters is None:
            return None
        return 100.0 * self.deployed_parameters / self.backbone.parameters
