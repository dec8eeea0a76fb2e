"""What a set of soft prompts consists of. Frozen, validated, the only place where its defaults are written."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from softspoken.frozen import Frozen

Depth = Literal["input", "deep"]
Placement = Literal["shifted", "unshifted", "appended"]
Reparameterisation = Literal["none", "shared", "separate"]
SpeakerTarget = Literal["encoder", "decoder", "both", "frames"]


class StackPrompt(Frozen):
    """Prompt vectors of one stack (target-speaker paper, section 2.2.1 'input', 2.2.2 'deep')."""

    length: int = Field(default=16, ge=1, le=200)
    """Vectors a layer. The paper's gains flatten after 16."""
    depth: Depth = "deep"
    """`input`: in front of the first layer only. `deep`: overwritten before every layer."""
    rank: int = Field(default=0, ge=0)
    """Beyond the paper: the vectors are products of low-rank factors, `length x rank` a layer and `rank x width` for
    all layers, so that long prompts cost little; 0: free vectors."""


class SpeakerPrompt(Frozen):
    """How the target's voice, a speaker embedding, becomes prompt vectors."""

    dimension: int = Field(default=192, ge=1)
    """Size S of the embedding (CAM++ 192, GE2E 256, x-vector 512)."""
    into: SpeakerTarget = "encoder"
    """Which stack gets a `Linear(S, D)` projection in front of its prompt vectors (the paper: the encoder); `frames`:
    none does, only the keyed frame vectors hear the voice."""


class FramePrompt(Frozen):
    """Vectors added to the audio frames of every encoder layer. Beyond the paper.

    One vector is added to the frames in which the target speaks and another to the rest, weighted by the activity
    score of each frame. `keyed` adds a bank of vectors that a frame's own content and the target's voice choose from:
    `h + V gelu((K norm(h)) * (1 + C s) + a c + b)`, with voice s and activity a, rank `keyed`: a low-rank adapter
    gated by the voice, for the overlaps in which activity alone says nothing.
    """

    keyed: int = Field(default=0, ge=0)
    """Vectors in each layer's bank; 0: none."""
    mute_db: float = Field(default=0.0, ge=0)
    """How much quieter the encoder hears a frame in which the target surely does not speak: the cascade's strength
    joined to the prompt's. 0: not at all."""
    slope: float = 12.0
    """Activity of a frame = sigmoid(slope * (cosine - threshold)) of its windows' cosine to the enrolment. This and the
    next three are made for CAM++; for GE2E give 25, 0.68, 1.6 and 0.48 (recipes/target-speaker/study-small.toml)."""
    threshold: float = 0.25
    window_s: float = Field(default=0.8, gt=0)
    """Length of the windows that are compared with the enrolment."""
    hop_s: float = Field(default=0.4, gt=0)
    """Distance of the windows. Twice as dense costs twice as much and hardly moves the mean over a frame's windows."""
    by_telephone: bool = False
    """Whether it was trained over telephone lines, too (`MixingConfig.telephone`). Then it is given the cosines of a
    recording over one as they are, else as they would be without (`SpeakerEmbedder.over_telephone`)."""


class EnrolmentPrompt(Frozen):
    """The enrolment clip itself as context, with no outside embedder. Beyond the paper; the idea of SQ-Whisper.

    The frozen encoder hears the clip alone; the states that enter each of its layers become rows in front of the
    mixture's frames before the same layer. They depend on the clip alone, so they are made once a voice.
    """

    form: Literal["frames", "queries"] = "frames"
    """`frames`: the clip's states themselves, averaged over `stride` frames. `queries`: pooled by attention of trained
    queries, `queries` a layer."""
    clip_s: float = Field(default=4.0, gt=0, le=30)
    """Seconds of the clip; a shorter one is repeated."""
    stride: int = Field(default=4, ge=1)
    queries: int = Field(default=8, ge=1)


class PromptConfig(Frozen):
    """Everything that determines the shapes and the meaning of a set of prompts."""

    encoder: StackPrompt | None = StackPrompt()
    decoder: StackPrompt | None = StackPrompt()
    placement: Placement = "unshifted"
    """Where the encoder's prompts stand. `shifted` as in the target-speaker paper's code: in front, they take positions
    0.. and the audio moves behind them. `unshifted`: in front, but the audio keeps its own positions and prompt rows
    have none. `appended`: [X, P] of the second paper, section 2.1: behind the audio, without positions."""
    reparameterisation: Reparameterisation = "none"
    """Residual MLPs while training, folded away afterwards (section 2.2.3)."""
    speaker: SpeakerPrompt | None = SpeakerPrompt()
    frames: FramePrompt | None = None
    enrolment: EnrolmentPrompt | None = None

    @field_validator("encoder", "decoder", "speaker", "frames", "enrolment", mode="before")
    @classmethod
    def _left_out(cls, value: Any) -> Any:
        # TOML has no null.
        return None if value == "none" else value

    def folded(self) -> "PromptConfig":
        """The configuration of the deployed prompts: no MLPs, and what went through one is plain vectors."""
        if self.reparameterisation == "none":
            return self
        plain = {
            name: part.model_copy(update={"rank": 0})
            for name, part in (("encoder", self.encoder), ("decoder", self.decoder))
            if part is not None
        }
        return self.model_copy(update={"reparameterisation": "none", **plain})

    @property
    def taken_positions(self) -> int:
        """Encoder positions that are not the audio's any more: prompts in front take some where they shift it."""
        if self.placement != "shifted":
            return 0
        taken = self.encoder.length if self.encoder is not None else 0
        if self.speaker is not None and self.speaker.into in ("encoder", "both"):
            taken += 1
        return taken

    @property
    def follows_voice(self) -> bool:
        """Whether it needs to be told whose words are wanted."""
        return any((self.speaker, self.frames, self.enrolment))

    @model_validator(mode="after")
    def _possible(self) -> "PromptConfig":
        if not any((self.encoder, self.decoder, self.frames, self.speaker, self.enrolment)):
            raise ValueError("no prompts at all: give 'encoder', 'decoder', 'speaker', 'frames' or 'enrolment'")
        if self.placement == "appended" and (self.encoder is None or any((self.speaker, self.frames, self.enrolment))):
            raise ValueError("placement 'appended' is for encoder prompts that follow no voice; use 'unshifted'")
        if self.enrolment is not None:
            if self.encoder is not None and self.encoder.depth == "input":
                raise ValueError("'enrolment' has rows before every layer; give the encoder depth 'deep', or none")
            if self.placement != "unshifted":
                raise ValueError("'enrolment' takes no positions from the audio; use placement 'unshifted'")
        if self.frames is not None and self.frames.keyed and self.speaker is None:
            raise ValueError("'frames.keyed' is chosen by the voice; give 'speaker' too")
        deaf = self.frames is None or not self.frames.keyed
        if self.speaker is not None and self.speaker.into == "frames" and deaf:
            raise ValueError("speaker.into is 'frames', but there are none that hear a voice; set 'frames.keyed'")
        return self
