"""Recordings of made-up voices, and a segmenter that is told who speaks in them."""

import numpy as np
from voices import voice

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.speakers.segmentation import Segmentation, Segmenter

PITCHES_HZ = (250.0, 900.0, 1700.0)


class Told(Segmenter):
    """Says what it was told, but with the talkers of every window in another order."""

    def __init__(self, truth: np.ndarray) -> None:
        self.truth = truth.astype(np.float32)

    def segment(self, audio: np.ndarray, step_s: float = 5.0) -> Segmentation:
        frames = self.truth.shape[1]
        size = min(500, frames)
        starts = np.arange(0, frames - size + 1, round(step_s * 50))
        local = np.zeros((len(starts), size, 3), np.float32)
        for window, start in enumerate(starts):
            part = self.truth[:, start : start + size]
            present = np.flatnonzero(part.any(axis=1))
            local[window][:, np.roll(np.arange(3), window)[: len(present)]] = part[present].T
        count = self.truth.sum(axis=0)
        return Segmentation((count > 0).astype(np.float32), (count > 1).astype(np.float32), local, starts)


def recording(truth: np.ndarray) -> np.ndarray:
    seconds = truth.shape[1] / 50
    mix = 1e-4 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    for talker, speaks in enumerate(truth):
        mix += voice(seconds, PITCHES_HZ[talker], seed=talker) * np.repeat(speaks, 320)
    return mix.astype(np.float32)


def turns(*spans: tuple[int, float, float], seconds: float, talkers: int) -> np.ndarray:
    truth = np.zeros((talkers, round(seconds * 50)), bool)
    for talker, start_s, end_s in spans:
        truth[talker, round(start_s * 50) : round(end_s * 50)] = True
    return truth
