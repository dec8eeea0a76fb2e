"""Noise on speech: the level that was asked for, measured from scratch; the same draw, the same samples."""

import dataclasses
import json

import numpy as np
import pytest
from noise_folder import hiss, make_noise_folder
from pydantic import ValidationError
from voices import voice

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken.errors import AudioError, DataError
from softspoken_lab.noise.bank import NoiseBank, draw_start, read_noise
from softspoken_lab.noise.corruption import (
    Corruption,
    CorruptionConfig,
    apply_corruption,
    corrupt,
    corrupt_with_gain,
    draw_corruption,
    noise_for,
)

ALWAYS = CorruptionConfig(probability=1.0)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> NoiseBank:
    """Long recordings, recordings shorter than any speech, very quiet ones, and one that is mostly a pause."""
    folder = tmp_path_factory.mktemp("noise")
    make_noise_folder(folder / "made", seconds=3.0)
    (folder / "odd").mkdir()
    write_audio(folder / "odd" / "short.wav", hiss(0.4, seed=5))
    write_audio(folder / "odd" / "quiet.wav", hiss(6.0, level=1e-3, seed=6))
    rare = hiss(20.0, level=3e-5, seed=7)
    rare[5 * SAMPLE_RATE_HZ : 6 * SAMPLE_RATE_HZ] += hiss(1.0, 0.2, seed=8)
    write_audio(folder / "odd" / "rare.wav", rare)
    return read_noise([folder / "made" / "manifest.jsonl", folder / "odd"])


def with_pauses(seconds: float, seed: int) -> np.ndarray:
    """Speech of which a third is digital silence."""
    speech = voice(seconds, 150.0 + 30 * (seed % 7), seed)
    speech[speech.size // 3 : 2 * speech.size // 3] = 0.0
    return speech


def measured_snr_db(speech: np.ndarray, noisy: np.ndarray) -> float:
    """The level of speech against what was added, from the definition: written apart from the code it checks."""
    speech, noisy = speech.astype(np.longdouble), noisy.astype(np.longdouble)
    added = noisy - speech
    powers = [float((speech[i : i + 320] ** 2).mean()) for i in range(0, speech.size - 319, 320)]
    active = [power for power in powers if power >= max(powers) / 1000]
    return float(10 * np.log10((sum(active) / len(active)) / float((added**2).mean())))


def test_achieved_snr_is_the_asked_one_for_many_draws(bank: NoiseBank) -> None:
    seen = set()
    for number in range(60):
        rng = np.random.default_rng(number)
        speech = with_pauses(rng.uniform(1.0, 5.0), number) * np.float32(10 ** rng.uniform(-1.5, 0))
        corruption = draw_corruption(rng, bank, speech.size / SAMPLE_RATE_HZ, ALWAYS)
        assert corruption is not None
        seen.add(corruption.noise_id)
        assert 0.0 <= corruption.snr_db <= 20.0
        noise = noise_for(speech.size, corruption, bank)
        noisy, gain = corrupt_with_gain(speech, noise, corruption.snr_db)
        assert noisy.size == speech.size
        assert measured_snr_db(speech * np.float64(gain), noisy) == pytest.approx(corruption.snr_db, abs=0.05)
    assert {"short.wav", "quiet.wav", "rare.wav"} <= seen


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 7.3, 20.0, 40.0])
def test_pauses_of_the_speech_do_not_count(snr_db: float) -> None:
    speech = np.concatenate([voice(2.0), np.zeros(6 * SAMPLE_RATE_HZ, np.float32)])
    added = corrupt(speech, hiss(8.0), snr_db) - speech
    ratio = np.mean(speech[: 2 * SAMPLE_RATE_HZ] ** 2) / np.mean(added**2)
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.3)


