"""Voices: embedders (one interface, several models), frame scores, enrolment checks and the enrolment store.

Importing this imports neither torch nor a model; `load_embedder` does.
"""

from softspoken.defaults import DEFAULT_EMBEDDER
from softspoken.speakers.base import SpeakerEmbedder, Windows
from softspoken.speakers.enrolment import Clip, Enrolment
from softspoken.speakers.load import load_embedder
from softspoken.speakers.quality import EnrolmentLimits, Quality, check_enrolment, speech_frames
from softspoken.speakers.recent import RecentWindows
from softspoken.speakers.resolve import resolve_voice
from softspoken.speakers.scores import FrameScores, activity_scores
from softspoken.speakers.store import EnrolmentStore

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
