import math
from pathlib import Path

import numpy as np
import pytest

from softspoken.audio import SAMPLE_RATE_HZ, write_audio
from softspoken.decoding.result import Segment, Transcript
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.scoring.text import TextNormalizer
from softspoken_lab.measures.timing import spread_of, summarize_timing, time_item

normalize = TextNormalizer()
WORDS = (("good", 1.0, 1.4), ("day", 1.5, 1.9), ("twenty", 3.0, 3.2), ("five", 3.2, 3.5), ("men", 3.6, 4.0))


def item(words: tuple[tuple[str, float, float], ...] = WORDS, clean: Path | None = None) -> EvaluationItem:
    return EvaluationItem("a", Path("mix"), Path("voice"), "GOOD DAY TWENTY FIVE MEN", clean, (), words)


def transcript(*segments: tuple[float, float, str]) -> Transcript:
    return Transcript(tuple(Segment(*segment) for segment in segments))


def test_each_segment_is_measured_against_its_own_words() -> None:
    found = time_item(item(), transcript((1.1, 1.8, "Good day."), (2.9, 4.2, "25 men.")), normalize)
    assert found is not None
    assert (found.truth, found.segments) == ("alignment", 2)
    assert found.start_s == pytest.approx(0.1)
    assert found.end_s == pytest.approx(0.2)
    assert found.segment_starts_s == pytest.approx((0.1, -0.1))
    assert found.segment_ends_s == pytest.approx((-0.1, 0.2))


def test_segments_whose_outer_words_are_wrong_are_left_out_but_the_utterance_counts() -> None:
    found = time_item(item(), transcript((0.0, 1.9, "My good day"), (3.0, 4.0, "25 women")), normalize)
    assert found is not None
    assert (found.start_s, found.end_s) == (-1.0, 0.0)
    assert found.segment_starts_s == (0.0,)
    assert found.segment_ends_s == (0.0,)
    assert found.segments == 2


def test_a_shifted_transcript_is_wrong_by_the_shift() -> None:
    right = transcript((1.0, 1.9, "good day"), (3.0, 4.0, "twenty five men"))
    for shift_s in (-0.5, 0.0, 0.75):
        moved = transcript(*[(s.start_s + shift_s, s.end_s + shift_s, s.text) for s in right.segments])
        timing = time_item(item(), moved, normalize)
        assert timing is not None
        score = summarize_timing([timing] * 3)
        for spread in (score.start, score.end, score.segment_start, score.segment_end):
            assert spread is not None
            assert spread.median_s == spread.p90_s == pytest.approx(abs(shift_s))
            assert spread.bias_s == pytest.approx(shift_s)


def test_without_word_times_the_level_of_the_clean_target_says_when_it_speaks(tmp_path: Path) -> None:
    audio = np.zeros(4 * SAMPLE_RATE_HZ, dtype=np.float32)
    audio[SAMPLE_RATE_HZ : 3 * SAMPLE_RATE_HZ] = 0.1
    write_audio(tmp_path / "clean.flac", audio)
    found = time_item(item((), tmp_path / "clean.flac"), transcript((1.5, 2.5, "good day")), normalize)
    assert found is not None
    assert (found.truth, found.segments, found.segment_starts_s) == ("energy", 0, ())
    assert found.start_s == pytest.approx(0.5)
    assert found.end_s == pytest.approx(-0.5)


def test_nothing_written_nothing_known_and_silent_targets() -> None:
    nothing = time_item(item(), transcript(), normalize)
    assert nothing is not None
    assert nothing.start_s is None
    assert time_item(item(()), transcript((0.0, 1.0, "good")), normalize) is None
    silent = EvaluationItem("b", Path("mix"), Path("voice"), "")
    assert time_item(silent, transcript((0.0, 1.0, "good")), normalize) is None
    score = summarize_timing([nothing])
    assert (score.items, score.nothing_written, score.start) == (1, 1, None)
    assert summarize_timing([]).as_dict()["truth"] == {"alignment": 0, "energy": 0}


def test_quantiles_and_their_intervals() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=400)
    spread = spread_of([(float(error),) for error in errors], resamples=500)
    assert spread is not None
    assert spread.median_s == pytest.approx(np.median(np.abs(errors)), abs=0.02)
    assert spread.p90_s == pytest.approx(np.quantile(np.abs(errors), 0.9), abs=0.03)
    few = spread_of([(float(error),) for error in errors[:50]], resamples=500)
    assert few is not None
    assert few.median_interval.high - few.median_interval.low > spread.median_interval.high - spread.median_interval.low


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = []
    for seed in range(30):
        errors = np.random.default_rng(seed).normal(size=80)
        spread = spread_of([(float(error),) for error in errors], resamples=200)
        assert spread is not None
        # Half-normal: the median of |x| is 0.674, the 90th percentile 1.645.
        held.append(spread.median_interval.low < 0.674 < spread.median_interval.high)
        held.append(spread.p90_interval.low < 1.645 < spread.p90_interval.high)
    assert 0.85 < np.mean(held) <= 1.0


def test_errors_of_one_item_stand_or_fall_together() -> None:
    apart = spread_of([(error,) for error in [0.1, 0.2] * 40], resamples=300)
    together = spread_of([(0.1,) * 40, (0.2,) * 40, ()], resamples=300)
    assert apart is not None
    assert together is not None
    assert apart.p90_s == together.p90_s == 0.2
    assert apart.p90_interval.low == 0.2
    assert together.p90_interval.low == 0.1
    assert math.isclose(together.p90_interval.high, 0.2)
