"""Everything that determines a training run. Recipes (TOML) and the command line derive from it."""

from abc import abstractmethod
from typing import Any, Literal

from pydantic import Field, model_validator

from softspoken.data.config import DataConfig, MixingConfig
from softspoken.defaults import DEFAULT_BACKBONE, DEFAULT_EMBEDDER
from softspoken.frozen import Frozen
from softspoken.prompts.config import PromptConfig

CONFIG = "config.json"
"""A run's own copy of it, in its folder."""


class ObjectiveConfig(Frozen):
    """Weights of the losses. The teacher is the same frozen model, hearing the clean target alone."""

    cross_entropy: float = Field(default=1.0, ge=0)
    """On the target's words (target-speaker paper, section 2.2)."""
    states: float = Field(default=0.0, ge=0)
    """Distance of the encoder's states to the teacher's, a frame: says far more of voices than words do."""
    layers: float = Field(default=0.0, ge=0)
    """The same between the encoder's layers, the mean over these: a nearer goal for the first prompts."""
    tokens: float = Field(default=0.0, ge=0)
    """Kullback-Leibler divergence to the teacher's token distribution."""
    teacher_window: Literal["audio", "30s"] = "audio"
    """Window in which the teacher hears the target."""


class LoopConfig(Frozen):
    """What the loop itself needs to know, whatever is trained."""

    steps: int = Field(default=1000, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    """How long the run takes, over all starts, reading of data and validation included (the last validation is made
    behind it). The cosine then follows the clock, and `steps` are only the most there may be. None: as long as the
    steps take."""
    accumulation: int = Field(default=1, ge=1)
    """Batches of a step; its losses are the means over them."""
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=50, ge=0)
    schedule: Literal["cosine", "stepped"] = "cosine"
    """`cosine`: down to `final_rate` of the peak at the last step. `stepped`: times `decay` every `decay_every` steps,
    as the target-speaker paper's authors train (tenfold less every five epochs)."""
    final_rate: float = Field(default=0.05, ge=0, le=1)
    """Share of the learning rate left at the end of the cosine."""
    decay_every: int = Field(default=1000, ge=1)
    decay: float = Field(default=0.1, gt=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["no", "bf16", "fp16"] = "no"
    seed: int = Field(default=0, ge=0)
    validate_every: int = Field(default=200, ge=1)
    save_every: int = Field(default=100, ge=1)
    log_every: int = Field(default=1, ge=1)
    """Steps between two lines of the log. A GPU waits while figures are read, so more than 1 is faster there."""
    workers: int = Field(default=0, ge=0)

    def time_is_up(self, seconds: float) -> bool:
        """Whether a run that has trained for so long is at its end."""
        return self.minutes is not None and seconds >= 60 * self.minutes

    @property
    @abstractmethod
    def items_per_batch(self) -> int:
        """Items of the dataset in a batch."""

    @property
    def items(self) -> int:
        """Items of the dataset that a run takes."""
        return self.steps * self.accumulation * self.items_per_batch


class TrainConfig(LoopConfig):
    """A run that trains a prompt for one voice out of a mixture (first paper)."""

    backbone: str = DEFAULT_BACKBONE
    embedder: str = DEFAULT_EMBEDDER
    prompts: PromptConfig = PromptConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    mixing: MixingConfig = MixingConfig()
    data: DataConfig = DataConfig()
    start: str | None = None
    """What it begins with: a run's folder, whose best state it takes, or a stored prompt ('tiny.en', a folder, a hub
    repository 'owner/name'). Prompts and embedder must be the same; parts that a stored prompt lacks, such as
    'prompts.enrolment', begin new. None: all is new."""
    mixtures_per_batch: int = Field(default=4, ge=1)
    """Mixtures of a batch; several processes share them, so that a run is the same with any number of these."""
    development_mixtures: int = Field(default=32, ge=2)
    """Mixtures of talkers put aside that show how far it is; the same in every run."""
    pool: int = Field(default=64, ge=1)
    """Mixtures that are sorted by length among each other, so that those of a batch are about equally long."""

    @model_validator(mode="after")
    def _counted(self) -> "TrainConfig":
        if self.minutes is not None and self.mixing.curriculum:
            raise ValueError("'mixing.curriculum' counts steps, and 'minutes' ends a run by the clock; leave out one")
        return self

    @property
    def items_per_batch(self) -> int:
        return self.mixtures_per_batch

    @property
    def stored(self) -> dict[str, Any]:
        """What stored prompts say of how they are to be used, as fields of `PromptInfo`."""
        return {"task": "target-speaker", "embedder": self.embedder, "window": "audio"}
