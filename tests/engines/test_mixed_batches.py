"""Rows of one batch with prompts of their own, and voices that share a recording."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from engine_samples import KINDS, Sample, assert_close, engine_start, few_steps, many_steps, sample, windows

from softspoken.backbones import WhisperBackbone
from softspoken.engines import Engine, openvino_engine
from softspoken.errors import PromptMismatch
from softspoken.prompts.compiled import join


def activity_of(given: Sequence[Sample]) -> np.ndarray | None:
    """One row for each row of the samples; who has no frame prompts does not look at it."""
    if all(one.activity is None for one in given):
        return None
    none = np.full((1, 120), 0.3, np.float32)
    return np.concatenate([none if one.activity is None else one.activity.numpy() for one in given])


MIXES = {
    "deep, input, none": [("unshifted", 1), ("input", 2), ("none", 0)],
    "two of a kind, and a voice in both": [("unshifted", 3), ("voice in both", 4), ("unshifted", 5)],
    "frames of all kinds": [("keyed alone", 1), ("plain frames", 2), ("input", 3)],
    "a clip, the decoder's voice, noise": [("enrolment", 1), ("decoder voice", 2), ("appended", 3)],
    "muted": [("keyed", 1), ("keyed", 2), ("keyed", 3)],
    "shifted": [("authors", 1), ("authors", 2), ("authors", 3)],
}


@pytest.mark.parametrize("mix", MIXES)
def test_every_row_is_what_it_is_alone(mix: str, engine: Engine, backbone: WhisperBackbone) -> None:
    given = [sample(backbone, kind, rows=1, seed=seed) for kind, seed in MIXES[mix]]
    joined = join([one.compiled(engine) for one in given])
    assert joined.sets == 3
    heard = engine.encode(engine.features(windows()), joined, activity_of(given))
    together = few_steps(heard.prefill(engine.tokens.start(timestamps=True)))
    for row, one in enumerate(given):
        alone = few_steps(engine_start(engine, one, windows([row])))
        assert_close([scores[row : row + 1] for scores in together], alone)


@pytest.mark.parametrize("mix", MIXES)
def test_rows_encoded_a_few_at_a_time_are_the_same(
    mix: str, engines: dict[str, Engine], backbone: WhisperBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines["openvino"]
    given = [sample(backbone, kind, rows=1, seed=seed) for kind, seed in MIXES[mix]]
    prompts, features = join([one.compiled(engine) for one in given]), engine.features(windows())
    at_once = few_steps(engine.encode(features, prompts, activity_of(given)).prefill(engine.tokens.start()))
    frames = features.values.shape[-1] // 2
    for rows in (1, 2):
        monkeypatch.setattr(openvino_engine, "FRAMES_AT_ONCE", rows * frames)
        few = few_steps(engine.encode(features, prompts, activity_of(given)).prefill(engine.tokens.start()))
        assert_close(few, at_once)


def test_search_runs_on_mixed_rows(engine: Engine, backbone: WhisperBackbone) -> None:
    """Rows of prompts of other lengths stand at other positions; long texts, dropped and reordered rows keep theirs."""
    given = [sample(backbone, kind, rows=1, seed=seed) for kind, seed in MIXES["deep, input, none"]]
    heard = engine.encode(engine.features(windows()), join([one.compiled(engine) for one in given]))
    started = heard.prefill(engine.tokens.start(timestamps=True))
    assert len(set(started.places.tolist())) > 1
    # The same rows in another order, as another mix of prompts.
    order = [2, 0, 1]
    turned = engine.encode(engine.features(windows(order)), join([given[row].compiled(engine) for row in order]))
    again = turned.prefill(engine.tokens.start(timestamps=True))
    assert_close(few_steps(again), [scores[order] for scores in few_steps(started)])
    together = many_steps(started)
    reference = [few_steps(engine_start(engine, one, windows([row]))) for row, one in enumerate(given)]
    assert_close([together[0]], [np.concatenate([one[0] for one in reference])])
    # Row 1 of the script's first 36 steps, alone.
    alone = engine_start(engine, given[1], windows([1])).live([0])
    for step in range(36):
        assert_close([together[2 + step][1:2]], [alone.step([step + 100])])


# Prompts of frames alone have the same vectors for every voice.
VOICED = [kind for kind, config in KINDS.items() if config is not None and (config.speaker or config.enrolment)]


@pytest.mark.parametrize("kind", VOICED)
def test_sets_of_many_voices_join(kind: str, engines: dict[str, Engine], backbone: WhisperBackbone) -> None:
    """A set of two voices, joined with one of a single voice, is three rows."""
    engine = engines["torch"]
    both, single = sample(backbone, kind, rows=2, seed=1), sample(backbone, kind, rows=1, seed=7)
    joined = join([both.compiled(engine), single.compiled(engine)])
    assert joined.sets == 3
    heard = engine.encode(engine.features(windows()), joined, activity_of([both, single]))
    together = few_steps(heard.prefill(engine.tokens.start(timestamps=True)))
    for row, one in enumerate([both.row(0), both.row(1), single]):
        alone = few_steps(engine_start(engine, one, windows([row])))
        assert_close([scores[row : row + 1] for scores in together], alone)


def counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each run of the front end from now on."""
    rows: list[int] = []
    run = engine._frontend

    def counting(mel: Any, valid: Any) -> Any:
        rows.append(mel.shape[0])
        return run(mel, valid)

    monkeypatch.setattr(engine, "_frontend", counting)
    return rows


