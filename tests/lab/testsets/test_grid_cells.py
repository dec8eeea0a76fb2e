import json
from pathlib import Path

import pytest
from made_speech import write_speech

from softspoken.errors import ConfigError, DataError
from softspoken_lab.testsets.grid import Cell, GridSpec, make_cell

SMALL = GridSpec(talkers=(2, 3), overlap=(0.0, 1.0), snr_db=(-5.0, 5.0), mixtures=2)


def test_a_cell_is_what_it_says_and_three_talkers_are_as_loud_together_as_two(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech", talkers=4)
    assert len(SMALL.cells) == 8
    for cell in (Cell(2, 1.0, 5.0), Cell(3, 1.0, 5.0)):
        made = make_cell(SMALL, cell, speech, tmp_path / "cells")
        rows = [json.loads(line) for line in made.manifest.read_text().splitlines()]
        spoken = [row for row in rows if row["text"]]
        assert len(spoken) == len(rows) - len(spoken) == 2
        assert all(len(row["talkers"]) == cell.talkers for row in rows)
        assert [row["snr_db"] for row in spoken] == pytest.approx([5.0, 5.0], abs=0.01)
        assert all(row["overlap"] == pytest.approx(1.0, abs=0.01) for row in rows)
        assert 0.0 < made.covered <= 1.0


def test_a_cell_is_made_once_and_again_when_anything_changes(tmp_path: Path) -> None:
    speech = write_speech(tmp_path / "speech", talkers=4)
    cell = SMALL.cells[0]
    first = make_cell(SMALL, cell, speech, tmp_path / "cells")
    digest = first.digest
    before = first.manifest.stat().st_mtime_ns
    again = make_cell(SMALL, cell, speech, tmp_path / "cells")
    assert (again.manifest, again.manifest.stat().st_mtime_ns) == (first.manifest, before)
    other_seed = GridSpec(talkers=(2,), overlap=(0.0,), snr_db=(-5.0,), mixtures=2, seed=1)
    assert make_cell(other_seed, cell, speech, tmp_path / "cells").manifest != first.manifest
    # A smaller grid has the same cell; the digest knows of every file.
    same = GridSpec(talkers=(2,), overlap=(0.0,), snr_db=(-5.0,), mixtures=2)
    assert make_cell(same, cell, speech, tmp_path / "cells").digest == digest
    next(first.manifest.parent.glob("enrolments/*")).write_bytes(b"other")
    assert again.digest != digest
    speech.write_text(speech.read_text() + "\n")
    assert make_cell(SMALL, cell, speech, tmp_path / "cells").manifest != first.manifest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"talkers": (1, 2)}, "no overlap and no level"),
        ({"overlap": (0.5, 1.5)}, "shares between 0 and 1"),
        ({"snr_db": ()}, "at least one"),
        ({"snr_db": (0.0, 0.0)}, "each once"),
        ({"mixtures": 0}, "at least one mixture"),
        ({"rt60_s": (0.0, 0.1)}, "reverberation"),
    ],
)
def test_impossible_grids_are_refused_before_anything_is_made(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GridSpec(**options)  # type: ignore[arg-type]


def test_missing_speech_is_an_expected_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no manifest at"):
        make_cell(SMALL, SMALL.cells[0], tmp_path / "none.jsonl", tmp_path / "cells")