def test_a_sum_that_would_clip_is_made_quieter_as_a_whole() -> None:
    speech, noise = 10 * voice(2.0), hiss(2.0)
    noisy, gain = corrupt_with_gain(speech, noise, 0.0)
    assert gain < 1
    assert np.abs(noisy).max() == pytest.approx(0.99, abs=1e-6)
    assert measured_snr_db(speech * np.float64(gain), noisy) == pytest.approx(0.0, abs=0.05)
    assert corrupt_with_gain(voice(2.0), noise, 10.0)[1] == 1.0


def test_a_draw_can_be_written_down_and_done_again(bank: NoiseBank) -> None:
    speech = voice(3.0)
    first = draw_corruption(np.random.default_rng([1, 2]), bank, 3.0, ALWAYS)
    assert first == draw_corruption(np.random.default_rng([1, 2]), bank, 3.0, ALWAYS)
    assert first != draw_corruption(np.random.default_rng([1, 3]), bank, 3.0, ALWAYS)
    assert first is not None
    again = Corruption(**json.loads(json.dumps(dataclasses.asdict(first))))
    fresh = NoiseBank(bank.clips)
    np.testing.assert_array_equal(apply_corruption(speech, first, bank), apply_corruption(speech, again, fresh))
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.snr_db = 3.0  # type: ignore[misc]


def test_four_of_five_utterances_get_noise_and_every_kind_as_often(bank: NoiseBank) -> None:
    paper = CorruptionConfig(types=("A", "B"))
    drawn = [draw_corruption(np.random.default_rng([7, i]), bank, 1.0, paper) for i in range(1500)]
    corruptions = [corruption for corruption in drawn if corruption is not None]
    # Three standard deviations of a share of 0.8 of 1500 are 0.031.
    assert len(corruptions) / 1500 == pytest.approx(0.8, abs=0.031)
    kinds = [bank.clip(corruption.noise_id).category for corruption in corruptions]
    shares = {kind: kinds.count(kind) / len(kinds) for kind in set(kinds)}
    assert len(shares) == 7
    assert all(share == pytest.approx(1 / 7, abs=0.035) for share in shares.values())
    levels = np.array([corruption.snr_db for corruption in corruptions])
    assert np.histogram(levels, bins=4, range=(0, 20))[0].min() > 0.2 * len(levels)
    nothing = CorruptionConfig(probability=0.0)
    assert all(draw_corruption(np.random.default_rng(i), bank, 1.0, nothing) is None for i in range(50))


def test_pauses_of_the_noise_are_not_drawn(bank: NoiseBank) -> None:
    """Otherwise what is added would be a recorder's own hiss, made a thousand times louder."""
    noise = bank.audio(bank.clip("rare.wav"))
    for number in range(30):
        start_s = draw_start(np.random.default_rng(number), noise, 2 * SAMPLE_RATE_HZ)
        assert 3.0 <= start_s <= 6.0
    one_click = np.zeros(10 * SAMPLE_RATE_HZ, np.float32)
    one_click[30_000] = 1.0
    start_s = draw_start(np.random.default_rng(0), one_click, 1600)
    assert start_s <= 30_000 / SAMPLE_RATE_HZ < start_s + 0.1


def test_silence_has_no_level() -> None:
    silence = np.zeros(SAMPLE_RATE_HZ, np.float32)
    with pytest.raises(AudioError, match="speech is silent"):
        corrupt(silence, hiss(1.0), 5.0)
    with pytest.raises(AudioError, match="noise is silent"):
        corrupt(voice(1.0), silence, 5.0)


def test_kinds_that_are_not_there_are_one_line(bank: NoiseBank) -> None:
    with pytest.raises(DataError, match="no noise recording is any/spaceship"):
        draw_corruption(np.random.default_rng(0), bank, 1.0, CorruptionConfig(probability=1, categories=("spaceship",)))


@pytest.mark.parametrize("bad", [{"probability": 1.2}, {"snr_db": (10.0, 5.0)}, {"snr_db": (0.0, float("inf"))}])
def test_a_configuration_that_cannot_be_is_refused(bad: dict) -> None:
    with pytest.raises(ValidationError):
        CorruptionConfig(**bad)
