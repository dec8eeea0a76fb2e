"""Who speaks when, softly: the cosine between an enrolled voice and the short windows of a recording."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import EnrolmentError
from softspoken.speakers.base import Seconds, SpeakerEmbedder, Vector, Waveform, Windows


def activity_scores(
    embedder: SpeakerEmbedder,
    audio: Waveform,
    enrolment_vector: Vector,
    window_s: float = Windows.window_s,
    hop_s: float = Windows.hop_s,
    frame_rate_hz: float = Windows.frame_rate_hz,
) -> Float32[np.ndarray, " frames"]:
    """Raw cosine [frames] of each frame's windows with one voice; the mean over all windows that cover the frame.

    There are ceil(seconds * frame_rate_hz) frames. For several voices use `FrameScores.measure(...).against(...)`,
    which embeds the recording once.
    """
    scores: np.ndarray = FrameScores.measure(embedder, audio, window_s, hop_s).against(
        enrolment_vector[None], frame_rate_hz
    )[0]
    return scores


@dataclass(frozen=True)
class FrameScores:
    """The window vectors of one recording, ready to be scored against any voice."""

    samples: int
    window_s: float
    vectors: Float32[np.ndarray, "W S"]
    starts_s: Float32[np.ndarray, " W"]

    @classmethod
    def measure(
        cls,
        embedder: SpeakerEmbedder,
        audio: Waveform,
        window_s: float = Windows.window_s,
        hop_s: float = Windows.hop_s,
    ) -> "FrameScores":
        """Embed the windows of `audio`. AudioError for audio under 0.1 s."""
        return cls(len(audio), window_s, *embedder.embed_windows(audio, window_s, hop_s))

    def against(
        self, voices: Float32[np.ndarray, "K S"], frame_rate_hz: float = Windows.frame_rate_hz
    ) -> Float32[np.ndarray, "K frames"]:
        """Raw cosine of every voice in every frame."""
        frames = int(np.ceil(self.samples / SAMPLE_RATE_HZ * frame_rate_hz))
        found = cosines(voices, self.vectors)
        return spread_over_frames(found, self.starts_s, self.window_s, frames, frame_rate_hz)

    def likeness(self, voices: Float32[np.ndarray, "K S"], windows: int) -> Float32[np.ndarray, " K"]:
        """Cosine of every voice to the mean of so many windows in a row that sound most like it; of all, where there
        are fewer. The mean of several is nearer to a talker's own vector than any one of them, however alike another
        talker may sound for a moment."""
        windows = min(windows, len(self.vectors))
        sums = np.concatenate([np.zeros((1, self.vectors.shape[1]), np.float32), self.vectors.cumsum(axis=0)])
        means = sums[windows:] - sums[:-windows]
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        best: np.ndarray = cosines(voices, means).max(axis=1)
        return best


def cosines(voices: Float32[np.ndarray, "K _"], vectors: Float32[np.ndarray, "W _"]) -> Float32[np.ndarray, "K W"]:
    """Cosines of unit vectors. EnrolmentError when they come from embedders of different size."""
    if voices.shape[1] != vectors.shape[1]:
        got, expected = voices.shape[1], vectors.shape[1]
        raise EnrolmentError(f"the voice has {got} dimensions, this embedder {expected}: enrol it with this embedder")
    scores: np.ndarray = voices @ vectors.T
    return scores


def spread_over_frames(
    scores: Float32[np.ndarray, "K W"], starts_s: Seconds, window_s: float, frames: int, frame_rate_hz: float
) -> Float32[np.ndarray, "K frames"]:
    """Mean of the scores of the windows that cover the middle of each frame."""
    first, after = covered_frames(starts_s, window_s, frames, frame_rate_hz)
    steps = np.zeros((len(scores) + 1, frames + 1))
    with_count = np.concatenate([scores, np.ones((1, scores.shape[1]))])
    for row, values in zip(steps, with_count, strict=True):
        np.add.at(row, first, values)
        np.add.at(row, after, -values)
    sums = steps[:, :frames].cumsum(axis=1)
    if frames and sums[-1].min() < 0.5:
        sums = _bridge_gaps(sums)
    mean: np.ndarray = (sums[:-1] / sums[-1]).astype(np.float32)
    return mean


def covered_frames(
    starts_s: Seconds, window_s: float, frames: int, frame_rate_hz: float
) -> tuple[Int[np.ndarray, " W"], Int[np.ndarray, " W"]]:
    """The first of the frames whose middle each window covers, and the one behind its last."""
    # The middle of frame f is (f + 0.5) / rate, so the window from a to b covers the frames from ceil(a * rate - 0.5)
    # on, up to but without ceil(b * rate - 0.5). The first and last window also own what rounding leaves at the ends.
    first = np.ceil(starts_s.astype(np.float64) * frame_rate_hz - 0.5 - 1e-6).astype(int).clip(0, frames)
    after = np.ceil((starts_s + window_s).astype(np.float64) * frame_rate_hz - 0.5 - 1e-6).astype(int).clip(0, frames)
    first[0], after[-1] = 0, frames
    return first, after


def _bridge_gaps(sums: np.ndarray) -> np.ndarray:
    """With a hop longer than the window some frames lie in none: they take the scores of the last window before."""
    covered = np.where(sums[-1] > 0.5, np.arange(sums.shape[1]), 0)
    bridged: np.ndarray = sums[:, np.maximum.accumulate(covered)]
    return bridged
