"""Soft prompts: their configuration, their tensors, how they meet a backbone, how they are stored."""

from softspoken.prompts.checkpoint import LoadedPrompts, PromptInfo, load_prompts, save_prompts
from softspoken.prompts.config import EnrolmentPrompt, FramePrompt, PromptConfig, SpeakerPrompt, StackPrompt
from softspoken.prompts.enrolment import clip_states
from softspoken.prompts.frames import activity_of
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
    "activity_of",
    "clip_states",
    "inject",
    "load_prompts",
    "save_prompts",
]
