"""The prompt that lets Whisper hear windows as long as their audio: the end of a silent window, in every layer.

Whisper was trained on windows of 30 s and writes for ever on shorter ones. What it misses is not 25 s of silence but
their end: the state of the last position, seen by the encoder's layers and by the decoder, is enough (measured in
docs/experiments.md). It is the same whatever is said, so nothing is trained; the rows are read off the frozen model.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from softspoken.backbones.features import MAX_WINDOW_S, SAMPLE_RATE_HZ
from softspoken.errors import ConfigError
from softspoken.prompts.checkpoint import LoadedPrompts, info_of
from softspoken.prompts.config import PromptConfig, StackPrompt

SHORT = "short"
"""The name that means these prompts, of whatever backbone."""
LENGTH = 4
"""Rows: the window's last position, and others of the silence before it, which do no harm."""
SETTLED_S = 1.0
"""Behind the speech, so much silence still carries traces of its end."""
_SILENCE_S = 1.0
_FRAME = SAMPLE_RATE_HZ // 50


@runtime_checkable
class Hearing(Protocol):
    """An engine, as far as its encoder's layers go."""

    backbone: Any

    def layer_states(self, audio: Sequence[np.ndarray], window_s: float) -> Float32[np.ndarray, "L B T D"]: ...


def short_window_prompts(engine: Hearing, length: int = LENGTH) -> LoadedPrompts:
    """Prompts of task 'transcription' for any Whisper, read off its weights in the time of one window."""
    speech = [np.zeros(round(_SILENCE_S * SAMPLE_RATE_HZ), np.float32)]
    states = engine.layer_states(speech, MAX_WINDOW_S)
    vectors = states[:, :, silent_places(speech, states.shape[2], length)].mean(axis=1)
    empty = np.zeros(0, np.float32)
    tensors = {"stacks.encoder.vectors": vectors, "speaker_mean": empty, "speaker_scale": empty}
    config = PromptConfig(encoder=StackPrompt(length=length), decoder=None, speaker=None)
    info = info_of(config, tensors, engine.backbone, task="transcription", window="audio")
    return LoadedPrompts(tensors, info)


def silent_places(speech: Sequence[np.ndarray], frames: int, count: int) -> np.ndarray:
    """`count` of an encoder's positions, spread evenly over the silence behind `speech` (mono, 16 kHz), in order.

    The window's last position is always among them, also where there is only one: on tiny.en it alone does nearly all
    of the work, and as many others without it do not (docs/experiments.md). For that reason positions are chosen, never
    pooled with their neighbours. Raises ConfigError when the clips leave too little silence.
    """
    first = max(-(-clip.size // _FRAME) for clip in speech) + round(SETTLED_S * SAMPLE_RATE_HZ / _FRAME)
    last = frames - 1
    if last - first + 1 < count:
        raise ConfigError(
            f"the longest clip leaves {max(last - first + 1, 0)} silent positions, {count} vectors begin as such; "
            "give shorter clips or fewer vectors"
        )
    return np.round(np.linspace(last, first, count)).astype(np.int64)[::-1]
