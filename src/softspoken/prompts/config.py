"""What a set of soft prompts consists of. Frozen, validated, the only place where its defaults are written."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Depth = Literal["input", "deep"]
Placement = Literal["shifted", "unshifted", "appended"]
Reparameterisation = Literal["none", "shared", "separate"]
SpeakerTarget = Literal["encoder", "decoder", "both", "frames"]


class Frozen(BaseModel):
    """Immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StackPrompt(Frozen):
    """Prompt vectors of one stack (target-speaker paper, section 2.2.1 'input', 2.2.2 'deep')."""

    length: int = Field(default=16, ge=1, le=200)
    """Vectors a layer. The paper's gains flatten after 16."""
    depth: Depth = "deep"
    """`input`: in front of the first layer only. `deep`: overwritten before every layer."""


class SpeakerPrompt(Frozen):
    """How the target's voice, a speaker embedding, becomes prompt vectors."""

    dimension: int = Field(default=256, ge=1)
    """Size S of the embedding (GE2E 256, x-vector 512)."""
    into: SpeakerTarget = "encoder"
    """Which stack gets a `Linear(S, D)` projection in front of its prompt vectors (the paper: the encoder); `frames`:
    none does, only the keyed frame vectors hear the voice."""
    every_layer: int = Field(default=0, ge=0)
    """Beyond the paper: this many voice vectors overwritten before every layer, from a low-rank projection; 0: none."""
    rank: int = Field(default=16, ge=1)
    """Rank of the `every_layer` projections."""


class FramePrompt(Frozen):
    """Vectors added to the audio frames of every encoder layer. Beyond the paper.

    One vector is added to the frames in which the target speaks and another to the rest, weighted by the activity
    score of each frame. `keyed` adds a bank of vectors that a frame's own content and the target's voice choose from:
    `h + V gelu((K norm(h)) * (1 + C s) + a c + b)`, with voice s and activity a, rank `keyed`: a low-rank adapter
    gated by the voice, for the overlaps in which activity alone says nothing.
    """

    keyed: int = Field(default=0, ge=0)
    """Vectors in each layer's bank; 0: none."""
    slope: float = 25.0
    """Activity of a frame = sigmoid(slope * (cosine - threshold)) of its windows' cosine to the enrolment."""
    threshold: float = 0.68
    window_s: float = Field(default=1.6, gt=0)
    """Length of the windows that are compared with the enrolment."""
    hop_s: float = Field(default=0.48, gt=0)
    """Distance of the windows. Twice as dense costs twice as much and hardly moves the mean over a frame's windows."""


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

    @model_validator(mode="after")
    def _possible(self) -> "PromptConfig":
        if self.encoder is None and self.decoder is None and self.frames is None and self.speaker is None:
            raise ValueError("no prompts at all: give 'encoder', 'decoder', 'speaker' or 'frames'")
        if self.placement == "appended" and (
            self.encoder is None or self.speaker is not None or self.frames is not None
        ):
            raise ValueError("placement 'appended' is for encoder prompts that follow no voice; use 'unshifted'")
        if self.frames is not None and self.frames.keyed and self.speaker is None:
            raise ValueError("'frames.keyed' is chosen by the voice; give 'speaker' too")
        if self.speaker is not None and self.speaker.into == "frames":
            if self.frames is None or not self.frames.keyed:
                raise ValueError("speaker.into is 'frames', but there are none that hear a voice; set 'frames.keyed'")
            if self.speaker.every_layer:
                raise ValueError("'speaker.every_layer' needs a stack; set speaker.into to 'encoder' or 'both'")
        return self


AUTHORS = PromptConfig(placement="shifted", reparameterisation="separate", speaker=SpeakerPrompt(dimension=512))
"""The configuration of the target-speaker paper: deep, 16 vectors, separate MLPs, x-vector into the encoder."""


def noise_prompts(length: int = 20, depth: Depth = "input") -> PromptConfig:
    """[X, P]: `length` vectors behind an encoder's audio, as in the second paper (section 2.1; it has 20 and 50)."""
    return PromptConfig(
        encoder=StackPrompt(length=length, depth=depth), decoder=None, speaker=None, placement="appended"
    )
