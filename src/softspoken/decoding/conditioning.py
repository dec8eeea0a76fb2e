"""From a voice to what a prompt needs: its vector, its activity in every frame, and whether it speaks at all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from softspoken.audio import load_audio
from softspoken.engines.base import Engine
from softspoken.errors import EnrolmentError
from softspoken.prompts.arrays import activity_of
from softspoken.prompts.config import FramePrompt
from softspoken.prompts.silence import SilenceFeature, SilenceModel
from softspoken.speakers import (
    Clip,
    Enrolment,
    EnrolmentLimits,
    EnrolmentStore,
    FrameScores,
    SpeakerEmbedder,
    resolve_voice,
)
from softspoken.speakers.enrolment import enrol
from softspoken.speakers.speech import is_telephone

FRAME_RATE_HZ = 50
PRESENCE_S = 1.0
LIKENESS_S = 2.4
_UNMOVED = (1.0, 0.0)

Speaker = Enrolment | str | Path | np.ndarray | Any
"""Who to follow: an enrolled voice, its name in the store or the path of a clip, or a clip as `AudioLike` (samples at
16 kHz; `Recording.of` takes other rates)."""

_SAMPLES_NAME = "speaker"
LENIENT = EnrolmentLimits(shortest_speech_s=1.0, accept_mixed=True)
"""For samples given by a program, which may know better than to offer a longer clip."""


def find_voice(speaker: Speaker, store: EnrolmentStore, embedder: SpeakerEmbedder) -> Enrolment:
    """The voice that is meant.

    Raises SpeakerNotFound for a text that is neither a name in the store nor a file, AudioError or EnrolmentError for
    a clip that cannot be used or a voice enrolled with another embedder.
    """
    if isinstance(speaker, Enrolment):
        if speaker.embedder != embedder.name:
            raise EnrolmentError(
                f"'{speaker.name}' is enrolled with the embedder '{speaker.embedder}', this prompt needs "
                f"'{embedder.name}'; enrol the voice again with it"
            )
        return speaker
    if isinstance(speaker, str | Path):
        return resolve_voice(str(speaker), store, embedder)
    return enrol(_SAMPLES_NAME, [Clip(load_audio(speaker))], embedder, limits=LENIENT)


def told_apart(voices: Sequence[Enrolment]) -> list[Enrolment]:
    """The voices, those that share a name numbered: 'speaker 1', 'speaker 2'."""
    names = [voice.name for voice in voices]
    taken, found = set(names), []
    for voice in voices:
        name = voice.name
        if names.count(name) > 1:
            name = next(new for number in count(1) if (new := f"{voice.name} {number}") not in taken)
            taken.add(name)
        found.append(replace(voice, name=name))
    return found


def window_embedder(embedder: SpeakerEmbedder, engine: Engine) -> SpeakerEmbedder:
    """What says where a voice sounds. Where the model's own products are rounded, it may be too; voices never are."""
    return embedder if engine.precision == "float32" else embedder.rounding()


@dataclass(frozen=True)
class Target:
    """K voices and how much a window sounds like each."""

    scores: Float32[np.ndarray, "K frames"]
    """Cosine in every frame of 20 ms; see `target_of`."""
    presence: tuple[float, ...]
    likeness: tuple[float, ...]
    """Cosine to the 2.4 s in a row that sound most like the voice, heard as one clip: a talker's own are 0.6 and more
    where nobody else speaks, others' 0.5 at most."""


def score_voices(
    embedder: SpeakerEmbedder,
    audio: Float[np.ndarray, " N"],
    vectors: Float32[np.ndarray, "K S"],
    frames: FramePrompt | None = None,
    enrolled_by_telephone: Sequence[bool] = (),
) -> Target:
    """Compare a window with K voices; its own vectors are made once for all of them.

    `frames`: the prompt's own, for it must get the scores it was trained with; None: the defaults.
    `enrolled_by_telephone`: see `target_of`.
    """
    frames = FramePrompt() if frames is None else frames
    audio = audio.astype(np.float32, copy=False)
    measured = FrameScores.measure(embedder, audio, frames.window_s, frames.hop_s)
    return target_of(embedder, measured, vectors, audio, frames, enrolled_by_telephone)


def target_of(
    embedder: SpeakerEmbedder,
    measured: FrameScores,
    vectors: Float32[np.ndarray, "K S"],
    audio: Float32[np.ndarray, " N"],
    frames: FramePrompt,
    enrolled_by_telephone: Sequence[bool] = (),
) -> Target:
    """The cosines of a window to K voices; as they would be without a telephone, but for what a prompt knows.

    `measured`: the window's own vectors; `enrolled_by_telephone`: whether each voice's clip came over one, which no
    prompt knows; none given: no clip did.
    """
    lines = embedder.over_telephone
    heard = bool(lines) and is_telephone(audio)
    ways = [(heard, clip) for clip in enrolled_by_telephone or [False] * len(vectors)]
    moves = np.array([lines.get(way, _UNMOVED) for way in ways], np.float32)
    windows = max(1, 1 + round((LIKENESS_S - frames.window_s) / frames.hop_s))
    likeness = measured.likeness(vectors, windows) * moves[:, 0] + moves[:, 1]
    if frames.by_telephone:
        moves[[way == (True, False) for way in ways]] = _UNMOVED
    scores = measured.against(vectors, float(FRAME_RATE_HZ)) * moves[:, :1] + moves[:, 1:]
    return Target(scores, tuple(presence(row) for row in scores), tuple(likeness.tolist()))


def presence(scores: Float32[np.ndarray, " frames"]) -> float:
    """How surely the voice speaks somewhere: the highest mean over a second of its raw cosine scores."""
    size = min(scores.size, round(PRESENCE_S * FRAME_RATE_HZ))
    if size == 0:
        return -1.0
    sums = np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)])
    return float((sums[size:] - sums[:-size]).max() / size)


def activity(scores: list[Float32[np.ndarray, " _"]], config: FramePrompt) -> Float32[np.ndarray, "B T"]:
    """How likely the target speaks in each frame of each row; 0 behind a row's end."""
    padded = np.zeros((len(scores), max(row.size for row in scores)), np.float32)
    for row, own in zip(padded, scores, strict=True):
        row[: own.size] = activity_of(own, config)
    return padded


SUREST = 15.0
"""Log-odds are cut off here: behind it float32 tells nothing apart."""


def log_odds(logprob: float) -> float:
    """Of a log-probability, between -SUREST and SUREST."""
    if logprob >= 0.0:
        return SUREST
    odds = logprob - math.log(-math.expm1(logprob))
    return max(-SUREST, min(SUREST, odds))


def window_features(scores: Float32[np.ndarray, " frames"], empty_logprob: float) -> dict[SilenceFeature, float]:
    """Features of one window (see `SilenceFeature`).

    Args:
        scores: raw cosine to the voice in every frame of 20 ms.
        empty_logprob: log-probability that the decoder gives to an empty transcript.
    """
    return {"empty": log_odds(empty_logprob), "presence": presence(scores)}


def verdict(model: SilenceModel | None, scores: Float32[np.ndarray, " frames"], empty_logprob: float) -> bool | None:
    """Whether anything of the target is written in a window (see `SilenceModel.speaks`); None without a model."""
    return None if model is None else model.speaks(model.probability(window_features(scores, empty_logprob)))
