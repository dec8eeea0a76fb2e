"""Everything that determines a training run. Recipes (TOML) and the command line derive from it."""

import tomllib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from softspoken.backbones.heads import HeadConfig
from softspoken.data.config import DataConfig
from softspoken.data.corruption import CorruptionConfig
from softspoken.data.mixing import MixingConfig
from softspoken.errors import ConfigError
from softspoken.frozen import Frozen
from softspoken.prompts.config import PromptConfig, noise_prompts
from softspoken.training.method_config import MethodConfig, PromptMethod


class ObjectiveConfig(Frozen):
    """Weights of the losses. The teacher is the same frozen model, hearing the clean target alone."""

    cross_entropy: float = Field(default=1.0, ge=0)
    """On the target's words (target-speaker paper, section 2.2)."""
    states: float = Field(default=0.0, ge=0)
    """Distance of the encoder's states to the teacher's, a frame: says far more of voices than words do."""
    layers: float = Field(default=0.0, ge=0)
    """The same between the encoder's layers, the mean over these: a nearer goal for the first prompts."""
    activity: float = Field(default=0.0, ge=0)
    """Binary cross-entropy of the activity that `refined` frame prompts work out, against the clean target's."""
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
    backbone: str = "tiny.en"
    embedder: str = "ge2e"
    method: MethodConfig = PromptMethod()
    prompts: PromptConfig = PromptConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    mixing: MixingConfig = MixingConfig()
    data: DataConfig = DataConfig()
    prompt_start: Literal["normal", "silence"] = "normal"
    """How the encoder's vectors begin: normal with deviation 0.02, or as what the frozen encoder makes of the silence
    behind speech in a 30 s window, up to the window's end, which windows as long as the audio lack
    (`softspoken.prompts.starts`)."""
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
    pool: int = Field(default=64, ge=1)
    """Mixtures that are sorted by length among each other, so that those of a batch are about equally long."""

    @model_validator(mode="after")
    def _possible(self) -> "TrainConfig":
        if self.method.kind != "prompt" and self.prompts.enrolment is not None:
            raise ValueError(
                f"'prompts.enrolment' is what the frozen encoder hears; method '{self.method.kind}' changes it"
            )
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
        if self.data.mixtures is not None:
            raise ValueError("task 'transcription' draws its windows from 'data.speech'; leave out 'data.mixtures'")
        if any(count > 1 for count in self.mixing.talkers) and self.mixing.overlap[1] > 0:
            raise ValueError(
                "task 'transcription' wants the words of all, one after the other; set mixing.talkers to {1 = 1.0}, or "
                "an overlap of at most 0"
            )

    @property
    def items_per_batch(self) -> int:
        return self.mixtures_per_batch


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

    @property
    def items_per_batch(self) -> int:
        return self.utterances_per_batch


Recipe = TrainConfig | NoiseTrainConfig
STUDY_COMMANDS = {
    "noise-study": "softspoken-lab analyse study",
    "target-speaker-study": "softspoken-lab study",
}
"""What runs the files that hold many runs, by their `task`."""


def read_recipe(path: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """The run that a TOML file describes; its `task` says which kind, `target-speaker` where there is none.

    A recipe may begin with `extends = "other.toml"` and say only what differs from that one. Relative data paths count
    from the working directory. Raises ConfigError in one line.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no recipe at '{path}'; see the folder 'recipes' for examples")
    try:
        values = _values(path)
        command = STUDY_COMMANDS.get(str(values.get("task")))
        if command is not None:
            raise ConfigError(f"'{path}' is a study, not a training; run it with '{command} {path}'")
        return recipe_of({**values, **(overrides if overrides is not None else {})})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe '{path}' is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"recipe '{path}': {where}: {first['msg']}") from error


def _values(path: Path, inside: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a recipe says, on top of what the one says that it `extends` (a path beside it), table by table."""
    if path.resolve() in inside:
        raise ConfigError(f"recipe '{path}' extends itself; name another one")
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    base = values.pop("extends", None)
    if base is None:
        return values
    below = path.parent / str(base)
    if not below.is_file():
        raise ConfigError(f"recipe '{path}' extends '{base}', which is not beside it; correct the name")
    return _merged(_values(below, (*inside, path.resolve())), values)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` wins; a table that says of which `kind` it is replaces the other as a whole."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(below.get(key), Mapping) and "kind" not in value
        merged[key] = _merged(below[key], value) if both else value
    return merged


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """A recipe from its values, validated."""
    kind = NoiseTrainConfig if values.get("task") == "noise" else TrainConfig
    return kind.model_validate(values)
