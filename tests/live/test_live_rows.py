"""How much a growing window sounds like a voice: measured piece by piece, it is what the whole window gives."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from voices import PitchEmbedder, voice

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.decoding.target_session import TargetSession
from softspoken.live.rows import _StreamScores
from softspoken.prompts.config import FramePrompt

FRAMES = FramePrompt(window_s=0.8, hop_s=0.4)
HOP = round(FRAMES.hop_s * SAMPLE_RATE_HZ)


class Counting(PitchEmbedder):
    """Counts the windows that are embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def embed_windows(self, audio: np.ndarray, *given: Any) -> Any:
        self.seconds += len(audio) / SAMPLE_RATE_HZ
        return super().embed_windows(audio, *given)


def session(embedder: PitchEmbedder) -> TargetSession:
    made = object.__new__(TargetSession)
    made.embedder = embedder
    made.vectors = np.stack([embedder.embed(voice(2.0, pitch_hz)) for pitch_hz in (300.0, 900.0)])
    made._by_telephone, made._told_of_line = [False, False], False
    made.info = SimpleNamespace(prompts=SimpleNamespace(frames=FRAMES))  # type: ignore[assignment]
    return made


@pytest.mark.parametrize("first", [0, 3 * HOP])
def test_scores_of_a_growing_window_are_those_of_the_whole(first: int) -> None:
    audio = np.concatenate([voice(1.3, 300.0), voice(1.7, 900.0), voice(2.0, 300.0), voice(1.0, 900.0)])
    measured = Counting()
    following = session(measured)
    scores = _StreamScores(following)
    measured.seconds = 0.0
    lengths_s = np.arange(1.0, 4.8, 0.3)
    for length_s in lengths_s:
        window = audio[first : first + round(float(length_s) * SAMPLE_RATE_HZ)]
        found, whole = scores(first, window), session(PitchEmbedder()).score(window)
        np.testing.assert_allclose(found.scores, whole.scores, atol=1e-5)
        np.testing.assert_allclose(found.presence, whole.presence, atol=1e-5)
    # Less is heard than all windows again each time.
    assert measured.seconds < 0.6 * lengths_s.sum()


def test_what_lies_before_every_window_is_forgotten() -> None:
    scores = _StreamScores(session(PitchEmbedder()))
    audio = voice(6.0, 300.0)
    for first in range(0, 4 * SAMPLE_RATE_HZ, HOP):
        scores(first, audio[first : first + 2 * SAMPLE_RATE_HZ])
        scores.forget(first)
        assert len(scores._vectors) <= 5
