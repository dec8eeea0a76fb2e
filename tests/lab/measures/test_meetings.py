"""Scores of conversations: what each kind of mistake costs, and that names do not matter where nobody has any."""

from pathlib import Path

import pytest

from softspoken.errors import DataError
from softspoken.scoring.text import TextNormalizer
from softspoken_lab.measures.meetings import (
    Said,
    Scored,
    der,
    read_rttm,
    read_seglst,
    score_meeting,
    summarize_meetings,
)

pytest.importorskip("meeteval")

NORMALIZE = TextNormalizer()
REFERENCE = [
    Said("ada", 0.0, 4.0, "one cat and four dogs"),
    Said("boris", 3.0, 7.0, "blue green red sky tonight"),
    Said("ada", 8.0, 10.0, "nothing else matters"),
]


def named(*names: str) -> list[Said]:
    return [Said(name, one.start_s, one.end_s, one.text) for name, one in zip(names, REFERENCE, strict=True)]


def test_what_is_right_costs_nothing_under_any_names() -> None:
    for written in (REFERENCE, named("Speaker 2", "Speaker 1", "Speaker 2")):
        score = score_meeting(REFERENCE, written, NORMALIZE)
        assert (score.cp.errors, score.tcp.errors, score.misnamed, score.absent) == (0, 0, 0, 0)
        assert score.cp.words == score.written == 13


def test_words_under_another_name_are_counted_once() -> None:
    score = score_meeting(REFERENCE, named("ada", "boris", "boris"), NORMALIZE)
    assert score.misnamed == 3
    assert score.cp.errors == 6
    made_up = [*REFERENCE, Said("boris", 1.0, 2.0, "purple elephants")]
    assert score_meeting(REFERENCE, made_up, NORMALIZE).misnamed == 0


def test_words_at_another_time_are_wrong_only_where_time_counts() -> None:
    late = [Said(one.speaker, one.start_s + 60, one.end_s + 60, one.text) for one in REFERENCE]
    score = score_meeting(REFERENCE, late, NORMALIZE)
    assert score.cp.errors == 0
    assert score.tcp.errors == 26


def test_words_for_a_voice_that_is_not_there_count_by_themselves() -> None:
    score = score_meeting(REFERENCE, [*REFERENCE, Said("carla", 1.0, 2.0, "purple elephants")], NORMALIZE, ["carla"])
    assert (score.cp.errors, score.absent, score.written) == (0, 2, 13)
    with pytest.raises(DataError, match="no reference words"):
        score_meeting([], REFERENCE, NORMALIZE)


def test_nothing_written_misses_everything() -> None:
    score = score_meeting(REFERENCE, [], NORMALIZE)
    assert (score.cp.deletions, score.cp.errors, score.written) == (13, 13, 0)


def test_diarisation_errors_are_of_three_kinds() -> None:
    said = {"ada": [(0.0, 10.0)], "boris": [(5.0, 15.0)]}
    assert der(said, {"x": said["ada"], "y": said["boris"]}).rate == 0.0
    missed = der(said, {"x": said["ada"]})
    assert missed.missed_s > 0.0
    assert (missed.false_s, missed.confused_s) == (0.0, 0.0)
    assert der(said, {**said, "z": [(20.0, 30.0)]}).false_s > 0.0
    assert der({"ada": [(0.0, 10.0), (10.0, 20.0)]}, {"x": [(0.0, 10.0)], "y": [(10.0, 20.0)]}).confused_s > 0.0
    assert der(said, {}).rate == pytest.approx(1.0)
    assert (missed + missed).rate == pytest.approx(missed.rate)


def test_a_table_compares_the_same_conversations() -> None:
    good, bad = (
        [Scored(score_meeting(REFERENCE, written, NORMALIZE), None, None, 6.0, 60.0)] * 3
        for written in (REFERENCE, named("ada", "boris", "boris"))
    )
    first, second = summarize_meetings("good", good, None), summarize_meetings("bad", bad, good)
    assert first.cp_difference is None
    assert second.cp_difference is not None
    assert second.cp_difference.wer == pytest.approx(6 / 13)
    assert (first.misnamed_per_100, second.misnamed_per_100) == (0.0, pytest.approx(100 * 3 / 13))
    assert (first.cpu_s_per_minute, first.hours) == (6.0, 0.05)


def test_references_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.rttm"
    path.write_text("SPEAKER one 1 0.500 2.000 <NA> <NA> ada <NA> <NA>\n")
    assert read_rttm(path) == {"one": {"ada": [(0.5, 2.5)]}}
    path.write_text("ada speaks from 0.5 to 2.5\n")
    with pytest.raises(DataError, match="is no RTTM"):
        read_rttm(path)
    with pytest.raises(DataError, match="is no SegLST"):
        read_seglst(path)
