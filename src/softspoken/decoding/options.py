"""How to decode: one frozen set of choices, the only place where the defaults are written."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from softspoken.backbones.features import FRAME_RATE_HZ, MAX_WINDOW_S
from softspoken.frozen import Frozen
from softspoken.languages import language_code
from softspoken.prompts.info import PromptInfo

Start = Literal["auto", "speech", "any"]
Cut = Literal["quiet", "speech"]
FOLLOWED_S = 14.0
"""The longest window in which a voice is followed, where nothing else is asked for."""


class SpeechOptions(Frozen):
    """What counts as speech for `cut='speech'`. The defaults rather keep too much than lose a word."""

    threshold: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Speech begins where its probability reaches this,"""
    release: float = Field(default=0.35, gt=0.0, lt=1.0)
    """and ends where it falls below this."""
    shortest_s: float = Field(default=0.1, ge=0.0, le=0.5)
    """Less speech than this, alone in silence, is none."""
    pause_s: float = Field(default=0.2, gt=0.0, le=0.5)
    """Speech goes on over gaps shorter than this: no window ends in one."""
    skip_s: float = Field(default=2.0, ge=1.0)
    """A longer pause ends the window, and is never encoded but for the padding."""
    padding_s: float = Field(default=0.4, ge=0.0, le=0.5)
    """Kept before and after speech, where words begin and end softly; in shorter pauses, half of the pause each."""

    @model_validator(mode="after")
    def _possible(self) -> "SpeechOptions":
        if self.release > self.threshold:
            raise ValueError(
                f"release {self.release} is above threshold {self.threshold}; give at most {self.threshold}"
            )
        return self


class WindowOptions(Frozen):
    """How a long recording is cut for prompts trained on windows as long as their audio."""

    cut: Cut = "quiet"
    """`quiet`: at the quietest places, so that the windows are the whole recording. `speech`: in pauses between speech,
    and what holds no speech is left out; needs the extra `vad`."""
    longest_s: float | None = Field(default=None, ge=1.0, le=30.0)
    """No window is longer; None: 14 s where a voice is followed, else 20 s. Prompts that follow a voice were trained on
    12 s of it at most, and leave out the end of longer turns (docs/results-meetings.md)."""
    search_s: float = Field(default=5.0, ge=0.0)
    """The cut is made at the quietest place (`speech`: in the longest pause) in this many last seconds of the longest
    window."""
    speech: SpeechOptions = SpeechOptions()
    batch: int = Field(default=4, ge=1)
    """Windows decoded together where nothing waits for the first of them (`transcribe`; `stream` takes one). Several
    voices share them, so that memory stays what it is."""

    @property
    def limit_s(self) -> float:
        """`longest_s`, where nobody is followed."""
        return 20.0 if self.longest_s is None else self.longest_s


class DecodingOptions(Frozen):
    """Defaults are Whisper's own (Radford et al. 2022, section 4.5), with greedy search and a guard against loops."""

    language: str | None = None
    """Such as 'de', 'German' or 'de-AT', for multilingual backbones; None: English."""
    timestamps: bool = True
    """Let the model write start and end times, and cut segments by them; else one segment a window."""
    words: bool = False
    """Give every word its time; segments then begin with their first word and end with their last."""
    beam_size: int = Field(default=1, ge=1, le=64)
    """1: greedy."""
    patience: float = Field(default=1.0, gt=0.0)
    """Beam search ends when beam_size * patience hypotheses have ended."""
    length_penalty: float | None = Field(default=None, ge=0.0, le=1.0)
    """None: hypotheses are ranked by their mean log-probability; else Google NMT's penalty with this exponent."""
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried in turn by the rows whose result fails the checks below; 0 searches, others sample."""
    compression_ratio_threshold: float | None = 2.4
    """Text that gzip shrinks by more than this is repetitive: the row fails."""
    logprob_threshold: float | None = -1.0
    """A lower mean log-probability a token: the row fails."""
    no_speech_threshold: float | None = 0.6
    """A higher no-speech probability together with a low mean log-probability: the window is silent."""
    repeat_limit: int | None = Field(default=6, ge=2)
    """The same words (up to 12 tokens) this many times in a row: the row stops there and fails."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens a window at most; None: by `tokens_per_s`. Never more than the backbone has positions for."""
    tokens_per_s: float = Field(default=12.0, gt=0.0)
    """Far above any talker (about 4 a second), so that only a loop meets it; 16 tokens more than this are allowed."""
    suppress: Literal["default"] | tuple[int, ...] = "default"
    """Token ids never written besides the special ones; 'default': notation such as '[' or '♪'."""
    start: Start = "auto"
    """`speech`: a window's text is not empty and begins within its first second, as Whisper supposes. `any`: it may be
    empty or begin late, as a target's does. `auto`: `any` with a target-speaker prompt, else `speech`."""
    max_initial_timestamp_s: float = Field(default=1.0, ge=0.0)
    """What 'begins within' means for `start='speech'`."""
    insist: bool = False
    """Write what there is of a voice, however little it sounds like the one that is wanted."""
    seed: int = Field(default=0, ge=0)
    """Of the sampling at temperatures above 0."""
    windows: WindowOptions = WindowOptions()

    @field_validator("language")
    @classmethod
    def _code(cls, language: str | None) -> str | None:
        return None if language is None else language_code(language)

    @field_validator("temperatures")
    @classmethod
    def _possible(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if not temperatures or min(temperatures) < 0.0:
            raise ValueError("temperatures: give at least one, none below 0; 0 alone switches fallback off")
        return temperatures


def options_under(info: PromptInfo, max_frames: int, options: DecodingOptions | None = None) -> DecodingOptions:
    """What is asked for, as far as the prompt was trained for it and the encoder has room for it.

    A window may begin with a pause, or hold no wanted speech at all, so 'auto' starts are 'any'; timestamps are written
    by prompts that write them; no window is longer than the encoder's positions (`max_frames`), some of which shifted
    prompts take.
    """
    options = DecodingOptions() if options is None else options
    windows = options.windows
    followed_s = FOLLOWED_S if info.task == "target-speaker" and windows.longest_s is None else windows.limit_s
    longest_s = MAX_WINDOW_S if info.window == "30s" else followed_s
    room_s = (max_frames - info.prompts.taken_positions) / FRAME_RATE_HZ
    return options.model_copy(
        update={
            "start": "any" if options.start == "auto" else options.start,
            "timestamps": options.timestamps and info.timestamps,
            "windows": windows.model_copy(update={"longest_s": min(longest_s, room_s, MAX_WINDOW_S)}),
        }
    )
