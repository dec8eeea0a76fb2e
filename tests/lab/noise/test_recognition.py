"""Recognisers on test sets: what is counted, what is resampled together, what is compared with what."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from softspoken.errors import AudioError, DataError
from softspoken_lab.noise.evaluation import Transcribe, Written, summed, table, write_results, write_sets
from softspoken_lab.noise.testsets import TestUtterance

WORDS = "ONE TWO THREE FOUR"


def clean(number: int) -> TestUtterance:
    return TestUtterance(f"u{number}", Path(f"u{number}.wav"), WORDS, "s", duration_s=float(number % 7))


def noisy(number: int, kind: str, snr_db: float) -> TestUtterance:
    name = f"u{number}_{kind}_{snr_db:g}db"
    return TestUtterance(name, Path(f"{name}.wav"), WORDS, "s", kind, "n", snr_db, f"u{number}", float(number % 5))


def writes(wrong: int) -> Transcribe:
    """The first `wrong` words of every utterance are others."""
    text = " ".join(["NO"] * wrong + WORDS.split()[wrong:])
    return lambda files: [text for _ in files]


def by_name(files: list[Path]) -> list[str]:
    """Right for u0, u2, ...; one word wrong for the others."""
    return [WORDS if int(file.name[1]) % 2 == 0 else WORDS.replace("ONE", "NO") for file in files]


GRID = [noisy(number, kind, snr_db) for number in range(4) for kind in ("Car", "Babble") for snr_db in (0.0, 10.0)]


def test_every_utterance_gets_its_own_text() -> None:
    """Whatever order they are handed over in: here by falling length."""
    utterances = [clean(number) for number in range(150)]
    asked: list[int] = []

    def echo(files: list[Path]) -> list[str]:
        asked.append(len(files))
        return [f"{WORDS} {file.stem}" for file in files]

    reports: list[tuple[str, int, int]] = []
    written = write_sets({"echo": echo}, {"clean": utterances}, str, lambda *said: reports.append(said))
    assert [one.utterance for one in written] == utterances
    assert [one.hypothesis.split()[-1] for one in written] == [utterance.id for utterance in utterances]
    assert sum(asked) == 150
    assert len(asked) > 1
    assert reports[-1] == ("echo", 150, 150)
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)


def test_rates_and_paired_differences() -> None:
    systems = {"half": writes(2), "right": writes(0)}
    rows = table(write_sets(systems, {"clean": [clean(0), clean(1)], "noisy": GRID}, str))
    assert [(row.set, row.condition, row.system) for row in rows] == [
        ("clean", None, "half"),
        ("clean", None, "right"),
        ("noisy", None, "half"),
        ("noisy", None, "right"),
    ]
    assert [row.score.wer for row in rows] == [0.5, 0.0, 0.5, 0.0]
    assert [row.utterances for row in rows] == [2, 2, 16, 16]
    assert [row.sources for row in rows] == [2, 2, 4, 4]
    assert rows[0].difference is None
    assert rows[1].difference is not None
    # Every utterance has the same difference, so there is nothing uncertain about it.
    assert (rows[1].difference.wer, rows[1].difference.interval.low, rows[1].difference.interval.high) == (-0.5,) * 3
    assert rows[3].as_dict()["difference"] == {"wer": -0.5, "wer_low": -0.5, "wer_high": -0.5}


def test_rows_by_kind_and_by_level() -> None:
    def bad_in_babble(files: list[Path]) -> list[str]:
        return ["" if "Babble" in file.name else WORDS for file in files]

    written = write_sets({"a": bad_in_babble}, {"both": [*GRID, clean(9)]}, str)
    rates = {row.condition: row.score.wer for row in table(written, "type")}
    assert rates == {"clean": 0.0, "Babble": 1.0, "Car": 0.0}
    assert list(rates) == ["clean", "Babble", "Car"]
    levels = {row.condition: (row.score.wer, row.utterances) for row in table(written, "snr")}
    assert levels == {"clean": (0.0, 1), "10 dB": (0.5, 8), "0 dB": (0.5, 8)}
    assert list(levels) == ["clean", "10 dB", "0 dB"]


def test_what_was_made_of_one_recording_is_resampled_together() -> None:
    """Four noisy versions of each of 4 utterances are 4 samples, as if each were spoken once, and not 16."""
    sixteen = write_sets({"a": by_name}, {"x": GRID}, str)
    four = write_sets({"a": by_name}, {"x": [clean(number) for number in range(4)]}, str)
    (grid,), (single,) = table(sixteen), table(four)
    assert grid.score.words == 4 * single.score.words
    assert grid.score.wer == single.score.wer == 0.125
    assert grid.score.wer_interval == single.score.wer_interval
    apart = [Written(one.system, one.set, clean(number), "", one.score) for number, one in enumerate(sixteen)]
    (independent,) = table(apart)
    assert independent.score.wer == grid.score.wer
    assert grid.score.wer_interval is not None
    assert independent.score.wer_interval is not None
    assert _width(independent.score.wer_interval) < 0.7 * _width(grid.score.wer_interval)


def test_what_one_talker_says_is_resampled_together() -> None:
    """Two talkers, one always right and one always wrong, are two samples, however much they say."""
    said = [replace(clean(number), speaker="a" if number < 20 else "b") for number in range(40)]
    written = write_sets({"a": lambda files: [WORDS if int(f.stem[1:]) < 20 else "" for f in files]}, {"x": said}, str)
    (apart,), (together,) = table(written), table(written, together="talker")
    assert (apart.sources, together.sources) == (40, 2)
    assert apart.score.wer == together.score.wer == 0.5
    assert apart.score.wer_interval is not None
    assert together.score.wer_interval is not None
    assert (together.score.wer_interval.low, together.score.wer_interval.high) == (0.0, 1.0)
    assert _width(apart.score.wer_interval) < 0.5


def _width(interval: object) -> float:
    return float(interval.high - interval.low)  # type: ignore[attr-defined]


def test_sums_do_not_depend_on_order() -> None:
    written = write_sets({"a": by_name}, {"x": GRID}, str)
    assert summed(written) == summed(written[::-1])
    assert sum(score.errors for score in summed(written)) == sum(one.score.errors for one in written)


def test_texts_are_compared_as_the_dictionary_writes_them() -> None:
    utterance = TestUtterance("u", Path("u.wav"), "It's two-fold.", "s")
    (one,) = write_sets(
        {"a": lambda files: ["IT'S TWO FOLD"]},
        {"x": [utterance]},
        lambda text: text.upper().replace("-", " ").strip("."),
    )
    assert one.score.errors == 0


def test_what_was_written_is_kept(tmp_path: Path) -> None:
    written = write_sets({"a": writes(1)}, {"x": GRID[:2]}, str)
    write_results(written, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [utterance.id for utterance in GRID[:2]]
    assert rows[0]["hypothesis"] == "NO TWO THREE FOUR"
    assert (rows[0]["source"], rows[0]["noise_type"], rows[0]["snr_db"]) == ("u0", "Car", 0.0)
    assert (rows[0]["substitutions"], rows[0]["words"]) == (1, 4)
    with pytest.raises(DataError, match="choose a writable place"):
        write_results(written, tmp_path / "none" / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_sets_that_cannot_be_used() -> None:
    for utterances in ([], [clean(1), clean(1)]):
        with pytest.raises(DataError, match="set 'x' is empty or has two utterances of one id"):
            write_sets({"a": writes(0)}, {"x": utterances}, str)

    def broken(files: list[Path]) -> list[str]:
        raise AudioError(f"'{files[0]}' is cut off")

    with pytest.raises(AudioError, match=r"set 'x': 'u1.wav' is cut off"):
        write_sets({"a": broken}, {"x": [clean(1)]}, str)
