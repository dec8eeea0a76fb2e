"""An evaluation that goes on: what is kept is not made again, what has changed is, and the result is the same."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from softspoken.audio import write_audio
from softspoken.decoding.result import Segment, Transcript, WindowEvidence
from softspoken.evaluation import stage_cache as answers
from softspoken.evaluation.manifest import EvaluationItem, read_evaluation_manifest
from softspoken.evaluation.runner import Method, MethodResult, run_method
from softspoken.evaluation.stage_cache import KeptAnswers
from softspoken.scoring.text import TextNormalizer

COUNT = 5
EVIDENCE = WindowEvidence(0.0, 1.0, 1 / 3, 0.5, -0.5, -float("inf"), {"one": 0.1}, 0.75)


class Counted:
    """A method that notes what it was asked for."""

    def __init__(self, **identity: object) -> None:
        self.asked: list[str] = []
        self.method = Method("mine", self._transcribe, identity=identity or {"digest": "d"})

    def _transcribe(self, item: EvaluationItem) -> Transcript:
        self.asked.append(item.id)
        segment = Segment(0.1, 1 / 3, f"word {item.id}", (1, 2), -float("inf"))
        return Transcript((segment,), "en", 1.0, 0.5, None, 0.75, (EVIDENCE,))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = []
    for number in range(COUNT):
        write_audio(tmp_path / f"{number}.flac", np.full(8_000, 0.01 * (number + 1), dtype=np.float32))
        rows.append({"id": str(number), "audio": f"{number}.flac", "enrolment": "0.flac", "text": f"WORD {number}"})
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def notes() -> list[str]:
    return []


def evaluate(manifest: Path, counted: Counted, notes: list[str], anew: bool = False) -> MethodResult:
    kept = KeptAnswers.beside(manifest, notes.append, anew)
    return run_method(counted.method, read_evaluation_manifest(manifest), TextNormalizer(), kept=kept)


def without_times(result: MethodResult) -> object:
    return result.score, [replace(item, seconds=0.0) for item in result.items]


def test_a_killed_evaluation_goes_on_with_the_same_result(manifest: Path, notes: list[str]) -> None:
    def killed(items: Sequence[EvaluationItem]) -> Iterator[EvaluationItem]:
        yield from items[:2]
        raise KeyboardInterrupt

    first, second = Counted(), Counted()
    items = read_evaluation_manifest(manifest)
    with pytest.raises(KeyboardInterrupt):
        run_method(first.method, items, TextNormalizer(), killed, KeptAnswers.beside(manifest, notes.append))
    result = evaluate(manifest, second, notes)
    assert (first.asked, second.asked) == (["0", "1"], ["2", "3", "4"])
    whole = run_method(Counted().method, items, TextNormalizer())
    assert without_times(result) == without_times(whole)
    again = Counted()
    # To the times, it is the same.
    assert evaluate(manifest, again, notes) == result
    assert (again.asked, notes) == ([], [])


def test_anew_makes_and_keeps_everything_again(manifest: Path, notes: list[str]) -> None:
    evaluate(manifest, Counted(), notes)
    counted, after = Counted(), Counted()
    evaluate(manifest, counted, notes, anew=True)
    evaluate(manifest, after, notes)
    assert (len(counted.asked), after.asked) == (COUNT, [])


def test_only_what_has_changed_is_made_again(manifest: Path, notes: list[str]) -> None:
    evaluate(manifest, Counted(), notes)
    write_audio(manifest.with_name("3.flac"), np.full(8_000, 0.5, dtype=np.float32))
    counted = Counted()
    evaluate(manifest, counted, notes)
    assert counted.asked == ["3"]
    # The enrolment of all of them.
    write_audio(manifest.with_name("0.flac"), np.full(8_000, 0.6, dtype=np.float32))
    counted = Counted()
    evaluate(manifest, counted, notes)
    assert len(counted.asked) == COUNT


def test_other_words_are_scored_without_transcribing(manifest: Path, notes: list[str]) -> None:
    assert evaluate(manifest, Counted(), notes).score.wer == 0.0
    manifest.write_text(manifest.read_text().replace("WORD 4", "OTHER 4"))
    counted = Counted()
    assert evaluate(manifest, counted, notes).score.substitutions == 1
    assert not counted.asked


def test_another_method_or_other_code_is_another_answer(
    manifest: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(manifest, Counted(digest="d", engine="torch"), notes)
    for identity in ({"digest": "e", "engine": "torch"}, {"digest": "d", "engine": "openvino"}):
        counted = Counted(**identity)
        evaluate(manifest, counted, notes)
        assert len(counted.asked) == COUNT
    monkeypatch.setattr(answers, "code_digest", lambda: "of tomorrow")
    counted = Counted(digest="d", engine="torch")
    evaluate(manifest, counted, notes)
    assert len(counted.asked) == COUNT


def test_without_a_digest_the_name_tells_methods_apart(manifest: Path, notes: list[str]) -> None:
    one, other = Counted(backbone="b"), Counted(backbone="b")
    other.method = replace(other.method, name="other")
    evaluate(manifest, one, notes)
    evaluate(manifest, other, notes)
    assert len(other.asked) == COUNT


def test_nothing_is_kept_of_a_method_that_does_not_say_what_it_is(manifest: Path, notes: list[str]) -> None:
    for _ in range(2):
        counted = Counted()
        counted.method = replace(counted.method, identity=None)
        evaluate(manifest, counted, notes)
        assert len(counted.asked) == COUNT
    assert not list(manifest.with_suffix(".answers").iterdir())


def test_a_damaged_answer_is_said_and_made_again(manifest: Path, notes: list[str]) -> None:
    expected = evaluate(manifest, Counted(), notes)
    damaged = next(manifest.with_suffix(".answers").glob("*.json"))
    damaged.write_text(damaged.read_text().replace("word", "wood"))
    counted = Counted()
    assert without_times(evaluate(manifest, counted, notes)) == without_times(expected)
    assert len(counted.asked) == len(notes) == 1
    assert "damaged" in notes[0]


def test_where_the_manifest_cannot_be_written_beside_the_cache_is_used(
    manifest: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softspoken.evaluation.stage_cache.os.access", lambda *given: False)
    monkeypatch.setenv("SOFTSPOKEN_CACHE", str(manifest.with_name("cache")))
    evaluate(manifest, Counted(), notes)
    assert len(list(manifest.with_name("cache").rglob("answer-*.json"))) == COUNT
    assert not manifest.with_suffix(".answers").exists()
