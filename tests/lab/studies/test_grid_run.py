"""A grid measured with made-up methods: what is kept, what is measured again, and what is written of it."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from speech_folder import make_speech_folder

from softspoken.decoding.result import Segment, Transcript
from softspoken.errors import DataError
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.evaluation.runner import Method
from softspoken_lab.studies.grid import GridResult, measure_grid
from softspoken_lab.studies.grid_report import grid_figure, grid_json, grid_markdown, write_grid
from softspoken_lab.testsets.grid import GridSpec

GRID = GridSpec(talkers=(2, 3), overlap=(0.0, 0.5), snr_db=(0.0, 10.0), mixtures=2, clip_s=(2.0, 3.0), split="train")


class Listener:
    """Writes what is asked of it, and counts how often it was asked; gives up after `patience` items."""

    def __init__(self, words: str | None, patience: int = 10**6) -> None:
        self.words, self.patience, self.heard = words, patience, 0

    def __call__(self, item: EvaluationItem) -> Transcript:
        if self.heard == self.patience:
            raise KeyboardInterrupt
        self.heard += 1
        text = item.text if self.words is None else self.words
        return Transcript((Segment(0.0, 1.0, text),) if text else (), presence=0.5)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    return make_speech_folder(tmp_path / "speech", talkers=12, seconds=2.5)


def measured(speech: Path, out: Path, *methods: Method, grid: GridSpec = GRID) -> tuple[GridResult, list[str]]:
    notes: list[str] = []
    return measure_grid(grid, speech, out, methods, note=notes.append), notes


def test_a_grid_that_was_killed_goes_on_where_it_was(speech: Path, tmp_path: Path) -> None:
    items = 8 * 2 * 2
    dying = Listener("ONE", patience=9)
    with pytest.raises(KeyboardInterrupt):
        measured(speech, tmp_path / "grid", Method("one", dying, identity={"digest": "a"}))
    # Four items a cell: two cells were done, and the ninth item belongs to the third.
    cells = sorted((tmp_path / "grid/cells").iterdir())
    assert len(cells) == 8
    going_on = Listener("ONE")
    result, _ = measured(speech, tmp_path / "grid", Method("one", going_on, identity={"digest": "a"}))
    assert going_on.heard == items - 8
    assert sum(one.kept for one in result.measured) == 2
    assert sorted((tmp_path / "grid/cells").iterdir()) == cells
    # Wherever the prompt lies; but not one with another digest, nor a method of another name without one.
    for method, heard in [
        (Method("elsewhere", Listener("ONE"), identity={"digest": "a"}), 0),
        (Method("one", Listener("ONE"), identity={"digest": "b"}), items),
        (Method("none", Listener("ONE"), identity={"backbone": "a"}), items),
        (Method("cascade", Listener("ONE"), identity={"backbone": "a"}), items),
    ]:
        measured(speech, tmp_path / "grid", method)
        assert isinstance(method.transcribe, Listener)
        assert method.transcribe.heard == heard
    whole, _ = measured(speech, tmp_path / "fresh", Method("one", Listener("ONE"), identity={"digest": "a"}))
    assert [replace_time(row) for row in grid_json(whole)["cells"]] == [
        replace_time(row) for row in grid_json(result)["cells"]
    ]


def replace_time(row: dict[str, object]) -> dict[str, object]:
    return row | {"seconds": 0}


def test_what_is_damaged_or_cannot_be_known_is_measured_again(speech: Path, tmp_path: Path) -> None:
    grid = replace(GRID, talkers=(2,), overlap=(0.5,), snr_db=(0.0,))
    measured(speech, tmp_path / "grid", Method("one", Listener("ONE"), identity={"digest": "a"}), grid=grid)
    (kept,) = (tmp_path / "grid/results").iterdir()
    kept.write_text(kept.read_text().replace('"hypothesis": "ONE"', '"hypothesis": "TWO"'))
    again, unknown = Listener("ONE"), Listener("ONE")
    methods = (Method("one", again, identity={"digest": "a"}), Method("strange", unknown))
    _, notes = measured(speech, tmp_path / "grid", *methods, grid=grid)
    assert (again.heard, unknown.heard) == (4, 4)
    assert any("damaged" in line for line in notes)
    assert any("'strange' does not say" in line for line in notes)
    measured(speech, tmp_path / "grid", *methods, grid=grid)
    assert (again.heard, unknown.heard) == (4, 8)


def test_numbers_tables_and_heat_map_say_the_same(speech: Path, tmp_path: Path) -> None:
    methods = (
        Method("knows|all", Listener(None), identity={"digest": "a"}),
        Method("says", Listener("WRONG"), identity={"digest": "b"}),
    )
    result, _ = measured(speech, tmp_path / "grid", *methods)
    paths = write_grid(result, tmp_path / "grid")
    numbers = json.loads(paths[0].read_text())
    assert len(numbers["cells"]) == 16
    for row in numbers["cells"]:
        wer, rejected = (0.0, 1.0) if row["method"] == "knows|all" else (1.0, 0.0)
        assert (row["wer"], row["rejection_rate"]) == (wer, rejected)
        assert row["wer_low"] <= row["wer"] <= row["wer_high"]
        assert row["words"] > 0
        assert (row["utterances"], row["silent"]) == (2, 2)
    # Two targets, whatever the number of cells; the second method against the first.
    totals = {(row["talkers"], row["least_overlap"], row["method"]): row for row in numbers["totals"]}
    assert len(totals) == 2 * 2 * 2
    assert all(row["targets"] == 2 for row in totals.values())
    assert totals[3, 0.5, "says"]["difference"]["wer"] == 1.0
    assert totals[3, 0.0, "says"]["words"] == 2 * totals[3, 0.5, "says"]["words"]
    assert "difference" not in totals[3, 0.5, "knows|all"]
    tables = grid_markdown(result)
    assert tables.count("100.0% [100, 100]") == 8 + 4
    # A bar in a name would end a cell.
    assert "knows|all" not in tables
    drawn = ET.parse(paths[2]).getroot()
    panels = [axes for axes in grid_figure(result).axes if axes.texts]
    values = [word.get_text() for axes in panels for word in axes.texts if "to" not in word.get_text()]
    assert values == ["0"] * 8 + ["100"] * 8
    titles = [axes.get_title("left") for axes in panels]
    assert titles == ["knows/all, 2 talkers", "knows/all, 3 talkers", "says, 2 talkers", "says, 3 talkers"]
    written = [node.text for node in drawn.iter() if node.tag.endswith("}text")]
    assert set(values + titles) <= set(written)
    assert not re.search(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink))", paths[2].read_text())


def test_too_few_talkers_show_before_anything_is_measured(speech: Path, tmp_path: Path) -> None:
    listener = Listener("ONE")
    with pytest.raises(DataError, match="usable talker"):
        measured(speech, tmp_path / "grid", Method("one", listener), grid=replace(GRID, talkers=(2, 12)))
    assert listener.heard == 0
