"""Words where nobody speaks: the sounds are what they are called, and words are counted by the minute."""

from pathlib import Path

import numpy as np
import pytest

from softspoken.audio import write_wav
from softspoken.decoding.result import Segment, Transcript
from softspoken_lab.measures.hallucination import (
    LENGTHS_S,
    coloured_noise,
    made_sounds,
    recorded_sounds,
    synthetic_music,
    word_rates,
    words_in,
)


def level_db(audio: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(audio.astype(np.float64) ** 2)))


def test_made_sounds_are_what_their_names_say_and_the_same_every_time() -> None:
    sounds = list(made_sounds())
    assert {sound.kind for sound in sounds} == {"digital silence", "faint noise", "synthetic music"}
    assert len({(sound.kind, sound.id) for sound in sounds}) == len(sounds)
    short = [sound for sound in sounds if sound.id.endswith(" 5 s") or sound.id == "5 s"]
    for sound in short:
        audio = sound.load()
        assert audio.shape == (80_000,)
        assert audio.dtype == np.float32
        assert np.array_equal(audio, sound.load())
        assert not audio.any() if sound.kind == "digital silence" else audio.std() > 0
    assert len(sounds) == len(LENGTHS_S) * 6


@pytest.mark.parametrize("level", [-70.0, -50.0])
def test_noise_has_its_level_and_colour(level: float) -> None:
    slopes = []
    for tilt in (0.0, 0.5, 1.0):
        audio = coloured_noise(64_000, tilt, level, np.random.default_rng(0))
        assert level_db(audio) == pytest.approx(level, abs=0.1)
        power = np.abs(np.fft.rfft(audio)) ** 2
        slopes.append(np.log2(power[800:1600].mean() / power[1600:3200].mean()))
    assert slopes == pytest.approx([0.0, 1.0, 2.0], abs=0.2)


def test_music_is_tonal_and_does_not_clip() -> None:
    audio = synthetic_music(64_000, np.random.default_rng(0))
    power = np.sort(np.abs(np.fft.rfft(audio)) ** 2)[::-1]
    assert power[: power.size // 100].sum() > 0.8 * power.sum()
    assert np.abs(audio).max() < 1.0


def test_recordings_come_by_type_and_babble_by_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for category in ("car", "babble", "rain"):
        (tmp_path / category).mkdir()
        write_wav(tmp_path / category / "one.wav", 0.1 * rng.standard_normal(48_000).astype(np.float32))
    sounds = {sound.kind: sound for sound in recorded_sounds(tmp_path, "noise", longest_s=2.0)}
    assert set(sounds) == {"noise A", "noise babble", "noise other"}
    assert sounds["noise A"].load().size == 32_000


def test_words_are_counted_by_the_minute_of_every_voice() -> None:
    def chatty(audio: np.ndarray) -> list[Transcript]:
        """A word for every ten seconds, for each of two voices."""
        text = " ".join(["you"] * round(audio.size / 160_000))
        return [Transcript((Segment(0.0, 1.0, text),))] * 2

    def silent(audio: np.ndarray) -> list[Transcript]:
        return [Transcript(())]

    rates = word_rates((s for s in made_sounds() if s.kind == "digital silence"), {"chatty": chatty, "silent": silent})
    assert [rate.system for rate in rates] == ["chatty", "silent"]
    lengths = np.array(LENGTHS_S)
    words = 2 * int(np.round(lengths / 10).sum())
    assert rates[0].words == words
    assert rates[0].minutes == pytest.approx(2 * lengths.sum() / 60)
    assert rates[0].per_minute == pytest.approx(words / rates[0].minutes)
    assert rates[0].interval.low <= rates[0].per_minute <= rates[0].interval.high
    assert (rates[1].words, rates[1].per_minute, rates[1].interval.high) == (0, 0.0, 0.0)


def test_what_is_no_word_does_not_count() -> None:
    assert words_in(" ... - you, two 3 ♪") == 3
    assert words_in("") == 0
