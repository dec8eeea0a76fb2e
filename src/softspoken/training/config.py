"""Everything that determines a training run. Recipes (TOML) and the command line derive from it."""

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field, model_validator

from softspoken.data.config import DataConfig, MixingConfig
from softspoken.defaults import DEFAULT_BACKBONE, DEFAULT_EMBEDDER
from softspoken.frozen import Frozen
from softspoken.prompts.config import PromptConfig

CONFIG = "config.json"
"""A run's own copy of it, in its folder."""

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
    seed: int = 0
    validate_every: int = Field(default=200, ge=1)
    save_every: int = Field(default=100, ge=1)
    log_every: int = Field(default=1, ge=1)
    """Steps between two lines of the log. A GPU waits while figures are read, so more than 1 is faster there."""
    workers: int = Field(default=0, ge=0)
    tensorboard: bool = False

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
    """A run for one voice out of a mixture (first paper), or for everybody's words in windows as long as the audio."""

    task: Literal["target-speaker", "transcription"] = "target-speaker"
    """`transcription`: prompts that follow no voice, on talkers who do not speak at the same time."""
    backbone: str = DEFAULT_BACKBONE
    embedder: str = DEFAULT_EMBEDDER
    method: MethodConfig = PromptMethod()
    prompts: PromptConfig = PromptConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    mixing: MixingConfig = MixingConfig()
    data: DataConfig = DataConfig()
    prompt_start: Literal["normal", "silence"] = "normal"
    """How the encoder's vectors begin: normal with deviation 0.02, or as what the frozen encoder makes of the silence
    behind speech in a 30 s window, up to the window's end, which windows as long as the audio lack
    (`softspoken.prompts.initialization`)."""
    start: str | None = None
    """What it begins with: a run's folder, whose best state it takes, or a stored prompt ('tiny.en', a folder, a hub
    repository 'owner/name'). Prompts, method and embedder must be the same; parts that a stored prompt lacks, such as
    'prompts.enrolment', begin new. None: all is new."""
    window: Literal["audio", "30s"] = "audio"
    """How long the windows are that the model hears: as the mixture, or 30 s as in the paper (section 3)."""
    mix_on_device: bool = False
    """Mix, and compare with the voices, where the model is and a whole batch at a time, out of speech that is read once
    and stays there. For GPUs; for CAM++ alone."""
    mixtures_per_batch: int = Field(default=4, ge=1)
    """Mixtures of a batch; several processes share them, so that a run is the same with any number of these."""
    development_mixtures: int = Field(default=32, ge=2)
    """Mixtures of talkers put aside that show how far it is; the same in every run."""
    pool: int = Field(default=64, ge=1)
    """Mixtures that are sorted by length among each other, so that those of a batch are about equally long."""

    @model_validator(mode="after")
    def _possible(self) -> "TrainConfig":
        if self.method.kind != "prompt" and self.prompts.enrolment is not None:
            raise ValueError(
                f"'prompts.enrolment' is what the frozen encoder hears; method '{self.method.kind}' changes it"
            )
        if self.data.shards is not None and (self.data.mixtures is not None or self.mix_on_device):
            raise ValueError("'data.shards' is mixed by the processor; leave out 'data.mixtures' and 'mix_on_device'")
        if self.mix_on_device:
            self._on_device()
        if self.prompt_start == "silence":
            self._plain_vectors()
        if self.task == "transcription":
            self._for_everybody()
        return self

    def _on_device(self) -> None:
        if self.task == "transcription" or self.embedder != "campplus" or self.data.mixtures is not None:
            raise ValueError(
                "'mix_on_device' draws mixtures for one voice and compares them by CAM++; set embedder to 'campplus', "
                "and leave out 'data.mixtures'"
            )
        if self.mixing.channels.probability:
            raise ValueError("'mix_on_device' knows no rooms; leave out 'mixing.channels'")

    def _plain_vectors(self) -> None:
        encoder, placement = self.prompts.encoder, self.prompts.placement
        if encoder is None or encoder.rank or placement == "shifted" or self.prompts.reparameterisation != "none":
            raise ValueError(
                "'prompt_start' silence sets plain encoder vectors, which carry their positions; give "
                "'prompts.encoder' without rank, reparameterisation 'none', and placement 'unshifted'"
            )

    def _for_everybody(self) -> None:
        if self.prompts.follows_voice:
            raise ValueError("task 'transcription' follows no voice; set prompts.speaker to 'none'")
        if self.data.mixtures is not None or self.data.shards is not None:
            raise ValueError(
                "task 'transcription' draws its windows from 'data.speech'; leave out 'data.mixtures' and 'data.shards'"
            )
        if any(count > 1 for count in self.mixing.talkers) and self.mixing.overlap[1] > 0:
            raise ValueError(
                "task 'transcription' wants the words of all, one after the other; set mixing.talkers to {1 = 1.0}, or "
                "an overlap of at most 0"
            )

    @property
    def items_per_batch(self) -> int:
        return self.mixtures_per_batch
