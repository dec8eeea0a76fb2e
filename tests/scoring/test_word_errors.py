import numpy as np
import pytest

from softspoken.errors import DataError
from softspoken.scoring.text import TextNormalizer, writes_something
from softspoken.scoring.word_errors import (
    UtteranceScore,
    paired_difference,
    score_utterance,
    summarize,
)

normalize = TextNormalizer()


def scored(reference: str, hypothesis: str) -> UtteranceScore:
    return score_utterance(reference, hypothesis, normalize)


@pytest.mark.parametrize(
    ("reference", "written"),
    [
        ("MISTER HALE DIDN'T SEE IT", "Mr. Hale didn't see it."),
        ("CHAPTER NINETY NINE", "Chapter 99."),
        ("THE COLOUR OF HER GREY PARLOUR", "The color of her gray parlor"),
        ("THEY REALISED AND TRAVELLED", "they realized, and traveled"),
        ("OUR FOUR HOURS", "our 4 hours"),
    ],
)
def test_what_only_looks_different_is_no_error(reference: str, written: str) -> None:
    score = scored(reference, written)
    assert score.errors == 0
    assert score.words > 0


def test_counts_of_a_hand_made_case() -> None:
    score = scored("ONE RED FOX RAN HOME", "one blue fox home today again")
    # red -> blue; ran is missing; today, again are added.
    assert score.errors == 4
    assert (score.words, score.deletions - score.insertions) == (5, -1)


def test_corpus_rate_and_utterance_mean_are_different_things() -> None:
    result = summarize(
        [
            scored("GOOD", "bad"),
            scored("THE LONG ROAD HOME WAS OPEN AGAIN AND DRY", "the long road home was open again and dry"),
        ]
    )
    assert result.wer == pytest.approx(1 / 10)
    assert result.utterance_mean_wer == pytest.approx(0.5)
    assert (result.substitutions, result.deletions, result.insertions, result.words) == (1, 0, 0, 10)


def test_words_of_silent_targets_are_kept_out_of_the_word_error_rate() -> None:
    speaking = [scored("ALL IS WELL", "all is well")]
    result = summarize([*speaking, scored("", "nobody asked you"), scored("", " . "), scored(" ", "")])
    assert result.wer == 0.0
    assert result.words == 3
    assert result.rejection_rate == pytest.approx(2 / 3)
    assert result.insertions_when_silent == 3


def test_rates_without_items_are_none() -> None:
    only_silent = summarize([scored("", "")])
    assert (only_silent.wer, only_silent.wer_interval, only_silent.rejection_rate) == (None, None, 1.0)
    assert summarize([scored("HELLO", "hello")]).rejection_rate is None


def test_a_filler_word_is_something_written() -> None:
    assert writes_something("Um.")
    assert not writes_something(" ... ♪ ")
    assert summarize([scored("", "um")]).rejection_rate == 0.0


def test_interval_covers_the_true_rate_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(60):
        errors = rng.binomial(10, 0.3, size=60)
        result = summarize([UtteranceScore(int(e), 0, 0, 10) for e in errors], resamples=300)
        assert result.wer_interval is not None
        assert result.wer is not None
        assert result.wer_interval.low <= result.wer <= result.wer_interval.high
        covered += result.wer_interval.low <= 0.3 <= result.wer_interval.high
    assert 50 <= covered <= 60


def test_interval_is_the_same_for_the_same_seed_and_narrows_with_more_items() -> None:
    scores = [UtteranceScore(n % 4, 0, 0, 8) for n in range(40)]
    few, again, many = summarize(scores), summarize(scores), summarize(scores * 16)
    assert few.wer_interval == again.wer_interval
    assert few.wer_interval is not None
    assert many.wer_interval is not None
    width = few.wer_interval.high - few.wer_interval.low
    assert many.wer_interval.high - many.wer_interval.low == pytest.approx(width / 4, rel=0.3)


def test_pairing_sees_a_small_steady_difference_that_single_intervals_hide() -> None:
    rng = np.random.default_rng(3)
    hard = rng.integers(0, 8, size=80)
    better = [UtteranceScore(int(h), 0, 0, 10) for h in hard]
    worse = [UtteranceScore(int(h), int(n % 3 == 0), 0, 10) for n, h in enumerate(hard)]
    difference = paired_difference(worse, better)
    assert difference.wer == pytest.approx(27 / 800)
    assert difference.significant
    assert not paired_difference(better, better).significant
    one, other = summarize(better), summarize(worse)
    assert one.wer_interval is not None
    assert other.wer_interval is not None
    assert one.wer_interval.high > other.wer_interval.low


def test_pairing_refuses_other_items() -> None:
    with pytest.raises(DataError, match="same items"):
        paired_difference([scored("A B", "a")], [scored("A B C", "a")])
