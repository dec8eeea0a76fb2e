"""Soft prompts: their configuration, their tensors, how they meet a backbone, how they are stored.

What is stored and served is numpy's. `SoftPrompts`, `inject` and whatever else learns is PyTorch's, which is imported
when one of these names is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softspoken.prompts.checkpoint import LoadedPrompts, PromptInfo, load_prompts, save_prompts
    from softspoken.prompts.config import EnrolmentPrompt, FramePrompt, PromptConfig, SpeakerPrompt, StackPrompt
    from softspoken.prompts.injection import inject
    from softspoken.prompts.modules import SoftPrompts, activity_of, clip_states
    from softspoken.prompts.rows import PromptRows

_HOMES = {
    "EnrolmentPrompt": "config",
    "FramePrompt": "config",
    "LoadedPrompts": "checkpoint",
    "PromptConfig": "config",
    "PromptInfo": "checkpoint",
    "PromptRows": "rows",
    "SoftPrompts": "modules",
    "SpeakerPrompt": "config",
    "StackPrompt": "config",
    "activity_of": "modules",
    "clip_states": "modules",
    "inject": "injection",
    "load_prompts": "checkpoint",
    "save_prompts": "checkpoint",
}

__all__ = [
    "EnrolmentPrompt",
    "FramePrompt",
    "LoadedPrompts",
    "PromptConfig",
    "PromptInfo",
    "PromptRows",
    "SoftPrompts",
    "SpeakerPrompt",
    "StackPrompt",
    "activity_of",
    "clip_states",
    "inject",
    "load_prompts",
    "save_prompts",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'softspoken.prompts' has no attribute '{name}'")
    return getattr(import_module(f"softspoken.prompts.{_HOMES[name]}"), name)
