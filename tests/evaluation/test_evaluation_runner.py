import json
from pathlib import Path

import numpy as np
import pytest

from softspoken.audio import write_audio
from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import AudioError, DataError, EnrolmentError
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.evaluation.runner import Method, clean, compare, plain, prompted, run_method, write_items
from softspoken.scoring.text import TextNormalizer

normalize = TextNormalizer()


def written(text: str) -> Transcript:
    return Transcript((Segment(0.25, 0.75, text),) if text else (), presence=0.5)


@pytest.fixture
def items(tmp_path: Path) -> tuple[EvaluationItem, ...]:
    """Two spoken items, one silent; recordings are told apart by their length."""
    for name, seconds in (("mix", 1.0), ("voice", 2.0), ("alone", 0.5)):
        write_audio(tmp_path / f"{name}.flac", np.full(round(16_000 * seconds), 0.1, dtype=np.float32))
    shared = {"audio": "mix.flac", "enrolment": "voice.flac"}
    rows = [
        shared | {"id": "a", "text": "GOOD DAY", "clean": "alone.flac"},
        shared | {"id": "b", "text": "MANY THANKS", "clean": "alone.flac"},
        shared | {"id": "c", "text": ""},
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return read_evaluation_manifest(tmp_path / "manifest.jsonl")


def test_each_method_hears_what_it_should(items: tuple[EvaluationItem, ...]) -> None:
    heard: list[tuple[int, ...]] = []

    def one(audio: np.ndarray) -> Transcript:
        heard.append((len(audio),))
        return written("good day")

    def two(audio: np.ndarray, enrolment: np.ndarray) -> Transcript:
        heard.append((len(audio), len(enrolment)))
        return written("")

    mixed = run_method(plain(one), items, normalize)
    alone = run_method(clean(one), items, normalize)
    target = run_method(prompted("mine", two), items, normalize)
    # Plain Whisper hears a recording once, for all voices.
    assert heard == [(16_000,)] + [(8_000,)] * 2 + [(16_000, 32_000)] * 3
    assert (mixed.score.wer, mixed.score.rejection_rate) == (0.5, 0.0)
    assert (alone.score.wer, alone.score.rejection_rate) == (0.5, None)
    assert (target.score.wer, target.score.rejection_rate, target.method) == (1.0, 1.0, "mine")


def test_comparing_uses_the_items_that_both_answered(items: tuple[EvaluationItem, ...]) -> None:
    right = run_method(clean(lambda audio: written("good day")), items, normalize)
    wrong = run_method(plain(lambda audio: written("")), items, normalize)
    assert compare(wrong, right).wer == pytest.approx(0.5)
    assert compare(right, wrong).wer == pytest.approx(-0.5)


def test_rows_and_written_items_hold_what_tests_and_programs_need(
    items: tuple[EvaluationItem, ...], tmp_path: Path
) -> None:
    result = run_method(plain(lambda audio: written(" Good day. ")), items, normalize)
    row = result.as_dict()
    needed = "wer wer_low wer_high substitutions deletions insertions words rejection_rate seconds utterance_mean_wer"
    assert set(needed.split()) < set(row)
    assert json.loads(json.dumps(row)) == row
    write_items([result], tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b", "c"]
    assert lines[0]["hypothesis"] == "Good day."
    assert (lines[0]["segments"], lines[0]["presence"]) == ([[0.25, 0.75, " Good day. "]], 0.5)
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_method_without_items_and_an_unwritable_place_are_refused(
    items: tuple[EvaluationItem, ...], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="applies to none"):
        run_method(clean(lambda audio: written("")), items[2:], normalize)
    result = run_method(Method("x", lambda item: written("")), items, normalize)
    with pytest.raises(DataError, match="cannot write"):
        write_items([result], tmp_path / "absent" / "out.jsonl")


def test_an_item_that_cannot_be_used_is_named(items: tuple[EvaluationItem, ...]) -> None:
    items[1].audio.write_bytes(b"no audio")
    with pytest.raises(AudioError, match="item 'a'"):
        run_method(plain(lambda audio: written("")), items, normalize)


def test_a_voice_that_cannot_be_enrolled_counts_as_nothing_written(
    items: tuple[EvaluationItem, ...], caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(audio: np.ndarray, enrolment: np.ndarray) -> Transcript:
        raise EnrolmentError("0.4 s of speech found")

    result = run_method(prompted("x", refuse), items, normalize)
    assert [item.hypothesis for item in result.items] == ["", "", ""]
    assert result.score.deletions == result.score.words
    assert "item 'a'" in caplog.text
    assert "0.4 s of speech found" in caplog.text
