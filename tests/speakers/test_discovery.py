"""The voices of a recording: learned from what each says alone, matched one to one, never put into the store."""

import numpy as np
import pytest
from told_talkers import PITCHES_HZ, Told, recording, turns
from voices import PitchEmbedder, voice

from softspoken.audio import SAMPLE_RATE_HZ
from softspoken.errors import EnrolmentError
from softspoken.runs import runs_of
from softspoken.speakers import Clip, Enrolment
from softspoken.speakers.diarisation import DiarisationOptions
from softspoken.speakers.discovery import Found, discover, followed, learned
from softspoken.speakers.enrolment import enrol

TRUTH = turns((0, 1, 8), (1, 6, 15), (2, 16, 22), (0, 21, 29), (1, 30, 31), seconds=35, talkers=3)


def stored(*numbers: int) -> list[Enrolment]:
    return [enrol(f"voice {n}", [Clip(voice(6, PITCHES_HZ[n], seed=9))], PitchEmbedder()) for n in numbers]


def heard(truth: np.ndarray, *numbers: int) -> list[Found]:
    return discover(recording(truth), PitchEmbedder(), stored(*numbers), segmenter=Told(truth))


def test_a_clip_holds_only_what_a_voice_says_alone() -> None:
    found = heard(TRUTH)
    assert len(found) == len(TRUTH)
    for number, one in enumerate(found):
        assert one.alone
        assert one.voice.clip is not None
        for start_s, end_s in one.alone:
            frames = TRUTH[:, round(start_s * 50) : round(end_s * 50)]
            assert frames[number].all()
            assert not np.delete(frames, number, axis=0).any()
        assert len(one.voice.clip) == pytest.approx(
            SAMPLE_RATE_HZ * sum(end_s - start_s for start_s, end_s in one.alone), abs=1
        )
        assert one.speaks_s == pytest.approx(sum(b - a for a, b in runs_of(TRUTH[number])) / 50)
        assert one.alone_s < one.speaks_s


def test_stored_voices_are_recognised_and_strangers_stay_strangers() -> None:
    first, second, third = heard(TRUTH, 2, 0)
    assert (first.resembles, first.known) == ("voice 0", True)
    assert (third.resembles, third.known) == ("voice 2", True)
    assert (second.resembles, second.known) == (None, False)
    (alone, *_) = heard(TRUTH[[1, 1, 2]], 0)
    assert not alone.known


def test_one_stored_voice_is_nobody_twice() -> None:
    found = heard(TRUTH, 1)
    assert [one.resembles for one in found if one.resembles] == ["voice 1"]
    assert [one.known for one in found] == [False, True, False]


def test_a_part_of_a_recording_keeps_its_times() -> None:
    one = heard(TRUTH)[0]
    moved = one.moved(60.0)
    assert moved.speaks_s == pytest.approx(one.speaks_s)
    assert [a - b for (a, _), (b, _) in zip(moved.alone, one.alone, strict=True)] == pytest.approx(
        [60.0] * len(one.alone)
    )


def test_who_is_followed() -> None:
    found, known = heard(TRUTH, 1), stored(1)
    everyone = followed(found, known)
    assert [one.name for one in everyone] == ["voice 1", "Speaker 1", "Speaker 3"]
    assert everyone[0] is known[0]
    assert [one.name for one in followed(found, known, known_only=True)] == ["voice 1"]


def test_who_says_too_little_alone_is_not_followed() -> None:
    truth = turns((0, 0, 9), (1, 3, 12), seconds=20, talkers=2)
    (first, second) = heard(truth)
    assert first.clear is (first.alone_s >= 3.0)
    assert [one.name for one in followed([first, second], [])] == [
        one.voice.name for one in (first, second) if one.clear
    ]
    short = turns((0, 0, 2.5), (1, 2, 6), seconds=10, talkers=2)
    (first, _) = heard(short)
    with pytest.raises(EnrolmentError, match=r"says 1\.\d s alone in 'talk.wav', expected at least 3 s"):
        learned(first, "carla", PitchEmbedder(), "talk.wav")


def test_what_is_learned_says_where_it_is_from() -> None:
    voices = heard(TRUTH)
    made = learned(voices[1], "carla", PitchEmbedder(), "talk.wav", "2026-01-01")
    assert made.name == "carla"
    assert made.sources[0].startswith("talk.wav (")
    assert "alone" in made.sources[0]
    assert made.vector @ stored(1)[0].vector > 0.95
    assert made.vector @ stored(0)[0].vector < 0.5


def test_a_mixed_clip_is_refused_even_where_the_diariser_is_wrong() -> None:
    truth = turns((0, 0, 9), (1, 10, 19), seconds=20, talkers=2)
    merged = truth.any(axis=0, keepdims=True)
    (one,) = discover(
        recording(truth), PitchEmbedder(), segmenter=Told(merged), options=DiarisationOptions(distance=1.9)
    )
    with pytest.raises(EnrolmentError, match="seems to hold two voices"):
        learned(one, "carla", PitchEmbedder(), "talk.wav")
