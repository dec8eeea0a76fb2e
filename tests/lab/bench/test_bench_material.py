"""What is transcribed: clips with their words, windows of nearly 30 s, mixtures with enrolled voices."""

from pathlib import Path

import numpy as np
import pytest
from speech_folder import make_speech_folder
from tiny import tone

from softspoken.errors import DataError
from softspoken_lab.bench.config import BenchConfig
from softspoken_lab.bench.material import Clip, ManifestMaterial, PackagedMaterial, long_recording, stretches
from softspoken_lab.bench.tasks import SUITES, TARGETS, Workshop


def manifest(folder: Path, talkers: int = 4, split: str = "test") -> Path:
    path = make_speech_folder(folder, talkers, utterances=2, seconds=6.0)
    path.write_text(path.read_text().replace('"train"', f'"{split}"'))
    return path


def test_the_package_has_speech_for_every_suite(tmp_path: Path) -> None:
    shop = Workshop(BenchConfig(items=4, minutes=(0.5,)), PackagedMaterial(), tmp_path, lambda text: len(text.split()))
    for name, make in SUITES.items():
        suite = make(shop)
        assert suite.name == name
        for one in suite.tasks:
            for item in one.items:
                assert item.audio.is_file()
                # The text of the suite 'overhead' is forced, whatever is said.
                assert any(item.references) or (name == "overhead" and item.tokens[0] > 0)
                assert len(item.tokens) == len(item.references) == max(len(item.voices), 1)
    followed = [len(one.items[0].voices) for one in SUITES["targets"](shop).tasks]
    assert tuple(followed) == TARGETS


def test_a_window_of_the_packages_clips_is_full() -> None:
    (window,) = stretches(PackagedMaterial().clips(None), 1)
    assert 25.0 < window.seconds <= 30.0


def test_windows_share_no_clip() -> None:
    clips = [Clip(tone(9.0, seed), f"w{seed}") for seed in range(7)]
    found = stretches(clips, 5)
    words = [word for window in found for word in window.text.split()]
    assert len(words) == len(set(words)) == 6
    assert all(window.seconds <= 30.0 for window in found)


def test_a_long_recording_repeats_the_clips() -> None:
    found = long_recording([Clip(tone(4.0, 0), "a"), Clip(tone(5.0, 1), "b")], 20.0)
    assert found.text.split() == ["a", "b", "a", "b"]
    assert found.seconds <= 20.0


def test_clips_of_a_manifest_are_drawn_once_by_the_seed(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    one, same = (ManifestMaterial(path, 3).clips(4) for _ in range(2))
    assert [clip.text for clip in one] == [clip.text for clip in same]
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(one, same, strict=True))
    assert len(ManifestMaterial(path, 3).clips(None)) == 8


def test_all_voices_of_a_manifests_scene_speak_in_it(tmp_path: Path) -> None:
    (scene,) = ManifestMaterial(manifest(tmp_path), 0).scenes(1, 4)
    assert all(voice.text for voice in scene.voices)
    assert float(np.abs(scene.audio).max()) <= 1.0
    assert len({voice.enrolment.tobytes() for voice in scene.voices}) == 4
    # Two pairs of utterances of 6 s, the second of a pair a second late.
    assert len(scene.audio) / 16_000 == pytest.approx(2 * 7.0, abs=0.5)


def test_all_voices_of_the_packages_scenes_speak_in_them() -> None:
    scenes = PackagedMaterial().scenes(3, 4)
    assert len(scenes) == 3
    for scene in scenes:
        assert all(voice.text for voice in scene.voices)
        assert len({voice.enrolment.tobytes() for voice in scene.voices}) == 4


def test_speech_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no talker of split 'test'"):
        ManifestMaterial(manifest(tmp_path / "train", split="train"), 0)
    with pytest.raises(DataError, match="needs 4; leave --speech out") as caught:
        ManifestMaterial(manifest(tmp_path / "few", talkers=3), 0).scenes(1, 4)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no manifest at"):
        ManifestMaterial(tmp_path / "nowhere.jsonl", 0)
