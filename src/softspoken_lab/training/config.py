"""Everything that determines a run of the first paper's studies: what `TrainConfig` has, and what only they need."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from softspoken.data.config import DataConfig
from softspoken.frozen import Frozen
from softspoken.training.config import TrainConfig

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


class StudyData(DataConfig):
    """Speech and noise, or mixtures that are there already."""

    mixtures: Path | None = None
    """A corpus's own training mixtures (`softspoken-lab prepare librimix`), instead of such that are drawn from
    `speech`; the talkers put aside for development are those of `speech` as ever."""
    voices: Path | None = None
    """Speaker embeddings of the pieces (`softspoken_lab.training.vectors`); others are made when needed."""
    resident: Path | None = None
    """File for what `mix_on_device` has read, so that the next start takes seconds; made where it is not there or is of
    other speech. 115 MB an hour and speed."""


class StudyTrainConfig(TrainConfig):
    """A run for one voice out of a mixture, or for everybody's words in windows as long as the audio."""

    task: Literal["target-speaker", "transcription"] = "target-speaker"
    """`transcription`: prompts that follow no voice, on talkers who do not speak at the same time."""
    method: MethodConfig = PromptMethod()
    data: StudyData = StudyData()
    prompt_start: Literal["normal", "silence"] = "normal"
    """How the encoder's vectors begin: normal with deviation 0.02, or as what the frozen encoder makes of the silence
    behind speech in a 30 s window, up to the window's end, which windows as long as the audio lack
    (`softspoken_lab.training.initialization`)."""
    mix_on_device: bool = False
    """Mix, and compare with the voices, where the model is and a whole batch at a time, out of speech that is read once
    and stays there. For GPUs; for CAM++ alone."""
    window: Literal["audio", "30s"] = "audio"
    """How long the windows are that the model hears: as the mixture, or 30 s as in the paper (section 3)."""

    @model_validator(mode="after")
    def _possible(self) -> "StudyTrainConfig":
        if self.method.kind != "prompt" and self.prompts.enrolment is not None:
            raise ValueError(
                f"'prompts.enrolment' is what the frozen encoder hears; method '{self.method.kind}' changes it"
            )
        if self.data.mixtures is not None and (self.data.shards is not None or self.mix_on_device):
            raise ValueError("'data.mixtures' are mixed already; leave out 'data.shards' and 'mix_on_device'")
        if self.mix_on_device:
            self._on_device()
        if self.prompt_start == "silence":
            self._plain_vectors()
        if self.task == "transcription":
            self._for_everybody()
        return self

    def _on_device(self) -> None:
        if self.data.shards is not None:
            raise ValueError("'data.shards' is mixed by the processor; leave out 'mix_on_device'")
        if self.embedder != "campplus":
            raise ValueError("'mix_on_device' compares mixtures with voices by CAM++; set embedder to 'campplus'")
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
        if self.data.mixtures is not None or self.data.shards is not None or self.mix_on_device:
            raise ValueError(
                "task 'transcription' draws its windows from 'data.speech'; leave out 'data.mixtures', 'data.shards' "
                "and 'mix_on_device'"
            )
        if any(count > 1 for count in self.mixing.talkers) and self.mixing.overlap[1] > 0:
            raise ValueError(
                "task 'transcription' wants the words of all, one after the other; set mixing.talkers to {1 = 1.0}, or "
                "an overlap of at most 0"
            )

    @property
    def stored(self) -> dict[str, Any]:
        embedder = self.embedder if self.task == "target-speaker" else None
        return {"task": self.task, "embedder": embedder, "window": self.window}

    @property
    def window_s(self) -> float | None:
        """Seconds of the windows; None: as long as the mixture."""
        return 30.0 if self.window == "30s" else None