@pytest.mark.parametrize(("kind", "expected"), [("authors", 1), ("voice in both", 1), ("keyed alone", 1), ("keyed", 4)])
def test_voices_share_what_they_hear(
    kind: str, expected: int, engine: Engine, backbone: WhisperBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, recording = sample(backbone, kind, rows=4), windows([1])
    alone = [few_steps(engine_start(engine, given.row(voice), recording)) for voice in range(4)]
    ran = counted(engine, monkeypatch)
    heard = engine.encode_rows(engine.features(recording), [0] * 4, given.compiled(engine), activity_of([given]))
    # Only prompts that mute the audio itself make it another for every voice.
    assert ran == [expected]
    together = few_steps(heard.prefill(engine.tokens.start(timestamps=True)))
    for voice in range(4):
        assert_close([scores[voice : voice + 1] for scores in together], alone[voice])


def test_voices_in_several_windows(engine: Engine, backbone: WhisperBackbone) -> None:
    given, features = sample(backbone, "unshifted", rows=2), engine.features(windows([0, 1]))
    pairs = [(1, 0), (0, 1), (1, 1)]
    rows = [window for window, _ in pairs]
    prompts = given.compiled(engine).repeated([voice for _, voice in pairs])
    together = few_steps(engine.encode_rows(features, rows, prompts).prefill(engine.tokens.start(timestamps=True)))
    for row, (window, voice) in enumerate(pairs):
        alone = few_steps(engine_start(engine, given.row(voice), windows([window])))
        assert_close([scores[row : row + 1] for scores in together], alone)


@pytest.mark.parametrize("kind", ["unshifted", "decoder voice", "keyed alone", "enrolment"])
def test_another_number_of_voices_is_refused(kind: str, engine: Engine, backbone: WhisperBackbone) -> None:
    given = sample(backbone, kind, rows=3)
    active = None if given.activity is None else given.activity[:2].numpy()
    with pytest.raises(PromptMismatch, match="3 sets of prompts for a batch of 2; give one set a row"):
        engine.encode(engine.features(windows([0, 1])), given.compiled(engine), active)


@pytest.mark.parametrize("kind", ["plain frames", "keyed alone", "keyed"])
def test_frame_prompts_want_the_activity(kind: str, engine: Engine, backbone: WhisperBackbone) -> None:
    given = sample(backbone, kind, rows=3)
    with pytest.raises(PromptMismatch, match="give the activity"):
        engine.encode(engine.features(windows()), given.compiled(engine))
