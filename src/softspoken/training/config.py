"""Everything that determines a training run. Recipes (TOML) and the command line derive from it."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from softspoken.data.config import DataConfig
from softspoken.data.mixing import MixingConfig
from softspoken.errors import ConfigError
from softspoken.prompts.config import PromptConfig


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ObjectiveConfig(Frozen):
    """Weights of the losses. The teacher is the same frozen model, hearing the clean target alone."""

    cross_entropy: float = Field(default=1.0, ge=0)
    """On the target's words (target-speaker paper, section 2.2)."""
    states: float = Field(default=0.0, ge=0)
    """Distance of the encoder's states to the teacher's, a frame: says far more of voices than words do."""
    tokens: float = Field(default=0.0, ge=0)
    """Kullback-Leibler divergence to the teacher's token distribution."""
    teacher_window: Literal["audio", "30s"] = "audio"
    """Window in which the teacher hears the target."""


class TrainConfig(Frozen):
    """One run."""

    backbone: str = "tiny.en"
    embedder: str = "ge2e"
    prompts: PromptConfig = PromptConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    mixing: MixingConfig = MixingConfig()
    data: DataConfig = DataConfig()
    steps: int = Field(default=1000, ge=1)
    mixtures_per_batch: int = Field(default=4, ge=1)
    accumulation: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=50, ge=0)
    final_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of the learning rate left at the end of the cosine."""
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["no", "bf16", "fp16"] = "no"
    seed: int = 0
    validate_every: int = Field(default=200, ge=1)
    save_every: int = Field(default=100, ge=1)
    workers: int = Field(default=0, ge=0)
    tensorboard: bool = False


def read_recipe(path: str | Path, overrides: dict[str, Any] | None = None) -> TrainConfig:
    """A TrainConfig from TOML; relative data paths count from the working directory. Raises ConfigError in one line."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no recipe at '{path}'; see the folder 'recipes' for examples")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return TrainConfig.model_validate({**values, **(overrides if overrides is not None else {})})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe '{path}' is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"recipe '{path}': {where}: {first['msg']}") from error
