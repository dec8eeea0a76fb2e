"""Voices: embedders (one interface, several models), frame scores, enrolment checks and the enrolment store.

Nothing here but `torch_embedders` needs PyTorch; a network is loaded by `load_embedder`, not by importing this.
"""

from softspoken.defaults import DEFAULT_EMBEDDER
from softspoken.speakers.base import RecentWindows, SpeakerEmbedder, Windows, load_embedder
from softspoken.speakers.enrolment import Clip, Enrolment
from softspoken.speakers.quality import EnrolmentLimits, Quality, check_enrolment, speech_frames
from softspoken.speakers.scores import FrameScores, activity_scores
from softspoken.speakers.store import EnrolmentStore, resolve_voice

__all__ = [
    "DEFAULT_EMBEDDER",
    "Clip",
    "Enrolment",
    "EnrolmentLimits",
    "EnrolmentStore",
    "FrameScores",
    "Quality",
    "RecentWindows",
    "SpeakerEmbedder",
    "Windows",
    "activity_scores",
    "check_enrolment",
    "load_embedder",
    "resolve_voice",
    "speech_frames",
]
