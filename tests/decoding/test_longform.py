"""Recordings of any length: nothing is lost, nothing is heard twice, and little is held."""

from collections.abc import Iterator

import numpy as np
import pytest

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.decoding.longform import Reader, audio_blocks, quiet_windows, quietest
from softspoken.decoding.options import WindowOptions
from softspoken.errors import AudioError


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE_HZ))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.2, 3.9, 4.0, 4.3, 5.1, 17.77])
def test_windows_are_the_recording(seconds: float) -> None:
    audio = noise(seconds)
    options = WindowOptions(longest_s=4.0, search_s=1.5)
    windows = list(quiet_windows(Reader(audio_blocks(audio)), options))
    assert np.array_equal(np.concatenate([window.audio for window in windows]), audio)
    ends = [window.start_s + window.duration_s for window in windows]
    assert [window.start_s for window in windows] == pytest.approx([0.0, *ends[:-1]])
    assert max(window.duration_s for window in windows) <= 4.0
    if len(windows) > 1:
        assert min(window.duration_s for window in windows) >= 1.0 - 1e-6


def test_cuts_fall_into_pauses() -> None:
    audio = noise(30.0)
    pauses = [(3.0, 3.5), (6.2, 6.6), (9.0, 9.6), (12.1, 12.5), (15.3, 15.7), (18.0, 18.5), (21.0, 21.4), (24.2, 24.6)]
    for start, end in pauses:
        audio[round(start * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)] = 0.0
    windows = list(quiet_windows(Reader(audio_blocks(audio)), WindowOptions(longest_s=4.5, search_s=4.0)))
    cuts = [window.start_s for window in windows[1:]]
    inside = [any(start <= cut <= end for start, end in pauses) for cut in cuts]
    assert len(cuts) >= 6
    assert all(inside[:-1])


def test_the_quietest_place_lies_where_it_was_looked_for() -> None:
    audio = noise(4.0)
    audio[: SAMPLE_RATE_HZ // 2] = 0.0
    for first, last in ((20_000, 60_000), (63_000, 64_000), (30_000, 30_000)):
        assert first <= quietest(audio, first, last) <= last


def test_memory_stays_flat() -> None:
    pulled = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal pulled
        for number in range(400):
            pulled += 1
            yield noise(1.0, number)

    reader = Reader(endless())
    for number, window in enumerate(quiet_windows(reader, WindowOptions(longest_s=5.0))):
        assert reader._held.size <= 7 * SAMPLE_RATE_HZ
        assert pulled <= window.start_s + 8.0
        if number == 20:
            break
    assert number == 20


@pytest.mark.parametrize(
    "samples",
    [np.zeros((2, 3, 100), np.float32), np.zeros(0, np.float32), np.zeros(9, bool), np.full(9, np.nan, np.float32)],
    ids=["three dimensions", "empty", "truth values", "NaN"],
)
def test_unusable_samples_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(AudioError):
        list(audio_blocks(samples))
