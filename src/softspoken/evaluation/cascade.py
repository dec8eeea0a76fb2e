"""The baseline people use today for "only this person's words": find where they speak, then plain Whisper there.

Windows of speaker embeddings say who speaks when; what is not the target is muted or cut away, and the rest goes to
plain Whisper. It works where talkers take turns, and has no answer where they overlap.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import ConfigError, MissingExtra
from softspoken.speakers import FrameScores, SpeakerEmbedder

FRAME_RATE_HZ = 50.0

Choice = Literal["threshold", "clusters"]
"""`threshold`: frames whose cosine to the enrolment is high enough. `clusters`: diarise first (agglomerative clusters
of the windows), then keep the talker whose mean is nearest to the enrolment, if near enough."""

Outside = Literal["mute", "cut"]
"""What becomes of audio in which the target does not speak."""


NAMES: dict[str, Choice] = {"cascade": "threshold", "diarise": "clusters"}
"""What the choices are called as methods."""


@dataclass(frozen=True)
class CascadeOptions:
    """How the cascade chooses.

    Windows, `choice` and `threshold` are those of the lowest word error rate among the ones that left at least 95 % of
    the silent targets silent, on talkers who are put aside for development (tiny.en and CAM++; windows of 0.8 and
    1.6 s, thresholds from 0.15 to 0.45, clusters at a distance of 0.6 and 0.75); `outside` was chosen with GE2E:

        softspoken data mixtures SPEECH/manifest.jsonl dev --split development --count 40 --seed 4 --snr-db=-5,5
        softspoken evaluate dev/manifest.jsonl --method cascade:0.35 --method cascade:0.4 --method diarise:0.4 ...
    """

    choice: Choice = "threshold"
    threshold: float = 0.40
    """Cosine to the enrolment from which on a frame (or a cluster) is the target."""
    outside: Outside = "mute"
    window_s: float = 1.6
    hop_s: float = 0.24
    cluster_distance: float = 0.6
    """Mean cosine distance at which two clusters stay two talkers."""
    shortest_s: float = 0.3
    """Shorter stretches are dropped."""
    longest_gap_s: float = 0.5
    """Shorter gaps between two stretches are closed."""
    padding_s: float = 0.2
    """Kept on both sides of a stretch."""

    def __post_init__(self) -> None:
        if not -1.0 <= self.threshold <= 1.0:
            raise ConfigError(f"cascade threshold {self.threshold:g}; a cosine lies between -1 and 1")


def cascade_named(name: str) -> CascadeOptions | None:
    """The options that 'cascade', 'diarise', 'cascade:0.35' or 'diarise:0.4' mean (the number is the threshold).

    None for any other name. Raises ConfigError for a threshold that is no cosine.
    """
    method, colon, threshold = name.partition(":")
    if method not in NAMES:
        return None
    if not colon:
        return CascadeOptions(choice=NAMES[method])
    try:
        return CascadeOptions(choice=NAMES[method], threshold=float(threshold))
    except ValueError as error:
        raise ConfigError(f"'{threshold}' in method '{name}' is no number; give a cosine: {method}:0.35") from error


def target_audio(
    audio: Float[np.ndarray, " N"],
    enrolment: Float[np.ndarray, " M"],
    embedder: SpeakerEmbedder,
    options: CascadeOptions,
) -> Float[np.ndarray, " K"] | None:
    """What is left of a recording (16 kHz) for plain Whisper: the stretches in which the enrolled talker is found.

    None when there are none; then nothing is to be written. Muted audio keeps its length, cut audio does not.
    """
    voice = embedder.embed(enrolment.astype(np.float32))
    scores = FrameScores.measure(embedder, audio.astype(np.float32), (options.window_s,), options.hop_s)
    frames = is_target(scores, voice, options)
    stretches = stretches_of(frames, options)
    if not stretches:
        return None
    keep = np.zeros(len(audio), dtype=bool)
    for start_s, end_s in stretches:
        keep[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)] = True
    return audio[keep] if options.outside == "cut" else np.where(keep, audio, np.float32(0))


def is_target(scores: FrameScores, voice: Float[np.ndarray, " S"], options: CascadeOptions) -> Bool[np.ndarray, " F"]:
    """Which frames (50 a second) the enrolled voice speaks in, as far as the windows can tell."""
    if options.choice == "threshold":
        return np.asarray(scores.against(voice[None], FRAME_RATE_HZ)[0] >= options.threshold)
    means = _cluster_means(scores.vectors[0], options.cluster_distance)
    own = int((means @ voice).argmax())
    # Each frame belongs to the cluster whose mean its windows are nearest to.
    nearest = scores.against(means, FRAME_RATE_HZ).argmax(axis=0)
    return np.asarray((nearest == own) & (float(means[own] @ voice) >= options.threshold))


def stretches_of(frames: Bool[np.ndarray, " F"], options: CascadeOptions) -> list[tuple[float, float]]:
    """Stretches (start, end) in seconds of target frames: gaps closed, short ones dropped, padded, joined."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], frames, [False]]).astype(np.int8)))
    runs = [(start / FRAME_RATE_HZ, end / FRAME_RATE_HZ) for start, end in edges.reshape(-1, 2)]
    long_enough = [run for run in _joined(runs, options.longest_gap_s) if run[1] - run[0] >= options.shortest_s]
    end_s = len(frames) / FRAME_RATE_HZ
    padded = [(max(start - options.padding_s, 0.0), min(end + options.padding_s, end_s)) for start, end in long_enough]
    return _joined(padded, 0.0)


def _joined(runs: list[tuple[float, float]], longest_gap_s: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in runs:
        if joined and start - joined[-1][1] <= longest_gap_s:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _cluster_means(vectors: Float[np.ndarray, "W S"], distance: float) -> Float[np.ndarray, "C S"]:
    """Unit means of the windows' clusters (average linkage on cosine distance)."""
    try:
        from sklearn.cluster import AgglomerativeClustering
    except ImportError as error:
        raise MissingExtra("scikit-learn", "eval", "diarisation by clusters") from error
    if len(vectors) < 2:
        return vectors
    clustering = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=distance)
    labels = clustering.fit_predict(vectors)
    means = np.stack([vectors[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)
