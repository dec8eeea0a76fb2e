"""Windows at speech boundaries: no speech is lost, silence is left out, and little is held."""

from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import ValidationError

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.decoding.longform import Reader, Window, audio_blocks, cut_windows
from softspoken.decoding.options import SpeechOptions, WindowOptions
from softspoken.decoding.speech_boundaries import Chunks, Smoother, speech_windows, stretches
from softspoken.speakers.silero import CHUNK

LOUD, SOFT = 0.1, 0.0005


class LoudIsSpeech:
    """Remembers what it was given, so that a test sees that it heard everything once and in order."""

    def __init__(self) -> None:
        self.samples = 0
        self.calls: list[int] = []

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        self.samples += audio.size
        self.calls.append(audio.size)
        return (np.abs(audio.reshape(-1, CHUNK)).max(axis=1) > LOUD / 10).astype(np.float32)


def sound(parts: list[tuple[float, float]], seed: int = 0) -> np.ndarray:
    """Noise of (seconds, loudness) parts."""
    rng = np.random.default_rng(seed)
    pieces = [loudness * rng.uniform(-1, 1, round(seconds * SAMPLE_RATE_HZ)) for seconds, loudness in parts]
    return np.concatenate(pieces).astype(np.float32)


def cut(audio: np.ndarray, options: WindowOptions, block: int = 16_000) -> list[Window]:
    blocks = (audio[start : start + block] for start in range(0, audio.size, block))
    return list(speech_windows(Reader(blocks), options, LoudIsSpeech()))


def places(windows: list[Window]) -> list[tuple[int, int]]:
    """First sample, and the one after the last."""
    firsts = [round(window.start_s * SAMPLE_RATE_HZ) for window in windows]
    return [(first, first + window.audio.size) for first, window in zip(firsts, windows, strict=True)]


