"""LibriSpeechMix, from small folders in its exact layout: what is asked, with whose other speech."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mixture_folders import make_librispeechmix, utterance_s
from prepared_mixtures import enrolled_with, prepare, remove

from softspoken.audio import load_audio
from softspoken.errors import DataError
from softspoken.evaluation.manifest import read_evaluation_manifest


@pytest.fixture(scope="module")
def librispeechmix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_librispeechmix(tmp_path_factory.mktemp("librispeechmix"))


def test_librispeechmix_enrols_with_its_own_profiles(librispeechmix: Path, tmp_path) -> None:
    parts = prepare("librispeechmix", librispeechmix, tmp_path, silent_per_mixture=2)
    assert {name: rows[0]["split"] for name, rows in parts.items()} == {
        "dev-clean-2mix": "development",
        "test-clean-2mix": "test",
    }
    one, other, silent = parts["test-clean-2mix"]
    assert [(row["target"], row["text"]) for row in (one, other, silent)] == [
        ("librispeech_test-clean:61", "one one"),
        ("librispeech_test-clean:121", "two two"),
        # The one profile whose reader is not in the mixture.
        ("librispeech_test-clean:237", ""),
    ]
    for row, speaker in ((one, "61"), (other, "121"), (silent, "237")):
        assert enrolled_with(row) == {f"{speaker}-7-0002", f"{speaker}-7-0005"}
        assert soundfile.info(row["enrolment"][0]).duration == utterance_s(2) + utterance_s(5)
    tracks = [load_audio(row["clean"]) for row in (one, other)]
    np.testing.assert_allclose(tracks[0] + tracks[1], load_audio(one["audio"]), atol=1e-4)
    assert not tracks[1][: int(1.23456 * 16_000)].any()
    assert len(read_evaluation_manifest(tmp_path / "test-clean-2mix" / "manifest.jsonl")) == 3


def test_lists_of_librispeechmix_with_other_profiles_are_chosen_by_name(librispeechmix: Path, tmp_path) -> None:
    rows = prepare("librispeechmix", librispeechmix, tmp_path, "test-clean-2mix-8prof-1utt")
    assert {len(row["enrolment_sources"]) for row in rows["test-clean-2mix-8prof-1utt"]} == {1}


def change_list(root: Path, **changes: object) -> None:
    path = root / "list" / "test-clean-2mix.jsonl"
    row = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in row.items() if value is not None}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda root: change_list(root, speaker_profile=None),
            "no 'speaker_profile'; use LibriSpeechMix's lists",
        ),
        (lambda root: change_list(root, texts=["ONE"]), "'texts' does not fit 'wavs'"),
        (
            lambda root: change_list(root, speaker_profile_index=[0, 1]),
            "profile 0 is not that of librispeech_test-clean:61",
        ),
        (lambda root: change_list(root, speaker_profile_index=[9, 1]), "'speaker_profile' does not fit 'wavs'"),
        (lambda root: remove(root / "data/test-clean-2mix/test-clean-2mix-0000.wav"), "LibriSpeechMix is not complete"),
        (
            lambda root: (root / "data").rename(root / "dada"),
            "has no folder 'data'; make the mixtures with its own run.sh",
        ),
        (lambda root: (root / "list").rename(root / "lost"), "has no folder 'list'"),
    ],
)
def test_what_is_wrong_with_librispeechmix_is_said(tmp_path, damage: Callable[[Path], object], said: str) -> None:
    damage(make_librispeechmix(tmp_path / "corpus"))
    with pytest.raises(DataError, match=said):
        prepare("librispeechmix", tmp_path / "corpus", tmp_path / "out", "test-clean-2mix")
