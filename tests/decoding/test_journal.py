"""A run that was killed goes on where it was, and gives what it would have given."""

from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_backbone, tone

from softspoken.decoding import DecodingOptions, Journal, PlainTranscriber, PromptedTranscriber, Segment, WindowOptions
from softspoken.decoding.journal import Step
from softspoken.decoding.longform import Reader
from softspoken.engines import load_engine
from softspoken.prompts.short import short_window_prompts

ENGINE = load_engine(tiny_backbone(5), "torch")
WAYS: dict[str, Any] = {
    "plain": PlainTranscriber(ENGINE),
    "prompted": PromptedTranscriber(ENGINE, short_window_prompts(ENGINE)),
}
QUICK = DecodingOptions(
    temperatures=(0.0,), max_tokens=8, words=True, windows=WindowOptions(longest_s=2.0, search_s=1.0, batch=2)
)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_from_every_step(way: str, tmp_path: Path) -> None:
    audio = tone(9.0, 3)
    whole = WAYS[way].transcribe(audio, options=QUICK, journal=Journal(tmp_path / "whole", "key"))
    steps = Journal(tmp_path / "whole", "key", resume=True).steps
    assert len(steps) > 2
    for kept in range(len(steps) + 1):
        path = tmp_path / f"after {kept}"
        begun = Journal(path, "key")
        for step in steps[:kept]:
            begun.add(step)
        # Killed in the middle of a line.
        with path.open("a") as file:
            file.write('{"windows": 99, "posi')
        told: list[Segment] = []
        journal = Journal(path, "key", resume=True)
        assert journal.steps == steps[:kept]
        again = WAYS[way].transcribe(audio, options=QUICK, journal=journal, on_segment=told.append)
        assert again == whole
        assert tuple(told) == whole.segments
        assert Journal(path, "key", resume=True).steps == steps


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = tone(9.0, 3)
    journal = Journal(tmp_path / "journal", "key")
    WAYS["prompted"].transcribe(audio, options=QUICK, journal=journal)

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("softspoken.decoding.prompted.decode_batch", never)
    resumed = Journal(tmp_path / "journal", "key", resume=True)
    assert WAYS["prompted"].transcribe(audio, options=QUICK, journal=resumed).duration_s == 9.0


@pytest.mark.parametrize("content", ["", "no json", '"another key"\n', '"key"\n{"windows": 1}\n'])
def test_what_is_no_journal_of_this_run_begins_anew(content: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(content)
    journal = Journal(path, "key", resume=True)
    assert journal.steps == []
    journal.add(Step(1, 16_000, ()))
    assert Journal(path, "key", resume=True).steps == [Step(1, 16_000, ())]
    assert Journal(path, "key").steps == []
    journal.remove()
    journal.remove()
    assert not path.exists()


def test_a_reader_passes_over_what_was_heard() -> None:
    audio = tone(5.0)
    reader = Reader(iter([audio[:30_000], audio[30_000:]]))
    reader.pass_over(50_000)
    assert reader.position_s == 50_000 / 16_000
    assert (reader.peek(100) == audio[50_000:50_100]).all()
    reader.pass_over(1_000_000)
    assert reader.position_s == 5.0
