"""Soft prompts: their configuration, their tensors, how they meet a backbone, how they are stored."""

from softspoken.prompts.checkpoint import LoadedPrompts, PromptInfo, load_prompts, save_prompts
from softspoken.prompts.config import EnrolmentPrompt, FramePrompt, PromptConfig, SpeakerPrompt, StackPrompt
from softspoken.prompts.inject import inject
from softspoken.prompts.modules import PromptRows, SoftPrompts

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
    "inject",
    "load_prompts",
    "save_prompts",
]
