import numpy as np
import pytest

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.data.channels import BANDS_HZ, Channel, ChannelConfig, coloured, draw_channel

FLAT = (0.0,) * len(BANDS_HZ)


def noise(seconds: float = 2.0) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("direct_db", [0.0, 10.0])
@pytest.mark.parametrize("rt60_s", [0.15, 0.5])
def test_a_response_has_the_asked_reverberation(rt60_s: float, direct_db: float) -> None:
    response = Channel(rt60_s, direct_db, FLAT, seed=3).response()
    tail = response[1:] ** 2
    assert response[0] == 1.0
    assert 10 * np.log10(1.0 / tail.sum()) == pytest.approx(direct_db, abs=0.01)
    # Schroeder's integral falls from -5 to -25 dB in a third of the time of 60 dB.
    left = 10 * np.log10(np.cumsum(tail[::-1])[::-1] / tail.sum())
    fall_s = (np.argmax(left < -25) - np.argmax(left < -5)) / SAMPLE_RATE_HZ
    assert 3 * fall_s == pytest.approx(rt60_s, rel=0.15)


def test_the_direct_sound_stays_in_place_and_the_length_is_kept() -> None:
    click = np.zeros(8000, np.float32)
    click[1000] = 1.0
    heard = Channel(0.4, 3.0, FLAT, seed=1).apply(click)
    assert heard.shape == click.shape
    assert heard.dtype == np.float32
    assert np.abs(heard[:1000]).max() < 1e-5
    assert int(np.abs(heard).argmax()) == 1000
    assert np.abs(heard[1100:4000]).max() > 1e-3


def test_bands_are_raised_by_their_decibels() -> None:
    flat = noise()
    raised = coloured(flat, (0.0, 0.0, 0.0, 6.0, 0.0, 0.0, -6.0))

    def gain_db(hertz: float) -> float:
        bins = np.fft.rfftfreq(flat.size, 1 / SAMPLE_RATE_HZ)
        near = np.abs(bins - hertz) < 2
        return 20 * float(np.log10(np.abs(np.fft.rfft(raised))[near] / np.abs(np.fft.rfft(flat))[near]).mean())

    assert gain_db(1000) == pytest.approx(6.0, abs=0.1)
    assert gain_db(250) == pytest.approx(0.0, abs=0.1)
    assert gain_db(7990) == pytest.approx(-6.0, abs=0.1)


def test_channels_are_drawn_as_often_as_asked_and_repeat_with_the_seed() -> None:
    half = ChannelConfig(probability=0.5)
    drawn = [draw_channel(half, np.random.default_rng(seed)) for seed in range(200)]
    assert 70 < sum(channel is not None for channel in drawn) < 130
    assert drawn == [draw_channel(half, np.random.default_rng(seed)) for seed in range(200)]
    for channel in drawn:
        if channel is not None:
            assert 0.1 <= channel.rt60_s <= 0.6
            assert max(abs(band) for band in channel.bands_db) <= 6.0
    assert draw_channel(ChannelConfig(), np.random.default_rng(0)) is None
