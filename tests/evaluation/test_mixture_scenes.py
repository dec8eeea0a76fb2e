"""Any number of talkers at exact overlaps and levels, in rooms and in noise: measured on what was written."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_speech import write_speech
from noise_folder import make_noise_folder

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.levels import speech_power
from softspoken.data.noise import read_noise
from softspoken.errors import ConfigError
from softspoken.evaluation import surroundings
from softspoken.evaluation.mixtures import MixtureSpec, build_mixtures
from softspoken.evaluation.placement import covered_share, place_around, speech_stretch, stretch_overlap
from softspoken.evaluation.rooms import Response, draw_room, reverberation_time_s

FRAME_S = 0.02


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech"), talkers=5)


def cell(**options: Any) -> MixtureSpec:
    """A mixture as a grid asks for it."""
    given: dict[str, Any] = {"count": 2, "overlap_of": "stretches", "targets": "first", "seed": 4}
    return MixtureSpec(**given | options)


def rows_of(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def tracks_of(manifest: Path, row: dict[str, Any]) -> list[np.ndarray]:
    """Every talker of a row's mixture alone, the first one first."""
    name = Path(row["audio"]).stem
    return [load_audio(manifest.parent / f"clean/{name}-{k}.flac") for k in range(len(row["talkers"]))]


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


def test_noise_has_exactly_its_level_against_the_first_talker(speech: Path, tmp_path: Path) -> None:
    noise = read_noise(make_noise_folder(tmp_path / "noise", clips=1), "test")
    spec = cell(count=3, targets="all", noise_snr_db=(3.0, 6.0), silent_per_mixture=0)
    manifest = build_mixtures(speech, tmp_path / "out", spec, noise)
    rows = rows_of(manifest)
    assert len(rows) == 6
    for row in rows:
        tracks = tracks_of(manifest, row)
        added = load_audio(manifest.parent / row["audio"]) - sum(tracks)
        own = load_audio(manifest.parent / row["clean"])
        assert 10 * np.log10(speech_power(own) / np.mean(added**2)) == pytest.approx(row["noise_snr_db"], abs=0.05)
        assert noise.clip(row["noise"]["id"]).category == row["noise"]["category"]
    assert all(3.0 <= row["noise_snr_db"] <= 6.0 for row in rows if row["target"] == row["talkers"][0])
    quiet = build_mixtures(speech, tmp_path / "quiet", cell(count=3, targets="all", silent_per_mixture=0))
    assert [row["sources"] for row in rows_of(quiet)] == [row["sources"] for row in rows]


def test_a_room_is_heard_described_and_left_out_of_the_clean_target(speech: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyroomacoustics", reason="the extra 'rooms' is not installed")
    spec = cell(count=1, talkers=3, overlap=(0.5, 0.5), snr_db=(3.0, 3.0), rt60_s=(0.25, 0.35))
    manifest = build_mixtures(speech, tmp_path / "out", spec)
    dry = build_mixtures(speech, tmp_path / "dry", cell(count=1, talkers=3, overlap=(0.5, 0.5), snr_db=(3.0, 3.0)))
    for row, dry_row in zip(rows_of(manifest), rows_of(dry), strict=True):
        room = row["room"]
        assert 0.25 <= room["rt60_asked_s"] <= 0.35
        assert room["rt60_s"] == pytest.approx(room["rt60_asked_s"], rel=0.3)
        assert len(room["talkers_m"]) == 3
        assert all(
            0.0 < value < size for at in room["talkers_m"] for value, size in zip(at, room["size_m"], strict=True)
        )
        assert row["sources"] == dry_row["sources"]
        if not row["text"]:
            continue
        early = tracks_of(manifest, row)
        # Levels and places are those of the early sound.
        first, *others = map(speech_power, early)
        assert 10 * np.log10([first / other for other in others]) == pytest.approx([3.0, 3.0], abs=0.05)
        for wet, track in zip(early, tracks_of(dry, dry_row), strict=True):
            assert np.abs(np.subtract(speech_stretch(wet), speech_stretch(track))).max() * FRAME_S <= 0.06
        # What is in the mixture but in no clean track is the late sound, which goes on after the last word.
        mixed = load_audio(manifest.parent / row["audio"])
        late = mixed - sum(early)
        assert np.mean(late**2) > 0.01 * np.mean(mixed**2)
        end = max(speech_stretch(track)[1] for track in early) * round(FRAME_S * SAMPLE_RATE_HZ)
        assert np.mean(late[end : end + 1600] ** 2) > np.mean(late[-1600:] ** 2)
    surroundings._room.cache_clear()
    again = build_mixtures(speech, tmp_path / "again", spec)
    for file in (path.relative_to(manifest.parent) for path in manifest.parent.rglob("*.*")):
        assert (again.parent / file).read_bytes() == (manifest.parent / file).read_bytes()


def test_the_reverberation_time_is_that_of_the_fall_and_early_sound_is_what_comes_early() -> None:
    seconds = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    samples = (np.random.default_rng(0).standard_normal(seconds.size) * 10 ** (-3 * seconds / 0.4)).astype(np.float32)
    response = Response(samples, 0)
    assert reverberation_time_s([response]) == pytest.approx(0.4, rel=0.03)
    click = np.zeros(100, dtype=np.float32)
    click[0] = 1.0
    early, heard = response.early(click), response.heard(click)
    assert early.size == heard.size
    assert early[:800] == pytest.approx(heard[:800], abs=1e-5)
    assert np.abs(early[800:]).max() < 1e-5
    assert np.allclose(heard[: samples.size], samples, atol=1e-5)
    # The way through the air is not part of when somebody speaks.
    late = Response(np.concatenate([np.zeros(50, dtype=np.float32), samples]), 50)
    assert np.allclose(late.heard(click), heard, atol=1e-5)


def test_rooms_hold_their_talkers_apart() -> None:
    for seed in range(20):
        room = draw_room(np.random.default_rng(seed), 4, (0.2, 0.6))
        places = np.array(room.talkers_m)
        assert all(0.5 <= distance_m <= 2.5 for distance_m in room.distances_m)
        gaps = np.linalg.norm(places[:, None] - places[None], axis=-1)[np.triu_indices(4, 1)]
        assert gaps.min() >= 0.499
        assert 0.0 < room.absorption < 1.0
    with pytest.raises(ConfigError, match="no place for 60 talkers"):
        draw_room(np.random.default_rng(0), 60, (0.2, 0.6))


def test_options_of_before_are_written_as_before_and_impossible_ones_refused(speech: Path, tmp_path: Path) -> None:
    later = {"overlap_of", "targets", "noise_snr_db", "rt60_s"}
    assert not later & set(MixtureSpec(seed=3).as_dict())
    assert MixtureSpec(rt60_s=(0.2, 0.4)).as_dict()["rt60_s"] == (0.2, 0.4)
    with pytest.raises(ConfigError, match="reverberation"):
        MixtureSpec(rt60_s=(0.2, 9.0))
    with pytest.raises(ConfigError, match="noise_snr_db"):
        MixtureSpec(noise_snr_db=(5.0, 0.0))
    with pytest.raises(ConfigError, match="give both or neither"):
        build_mixtures(speech, tmp_path / "out", cell(noise_snr_db=(5.0, 5.0)))
