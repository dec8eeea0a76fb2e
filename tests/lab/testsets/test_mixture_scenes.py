"""Talkers in rooms and in noise at exact levels: measured on what was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_mixtures import rows_of, tracks_of
from made_speech import write_speech
from noise_folder import make_noise_folder

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.data.levels import speech_power
from softspoken.errors import ConfigError
from softspoken_lab.noise.bank import read_noise
from softspoken_lab.testsets import surroundings
from softspoken_lab.testsets.placement import speech_stretch
from softspoken_lab.testsets.rooms import Response, draw_room, reverberation_time_s
from softspoken_lab.testsets.scenes import SceneSpec, build_scenes

FRAME_S = 0.02


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech"), talkers=5)


def cell(**options: Any) -> SceneSpec:
    """A mixture as a grid asks for it."""
    given: dict[str, Any] = {"count": 2, "overlap_of": "stretches", "targets": "first", "seed": 4}
    return SceneSpec(**given | options)


def test_noise_has_exactly_its_level_against_the_first_talker(speech: Path, tmp_path: Path) -> None:
    noise = read_noise(make_noise_folder(tmp_path / "noise", clips=1), "test")
    spec = cell(count=3, targets="all", noise_snr_db=(3.0, 6.0), silent_per_mixture=0)
    manifest = build_scenes(speech, tmp_path / "out", spec, noise)
    rows = rows_of(manifest)
    assert len(rows) == 6
    for row in rows:
        tracks = tracks_of(manifest, row)
        added = load_audio(manifest.parent / row["audio"]) - sum(tracks)
        own = load_audio(manifest.parent / row["clean"])
        assert 10 * np.log10(speech_power(own) / np.mean(added**2)) == pytest.approx(row["noise_snr_db"], abs=0.05)
        assert noise.clip(row["noise"]["id"]).category == row["noise"]["category"]
    assert all(3.0 <= row["noise_snr_db"] <= 6.0 for row in rows if row["target"] == row["talkers"][0])
    quiet = build_scenes(speech, tmp_path / "quiet", cell(count=3, targets="all", silent_per_mixture=0))
    assert [row["sources"] for row in rows_of(quiet)] == [row["sources"] for row in rows]


def test_a_room_is_heard_described_and_left_out_of_the_clean_target(speech: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyroomacoustics", reason="the extra 'rooms' is not installed")
    spec = cell(count=1, talkers=3, overlap=(0.5, 0.5), snr_db=(3.0, 3.0), rt60_s=(0.25, 0.35))
    manifest = build_scenes(speech, tmp_path / "out", spec)
    dry = build_scenes(speech, tmp_path / "dry", cell(count=1, talkers=3, overlap=(0.5, 0.5), snr_db=(3.0, 3.0)))
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
    again = build_scenes(speech, tmp_path / "again", spec)
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
    assert not later & set(SceneSpec(seed=3).as_dict())
    assert SceneSpec(rt60_s=(0.2, 0.4)).as_dict()["rt60_s"] == (0.2, 0.4)
    with pytest.raises(ConfigError, match="reverberation"):
        SceneSpec(rt60_s=(0.2, 9.0))
    with pytest.raises(ConfigError, match="noise_snr_db"):
        SceneSpec(noise_snr_db=(5.0, 0.0))
    with pytest.raises(ConfigError, match="give both or neither"):
        build_scenes(speech, tmp_path / "out", cell(noise_snr_db=(5.0, 5.0)))
