"""The prompt that lets Whisper hear windows as long as their audio: the end of a silent window, in every layer.

Whisper was trained on windows of 30 s and writes for ever on shorter ones. What it misses is not 25 s of silence but
their end: the state of the last position, seen by the encoder's layers and by the decoder, is enough (measured in
docs/experiments.md). It is the same whatever is said, so nothing is trained; the rows are read off the frozen model.
"""

import numpy as np

from softspoken.backbones.base import SAMPLE_RATE_HZ
from softspoken.backbones.whisper import WhisperBackbone
from softspoken.prompts.checkpoint import LoadedPrompts, prompt_files
from softspoken.prompts.config import PromptConfig, StackPrompt
from softspoken.prompts.initialization import initialize_as_silence
from softspoken.prompts.modules import SoftPrompts

SHORT = "short"
"""The name that means these prompts, of whatever backbone."""
LENGTH = 4
"""Rows: the window's last position, and others of the silence before it, which do no harm."""
_SILENCE_S = 1.0


def short_window_prompts(backbone: WhisperBackbone, length: int = LENGTH) -> LoadedPrompts:
    """Prompts of task 'transcription' for any Whisper, read off its weights in the time of one window.

    Not to be called under a prompt.
    """
    config = PromptConfig(encoder=StackPrompt(length=length), decoder=None, speaker=None)
    layers = {name: len(stack.layers) for name, stack in backbone.stacks.items()}
    prompts = SoftPrompts(config, backbone.stacks["encoder"].width, layers)
    initialize_as_silence(prompts, backbone, [np.zeros(round(_SILENCE_S * SAMPLE_RATE_HZ), np.float32)])
    prompts.eval().requires_grad_(False)
    info, _ = prompt_files(prompts, backbone=backbone, task="transcription", window="audio")
    return LoadedPrompts(prompts, info)