def talk(seed: int) -> np.ndarray:
    """Speech of 0.15 to 14 s, pauses of 0.02 to 6 s."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(25):
        parts.append((float(np.exp(rng.uniform(np.log(0.02), np.log(6.0)))), SOFT))
        parts.append((float(np.exp(rng.uniform(np.log(0.15), np.log(14.0)))), LOUD))
    return sound(parts, seed)


OPTIONS = [
    WindowOptions(longest_s=20.0),
    WindowOptions(longest_s=6.0, search_s=2.0),
    WindowOptions(longest_s=1.0, search_s=0.5),
    WindowOptions(longest_s=3.0, search_s=0.0, speech=SpeechOptions(padding_s=0.0, pause_s=0.5, shortest_s=0.0)),
    WindowOptions(longest_s=30.0, speech=SpeechOptions(padding_s=0.5, pause_s=0.05, skip_s=1.0, shortest_s=0.15)),
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", range(6))
def test_all_speech_is_in_windows_that_are_ordered_disjoint_and_short_enough(options: WindowOptions, seed: int) -> None:
    audio = talk(seed)
    windows = cut(audio, options)
    covered = np.zeros(audio.size, np.bool_)
    end = 0
    for window, (first, last) in zip(windows, places(windows), strict=True):
        assert first >= end
        assert 0 < window.audio.size <= options.longest_s * SAMPLE_RATE_HZ
        assert np.array_equal(window.audio, audio[first:last])
        covered[first:last], end = True, last
    assert covered[np.abs(audio) > 2 * SOFT].all()
    assert not covered.all()


@pytest.mark.parametrize("options", OPTIONS[:3])
def test_blocks_change_nothing(options: WindowOptions) -> None:
    audio = talk(7)
    whole = cut(audio, options, audio.size)
    for block in (777, 16_000, 80_000):
        blocks = cut(audio, options, block)
        assert places(blocks) == places(whole)
        assert all(np.array_equal(a.audio, b.audio) for a, b in zip(blocks, whole, strict=True))


@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.0, 7.3, 31.0])
def test_where_nobody_speaks_there_is_no_window_and_the_recording_is_passed(seconds: float) -> None:
    reader, detector = Reader(audio_blocks(sound([(seconds, SOFT)]))), LoudIsSpeech()
    assert list(speech_windows(reader, WindowOptions(), detector)) == []
    assert reader.position_s == pytest.approx(seconds)
    assert seconds * SAMPLE_RATE_HZ <= detector.samples < seconds * SAMPLE_RATE_HZ + CHUNK


def test_the_recording_is_passed_after_the_last_word_too() -> None:
    audio = sound([(3.0, SOFT), (1.0, LOUD), (9.0, SOFT)])
    reader = Reader(audio_blocks(audio))
    assert len(list(speech_windows(reader, WindowOptions(), LoudIsSpeech()))) == 1
    assert reader.position_s == pytest.approx(13.0)


def test_long_silence_is_left_out_but_for_the_padding() -> None:
    audio = sound([(10.0, SOFT), (3.0, LOUD), (1.0, SOFT), (2.0, LOUD), (30.0, SOFT), (4.0, LOUD), (5.0, SOFT)])
    windows = cut(audio, WindowOptions())
    starts, ends = zip(*places(windows), strict=True)
    assert np.array(starts) / SAMPLE_RATE_HZ == pytest.approx([9.6, 45.6], abs=0.07)
    assert np.array(ends) / SAMPLE_RATE_HZ == pytest.approx([16.4, 50.4], abs=0.07)


def test_a_cut_falls_into_the_longest_pause_at_the_end_of_the_longest_window() -> None:
    audio = sound([(6, LOUD), (0.9, SOFT), (4, LOUD), (0.6, SOFT), (4, LOUD), (0.3, SOFT), (9, LOUD)])
    windows = cut(audio, WindowOptions(longest_s=16.0, search_s=6.0))
    # The pause of 0.9 s ends too early; that of 0.6 s, from 10.9 to 11.5 s, is longer than that of 0.3 s.
    assert len(windows) == 2
    assert 10.9 < windows[1].start_s < 11.5
    assert windows[0].start_s + windows[0].duration_s == pytest.approx(windows[1].start_s)


def test_without_a_pause_the_cut_is_where_it_is_quietest() -> None:
    audio = sound([(17.0, LOUD), (0.4, LOUD / 5), (8.0, LOUD)])
    windows = cut(audio, WindowOptions(longest_s=20.0))
    assert len(windows) == 2
    assert 17.0 < windows[1].start_s < 17.4


def test_a_single_word_gets_a_window_of_some_length() -> None:
    audio = sound([(5.0, SOFT), (0.15, LOUD), (5.0, SOFT)])
    (window,) = cut(audio, WindowOptions(speech=SpeechOptions(padding_s=0.1)))
    assert 1.0 <= window.duration_s <= 1.1
    assert cut(sound([(5.0, SOFT), (0.05, LOUD), (5.0, SOFT)]), WindowOptions()) == []


def test_an_hour_holds_no_more_than_a_window_and_is_read_no_further() -> None:
    pulled, block_s, rng = 0.0, 5.0, np.random.default_rng(3)

    def hour() -> Iterator[np.ndarray]:
        nonlocal pulled
        for number in range(720):
            pulled += block_s
            # 40 s of speech without a pause, then some with pauses, then 5 minutes of silence.
            level = SOFT if number % 100 > 40 else LOUD
            block = (level * rng.uniform(-1, 1, round(block_s * SAMPLE_RATE_HZ))).astype(np.float32)
            if number % 100 > 8:
                block[: SAMPLE_RATE_HZ // 2] = 0.0
            yield block

    options, held = WindowOptions(longest_s=20.0), []
    reader, count, speech_s = Reader(hour()), 0, 0.0
    for window in speech_windows(reader, options, LoudIsSpeech()):
        # The longest window, the longest pause, the detector's group, and a block.
        assert pulled <= window.start_s + window.duration_s + 20.0 + 2.0 + 2.1 + 2 * block_s
        held.append(reader._held.size / SAMPLE_RATE_HZ)
        count, speech_s = count + 1, speech_s + window.duration_s
    assert pulled == 3600.0
    assert max(held) <= 30.0
    assert count > 70
    assert 1200.0 < speech_s < 1700.0


@pytest.mark.parametrize("sizes", [[1] * 60, [7, 30, 2, 21], [60]])
def test_speech_is_the_same_however_the_probabilities_come(sizes: list[int]) -> None:
    options = SpeechOptions(pause_s=0.13, shortest_s=0.1)
    probabilities = np.random.default_rng(1).choice([0.1, 0.4, 0.9], 60).astype(np.float32)
    smoother = Smoother(options, Chunks.of(WindowOptions(speech=options)))
    said, heard = [], 0
    for part in np.split(probabilities, np.cumsum(sizes)[:-1]):
        said += smoother(part)
        heard += part.size
        assert len(said) + smoother.pending == heard
    said += smoother.end()
    whole = Smoother(options, Chunks.of(WindowOptions(speech=options)))
    assert said == [*whole(probabilities), *whole.end()]
    assert len(said) == 60


def test_hysteresis_gaps_and_blips() -> None:
    options = SpeechOptions(threshold=0.6, release=0.3, pause_s=0.1, shortest_s=0.1)
    smoother = Smoother(options, Chunks.of(WindowOptions(speech=options)))
    none, low, high = [0.1], [0.4], [0.9]

    def heard(probabilities: list[float]) -> list[tuple[int, int]]:
        said = [*smoother(np.array(probabilities)), *smoother.end()]
        return [(stretch.first, stretch.end) for stretch in stretches(np.array(said))]

    assert heard(low * 20) == []
    assert heard(none * 4 + high + low * 5 + none * 4) == [(4, 10)]
    assert heard(high * 4 + none * 2 + high * 4 + none * 3 + high * 4) == [(0, 10), (13, 17)]
    assert heard(none * 5 + high * 2 + none * 5) == []


def test_the_cut_is_a_choice_and_impossible_options_are_refused() -> None:
    audio = sound([(5.0, SOFT), (3.0, LOUD), (5.0, SOFT)])
    quiet = list(cut_windows(Reader(audio_blocks(audio))))
    assert sum(window.audio.size for window in quiet) == audio.size
    (speech,) = cut_windows(Reader(audio_blocks(audio)), WindowOptions(cut="speech"), LoudIsSpeech())
    assert speech.start_s == pytest.approx(4.6, abs=0.07)
    with pytest.raises(ValidationError, match="release"):
        SpeechOptions(threshold=0.3, release=0.4)
