"""Everything that determines a training run for speech in noise."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from softspoken.data.config import DataConfig
from softspoken.prompts.config import Depth, PromptConfig, StackPrompt
from softspoken.training.config import LoopConfig
from softspoken_lab.noise.cached import CacheConfig
from softspoken_lab.noise.corruption import CorruptionConfig
from softspoken_lab.noise.head import HeadConfig


def noise_prompts(length: int = 20, depth: Depth = "input") -> PromptConfig:
    """[X, P]: `length` vectors behind an encoder's audio, as in the second paper (section 2.1; it has 20 and 50)."""
    return PromptConfig(
        encoder=StackPrompt(length=length, depth=depth), decoder=None, speaker=None, placement="appended"
    )


class NoiseTrainConfig(LoopConfig):
    """A run for speech in noise (second paper, sections 2.2 and 2.3), whose values are the defaults."""

    task: Literal["noise"] = "noise"
    backbone: str = "facebook/hubert-base-ls960"
    prompts: PromptConfig | None = noise_prompts()
    """None, 'none' in TOML: the frozen baseline. What a recipe leaves out is as in `noise_prompts`."""
    head: HeadConfig = HeadConfig()
    corruption: CorruptionConfig = CorruptionConfig()
    data: DataConfig = DataConfig()
    utterances_per_batch: int = Field(default=32, ge=1)
    pool: int = Field(default=512, ge=1)
    """Utterances that are sorted by length among each other, so that those of a batch are about equally long."""
    cache: CacheConfig | None = None
    """Utterances encoded once, for a frozen baseline whose head hears one layer; None: encoded anew in every step."""
    learning_rate: float = Field(default=1e-4, gt=0)
    prompt_start: Literal["normal", "frames"] = "normal"
    """How prompt vectors begin: normal with deviation 0.02, or as frames of training speech, taken where the prompts
    stand. A pre-norm encoder (Whisper, the large models) blows small vectors up to the size of frames, and with them
    their gradients; those begin better as frames."""
    start: Path | None = None
    """A recogniser whose head this one begins with; None: a new one, as in the paper."""
    head_rate: float = Field(default=1.0, ge=0)
    """Factor on the learning rate of the head; 0: the head stays as it is, and only prompts learn."""
    prompt_rate: float = Field(default=1.0, gt=0)
    """Factor on the learning rate of the prompts. The paper trains long enough for 1; a short run needs more."""

    @field_validator("prompts", mode="before")
    @classmethod
    def _encoder_alone(cls, value: Any) -> Any:
        if value == "none":
            return None
        return {**noise_prompts().model_dump(), **value} if isinstance(value, Mapping) else value

    @model_validator(mode="after")
    def _cache_of_one_state(self) -> "NoiseTrainConfig":
        if self.cache is not None and (self.prompts is not None or self.head.states == "weighted"):
            raise ValueError(
                "'cache' keeps one state of the encoder without prompts; give prompts = 'none' and head.states = 'last'"
            )
        return self

    @property
    def items_per_batch(self) -> int:
        return self.utterances_per_batch
