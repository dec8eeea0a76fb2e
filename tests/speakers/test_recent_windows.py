"""The embedder that remembers: the same vectors, computed once for the voices of a recording."""

import numpy as np
from voices import PitchEmbedder, voice

from softspoken.speakers import RecentWindows, SpeakerEmbedder


class Counting(PitchEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.measured = 0

    def embed_windows(self, *given: object) -> tuple[np.ndarray, np.ndarray]:
        self.measured += 1
        return super().embed_windows(*given)  # type: ignore[arg-type]


class Rounding(Counting):
    def rounding(self) -> SpeakerEmbedder:
        return self.rounded

    rounded = Counting()


def test_windows_of_a_recording_are_measured_once() -> None:
    inner = Counting()
    recent = RecentWindows(inner)
    one, other = voice(2.0, 200.0), voice(2.0, 300.0)
    for audio in (one, one.copy(), other, one):
        for given, expected in zip(recent.embed_windows(audio), Counting().embed_windows(audio), strict=True):
            np.testing.assert_array_equal(given, expected)
    assert inner.measured == 2
    recent.embed_windows(one, 0.8)
    assert inner.measured == 3
    np.testing.assert_array_equal(recent.embed(one), inner.embed(one))
    assert (recent.name, recent.dimension) == (inner.name, inner.dimension)


def test_what_is_remembered_does_not_grow() -> None:
    inner = Counting()
    recent = RecentWindows(inner)
    recordings = [voice(1.0, 100.0 + 10 * number) for number in range(20)]
    for _ in range(2):
        for audio in recordings:
            recent.embed_windows(audio)
    assert inner.measured == 40
    larger = RecentWindows(inner, 20)
    for _ in range(2):
        for audio in recordings:
            larger.embed_windows(audio)
    assert inner.measured == 60


def test_rounding_has_a_memory_of_its_own() -> None:
    inner = Rounding()
    recent = RecentWindows(inner)
    audio = voice(2.0, 200.0)
    for _ in range(2):
        recent.rounding().embed_windows(audio)
    assert (inner.measured, inner.rounded.measured) == (0, 1)
    plain = RecentWindows(Counting())
    assert plain.rounding() is plain
