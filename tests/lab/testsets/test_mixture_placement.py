"""Any number of talkers at exact overlaps and levels: measured on what was written."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_mixtures import rows_of, tracks_of
from made_speech import write_speech

from softspoken.data.levels import speech_power
from softspoken_lab.testsets.mixtures import MixtureSpec, build_mixtures
from softspoken_lab.testsets.placement import covered_share, place_around, speech_stretch, stretch_overlap


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech"), talkers=5)


def cell(**options: Any) -> MixtureSpec:
    """A mixture as a grid asks for it."""
    given: dict[str, Any] = {"count": 2, "overlap_of": "stretches", "targets": "first", "seed": 4}
    return MixtureSpec(**given | options)


@pytest.mark.parametrize("talkers", [2, 3, 4])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_every_further_talker_overlaps_the_first_by_the_asked_share(
    speech: Path, tmp_path: Path, talkers: int, share: float
) -> None:
    manifest = build_mixtures(speech, tmp_path / "out", cell(talkers=talkers, overlap=(share, share)))
    spoken = [row for row in rows_of(manifest) if row["text"]]
    # The first alone is a target.
    assert [row["target"] for row in spoken] == [row["talkers"][0] for row in spoken]
    assert len(spoken) == 2
    for row in spoken:
        first, *others = (speech_stretch(track) for track in tracks_of(manifest, row))
        for other in others:
            shorter = min(first[1] - first[0], other[1] - other[0])
            assert abs(stretch_overlap(first, other) - share) <= 0.5 / shorter + 1e-9
        assert abs(row["overlap"] - share) <= 0.01
        assert row["covered"] == pytest.approx(covered_share(first, others), abs=1e-4)
        if share < 1.0 and len(others) > 1:
            # On alternate sides.
            starts = [other[0] < first[0] for other in others]
            assert all(a != b for a, b in pairwise(starts))
    if share == 0.0:
        assert all(row["covered"] == 0.0 for row in spoken)


@pytest.mark.parametrize(("talkers", "snr_db"), [(2, -5.0), (3, 10.0)])
def test_the_target_has_exactly_the_asked_level_against_each_other(
    speech: Path, tmp_path: Path, talkers: int, snr_db: float
) -> None:
    manifest = build_mixtures(speech, tmp_path / "out", cell(talkers=talkers, snr_db=(snr_db, snr_db)))
    for row in rows_of(manifest):
        first, *others = map(speech_power, tracks_of(manifest, row))
        assert 10 * np.log10([first / other for other in others]) == pytest.approx([snr_db] * (talkers - 1), abs=0.05)
        if row["text"]:
            assert row["snr_db"] == pytest.approx(10 * np.log10(first / sum(others)), abs=0.05)


def test_one_seed_gives_the_same_targets_whatever_is_around_them(speech: Path, tmp_path: Path) -> None:
    """So that the cells of a grid differ in nothing but what the cell is."""
    specs = [
        cell(overlap=(0.0, 0.0), count=4),
        cell(overlap=(1.0, 1.0), snr_db=(-5.0, -5.0), count=4),
        cell(talkers=3, overlap=(0.5, 0.5), count=4),
    ]
    found = []
    for number, spec in enumerate(specs):
        manifest = build_mixtures(speech, tmp_path / str(number), spec)
        spoken = [row for row in rows_of(manifest) if row["text"]]
        enrolments = [(manifest.parent / row["enrolment"]).read_bytes() for row in spoken]
        found.append([(row["target"], row["sources"][0]["utterance"]) for row in spoken] + enrolments)
        pairs = [row["talkers"] for row in spoken]
        assert number == 2 or pairs == [row["talkers"] for row in rows_of(tmp_path / "0/manifest.jsonl") if row["text"]]
    assert found[0] == found[1] == found[2]
    # All talkers take their turns.
    assert len({target for target, _ in found[0][:4]}) == 4


def test_a_share_is_had_on_both_sides_and_anywhere_inside() -> None:
    rng = np.random.default_rng(0)
    inside = [place_around([(3, 103), (5, 25)], [1.0], rng)[1] for _ in range(40)]
    assert all(by + 5 >= 3 and by + 25 <= 103 for by in inside)
    assert len(set(inside)) > 10
    beside = {place_around([(3, 103), (5, 25)], [0.5], rng)[1] for _ in range(40)}
    assert beside == {3 + 10 - 25, 103 - 10 - 5}
