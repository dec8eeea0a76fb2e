"""What a run trains besides the prompts: nothing (prompt tuning), or weights of the backbone (its rivals)."""

from typing import Annotated, Literal

from pydantic import Field

from softspoken.frozen import Frozen

Stacks = Literal["both", "encoder", "decoder"]
Projection = Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


class PromptMethod(Frozen):
    """Prompts alone: the backbone stays as it is."""

    kind: Literal["prompt"] = "prompt"


class WeightMethod(Frozen):
    """Weights of the backbone are trained beside the prompts, which still say whose words are wanted."""

    stacks: Stacks = "both"
    weight_rate: float = Field(default=1.0, gt=0)
    """Factor on the learning rate of these weights; the prompts (the speaker projection) keep the run's own."""


class LoraMethod(WeightMethod):
    """Low-rank updates of projections (Hu et al. 2021), the target-speaker paper's baseline: rank 4, query and value.

    In the decoder they are those of its self-attention and of its attention to the audio.
    """

    kind: Literal["lora"] = "lora"
    rank: int = Field(default=4, ge=1)
    alpha: float = Field(default=8.0, gt=0)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[Projection, ...] = Field(default=("q_proj", "v_proj"), min_length=1)


class AdapterMethod(WeightMethod):
    """A bottleneck behind each block's feed-forward, before the residual (Houlsby et al. 2019, section 2.1)."""

    kind: Literal["adapters"] = "adapters"
    width: int = Field(default=16, ge=1)


class FullMethod(WeightMethod):
    """All weights, but for the encoder's sinusoidal positions, which are no weights. Kept in float32 while training."""

    kind: Literal["full"] = "full"


MethodConfig = Annotated[PromptMethod | LoraMethod | AdapterMethod | FullMethod, Field(discriminator="kind")]
