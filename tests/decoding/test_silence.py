"""A calibrated prompt writes where its score says that the target speaks, window by window."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import LAYERS, WIDTH, tiny_backbone
from voices import PitchEmbedder, voice

from softspoken.decoding import DecodingOptions, TargetSpeakerTranscriber, WindowOptions, as_dict, presence
from softspoken.decoding.conditioning import SUREST, log_odds, window_features
from softspoken.engines import TorchEngine
from softspoken.prompts import FramePrompt, PromptConfig, SoftPrompts, SpeakerPrompt, StackPrompt
from softspoken.prompts.checkpoint import load_prompts, save_prompts
from softspoken.prompts.silence import SilenceModel
from softspoken.speakers import EnrolmentStore

EMBEDDER = PitchEmbedder()
BACKBONE = tiny_backbone(5)
LOW, HIGH = 300.0, 900.0
QUICK = DecodingOptions(temperatures=(0.0,), max_tokens=12, windows=WindowOptions(longest_s=3.0, search_s=1.0))
CONFIG = PromptConfig(
    encoder=StackPrompt(length=2), speaker=SpeakerPrompt(dimension=EMBEDDER.dimension), frames=FramePrompt()
)
BY_PRESENCE = SilenceModel(weights={"presence": 40.0}, bias=-36.0, threshold=0.5)
"""Speaking from a presence of 0.9 on."""


@pytest.fixture
def store(tmp_path: Path) -> EnrolmentStore:
    store = EnrolmentStore(tmp_path / "voices.db")
    store.enrol("ada", [voice(4.0, LOW)], EMBEDDER)
    store.enrol("ben", [voice(4.0, HIGH)], EMBEDDER)
    return store


def transcriber(folder: Path, store: EnrolmentStore, **facts: object) -> TargetSpeakerTranscriber:
    torch.manual_seed(0)
    prompts = SoftPrompts(CONFIG, WIDTH, {"encoder": LAYERS, "decoder": LAYERS})
    with torch.no_grad():
        for parameter in prompts.parameters():
            parameter.normal_(std=0.5)
    save_prompts(prompts, folder, backbone=BACKBONE, embedder=EMBEDDER.name, **facts)
    return TargetSpeakerTranscriber(TorchEngine(BACKBONE), load_prompts(folder, BACKBONE), EMBEDDER, store)


def late() -> np.ndarray:
    """Ben, then Ada."""
    return np.concatenate([voice(6.0, HIGH, 5), voice(5.0, LOW, 4)])


def test_without_a_model_nothing_is_decided_but_the_evidence_is_there(tmp_path: Path, store: EnrolmentStore) -> None:
    plain = transcriber(tmp_path / "prompt", store)
    ada, ben = plain.transcribe_many(late(), ["ada", "ben"], QUICK)
    for transcript in (ada, ben):
        assert transcript.speaking is None
        assert len(transcript.windows) > 2
        assert transcript.windows[0].start_s == 0.0
        assert transcript.windows[-1].end_s == pytest.approx(transcript.duration_s, abs=0.01)
        assert max(window.presence for window in transcript.windows) == pytest.approx(transcript.presence, abs=1e-4)
        for window in transcript.windows:
            assert window.speaking is None
            assert window.empty_logprob is not None
            assert window.empty_logprob < 0.0
            assert set(window.features) == {"empty", "presence"}
    assert [w.empty_logprob for w in ada.windows] != [w.empty_logprob for w in ben.windows]


def test_windows_below_the_threshold_hold_nothing_and_all_others_something(
    tmp_path: Path, store: EnrolmentStore
) -> None:
    following = transcriber(tmp_path / "prompt", store, silence=BY_PRESENCE)
    ada, nobody = following.transcribe_many(late(), ["ada", voice(4.0, 2500.0)], QUICK)
    assert nobody.segments == ()
    assert nobody.speaking is not None
    assert nobody.speaking < 0.5 <= (ada.speaking or 0.0)
    assert ada.speaking == max(window.speaking or 0.0 for window in ada.windows)
    for window in ada.windows:
        inside = [s for s in ada.segments if window.start_s <= s.start_s < window.end_s]
        assert window.speaking == pytest.approx(BY_PRESENCE.probability({"presence": window.presence}), abs=1e-6)
        assert bool(inside) == (window.presence >= 0.9)
    assert {window.presence >= 0.9 for window in ada.windows} == {True, False}
    assert as_dict(ada)["speakers"][0]["windows"][0]["features"].keys() == {"empty", "presence"}


def test_who_insists_is_given_words_whatever_the_model_says(tmp_path: Path, store: EnrolmentStore) -> None:
    following = transcriber(tmp_path / "prompt", store, silence=BY_PRESENCE)
    stranger = voice(4.0, 2500.0)
    free = following.transcribe(late(), stranger, QUICK)
    assert free.text == ""
    assert " is needed, best from " in following.why_empty(free)
    found = following.transcribe(late(), stranger, QUICK.model_copy(update={"insist": True}))
    assert all(any(w.start_s <= s.start_s < w.end_s for s in found.segments) for w in found.windows)
    assert found.speaking == free.speaking


def test_the_decoders_own_silence_counts(tmp_path: Path, store: EnrolmentStore) -> None:
    """With a weight on the empty transcript alone, the windows are parted at its median."""
    free = transcriber(tmp_path / "prompt", store).transcribe(late(), "ada", QUICK)
    odds = sorted(window.features["empty"] for window in free.windows)
    middle = (odds[0] + odds[-1]) / 2
    model = SilenceModel(weights={"empty": -1.0}, bias=middle, threshold=0.5)
    found = transcriber(tmp_path / "other", store, silence=model).transcribe(late(), "ada", QUICK)
    assert [window.features["empty"] <= middle for window in found.windows] == [
        (window.speaking or 0.0) >= 0.5 for window in found.windows
    ]
    assert {window.features["empty"] <= middle for window in found.windows} == {True, False}


def test_a_stream_decides_as_a_whole_recording_does(tmp_path: Path, store: EnrolmentStore) -> None:
    following = transcriber(tmp_path / "prompt", store, silence=BY_PRESENCE)
    whole = following.transcribe(late(), "ada", QUICK)
    assert [s.tokens for s in following.stream(late(), "ada", QUICK)] == [s.tokens for s in whole.segments]


def test_log_odds_are_those_of_the_probability_and_bounded() -> None:
    for probability in (0.01, 0.5, 0.999):
        assert log_odds(math.log(probability)) == pytest.approx(math.log(probability / (1 - probability)))
    assert log_odds(0.0) == log_odds(-1e-12) == SUREST
    assert log_odds(float("-inf")) == -SUREST


def test_features_of_a_window() -> None:
    scores = np.full(200, 0.4, np.float32)
    still = window_features(scores, math.log(0.5))
    assert still == pytest.approx({"empty": 0.0, "presence": 0.4}, abs=1e-6)
    scores[:60] = 0.8
    found = window_features(scores, -5.0)
    assert found["presence"] == presence(scores) == pytest.approx(0.8)
