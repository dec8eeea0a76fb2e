"""How a stream is decoded, and what comes out of it."""

from dataclasses import dataclass

from pydantic import Field

from softspoken.decoding.options import DecodingOptions
from softspoken.frozen import Frozen


class LiveOptions(Frozen):
    """How a stream is decoded. Chosen on development talkers, see docs/experiments.md."""

    step_s: float = Field(default=0.6, gt=0.0)
    """New audio between two attempts, where the machine is fast enough."""
    shortest_s: float = Field(default=1.0, gt=0.0)
    """Less than this is not tried before a pause."""
    pause_s: float = Field(default=0.6, ge=0.1)
    """Silence that confirms what stands and ends the window."""
    padding_s: float = Field(default=0.4, ge=0.0)
    """Kept before and after speech."""
    speech: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Probability from which on the detector hears speech."""
    trim_s: float = Field(default=8.0, gt=0.0)
    """A longer window is cut behind its confirmed sentences,"""
    longest_s: float = Field(default=15.0, ge=6.0, le=30.0)
    """and one as long as this where it is quietest."""
    search_s: float = Field(default=5.0, gt=0.0)
    """Of the window's end, where that place is looked for."""
    idle_s: float = Field(default=2.0, gt=0.0)
    """What is kept of a window in which a voice is silent while others speak."""
    decoding: DecodingOptions = DecodingOptions(temperatures=(0.0,), tokens_per_s=6.0, repeat_limit=3, words=True)


@dataclass(frozen=True)
class Confirmed:
    """Words that will not change. Times in seconds from the start of the stream."""

    speaker: str | None
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Partial:
    """What stands behind the confirmed words for now, in place of the speaker's last partial; may be empty."""

    speaker: str | None
    text: str


@dataclass(frozen=True)
class Said:
    """A stretch that is over: all its words, each of them confirmed before."""

    speaker: str | None
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Pace:
    """From now on an attempt is made every so many seconds of audio: the machine can do no more, or can again."""

    step_s: float


LiveEvent = Confirmed | Partial | Said | Pace
