"""A recording that lacks its upper half is recognised, and voices are compared as they sound there."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from tiny import LAYERS, WIDTH, tiny_backbone
from voices import PitchEmbedder, voice

from softspoken.decoding.band import FULL, NARROW, TELEPHONE, Band, band_of
from softspoken.decoding.target_session import TargetSession
from softspoken.engines import TorchEngine
from softspoken.prompts import PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import load_prompts, save_prompts
from softspoken.prompts.config import EnrolmentPrompt
from softspoken.speakers import Enrolment
from softspoken.speakers.enrolment import enrol

ENGINE = TorchEngine(tiny_backbone(5))


def speechlike(seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    """Noise that falls by 9 dB an octave from 200 Hz on, in bursts."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(round(seconds * 16_000)))
    hertz = np.fft.rfftfreq(round(seconds * 16_000), 1 / 16_000)
    sound = np.fft.irfft(spectrum / np.maximum(hertz / 200, 1.0) ** 1.5)
    loud = np.repeat(rng.uniform(0.1, 1.0, round(seconds * 8)), 2_000)
    return (0.1 * sound / sound.std() * loud[: len(sound)]).astype(np.float32)


@pytest.mark.parametrize("level_db", [0, -20, -35])
@pytest.mark.parametrize("seed", range(4))
def test_the_band_is_told_whatever_the_level(level_db: int, seed: int) -> None:
    audio = speechlike(seed=seed) * np.float32(10 ** (level_db / 20))
    assert band_of(audio) == FULL
    assert band_of(TELEPHONE.limited(audio)) == TELEPHONE
    assert band_of(soxr.resample(soxr.resample(audio, 16_000, 8_000), 8_000, 16_000)) == NARROW
    if level_db < -20:
        return
    # As a file of 16 bits has it; the noise of its steps is no sound above 4 kHz unless the recording is very soft.
    rounded = np.round(TELEPHONE.limited(audio) * 32_767).astype(np.float32) / 32_768
    assert band_of(rounded) == TELEPHONE


def test_silence_tells_nothing() -> None:
    assert band_of(np.zeros(16_000, np.float32)) is None
    assert band_of(np.zeros(100, np.float32)) is None
    assert band_of(1e-4 * speechlike()) is None


def test_a_band_keeps_what_is_inside_and_only_that() -> None:
    time_s = np.arange(16_000) / 16_000
    inside, outside = (np.sin(2 * np.pi * hertz * time_s).astype(np.float32) for hertz in (1_000, 5_000))
    np.testing.assert_allclose(TELEPHONE.limited(inside + outside)[800:-800], inside[800:-800], atol=0.02)
    once = TELEPHONE.limited(speechlike())
    # But for its edges, which fall once more.
    assert (TELEPHONE.limited(once) - once).std() < 0.2 * once.std()


@pytest.mark.parametrize("band", [TELEPHONE, NARROW])
def test_scores_keep_their_order_and_full_width_is_left_alone(band: Band) -> None:
    scores = np.sort(np.random.default_rng(0).uniform(-0.2, 1.0, (2, 40)).astype(np.float32), axis=1)
    assert (np.diff(band.scores(scores), axis=1) >= 0).all()
    np.testing.assert_array_equal(FULL.scores(scores), scores)


class Ear(PitchEmbedder):
    """Named as the embedder that the bands were measured with."""

    name = "campplus"


def session_of(folder: Path, ada: Enrolment, embedder: PitchEmbedder, hears: bool = False) -> TargetSession:
    torch.manual_seed(0)
    heard = EnrolmentPrompt(clip_s=2.0) if hears else None
    config = PromptConfig(encoder=StackPrompt(length=2), speaker=SpeakerPrompt(dimension=8), enrolment=heard)
    prompts = SoftPrompts(config, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    save_prompts(prompts, folder, backbone=tiny_backbone(5), embedder=embedder.name)
    read = load_prompts(folder, tiny_backbone(5))
    return TargetSession(ENGINE, ENGINE.compile(read), read.info, embedder, [ada])


def test_a_session_goes_through_the_band_of_its_first_window_with_sound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "softspoken.decoding")
    ada = enrol("ada", [voice(4.0, 300.0)], Ear())
    wide = speechlike()
    plain = session_of(tmp_path / "a", ada, Ear())
    before = plain.score(wide)
    assert caplog.text == ""
    narrow = session_of(tmp_path / "b", ada, Ear())
    narrow.score(np.zeros(16_000, np.float32))
    np.testing.assert_array_equal(narrow.vectors[0], ada.vector)
    found = narrow.score(TELEPHONE.limited(wide))
    assert caplog.text.count("nothing above 3400 Hz, as over a telephone line: voices are compared") == 1
    limited = TELEPHONE.voice(ada, Ear())
    np.testing.assert_array_equal(narrow.vectors[0], limited.vector)
    raw = session_of(tmp_path / "c", limited, Ear()).score(wide * 0)
    assert found.scores.shape == before.scores.shape
    assert raw.scores.shape == before.scores.shape
    narrow.score(TELEPHONE.limited(wide))
    assert caplog.text.count("nothing above") == 1


@pytest.mark.parametrize("case", ["without a clip", "another embedder"])
def test_what_cannot_follow_is_said(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ear = Ear() if case == "without a clip" else PitchEmbedder()
    ada = enrol("ada", [voice(4.0, 300.0)], ear)
    if case == "without a clip":
        ada = replace(ada, clip=None)
    session = session_of(tmp_path / "a", ada, ear)
    caplog.set_level(logging.WARNING, "softspoken.decoding")
    session.score(TELEPHONE.limited(speechlike()))
    assert "only voices of CAM++ with their clip" in caplog.text
    np.testing.assert_array_equal(session.vectors[0], ada.vector)
