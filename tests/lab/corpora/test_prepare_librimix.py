"""LibriMix, from small folders in its exact layout: what is asked, with whose other speech."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mixture_folders import make_librimix, utterance_s
from prepared_mixtures import by_id, enrolled_with, prepare, remove, sources_of

from softspoken.audio import load_audio
from softspoken.errors import ConfigError, DataError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken_lab.corpora.mixture_corpus import MixtureOptions
from softspoken_lab.corpora.prepare_mixtures import prepare_mixtures


@pytest.fixture(scope="module")
def libri2mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Libri2Mix, max alone, beside LibriSpeech."""
    root = tmp_path_factory.mktemp("storage")
    make_librimix(root)
    return root


@pytest.fixture(scope="module")
def at_8_khz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage8k")
    make_librimix(root, rate_hz=8000)
    return root


@pytest.fixture
def damaged(libri2mix: Path, tmp_path: Path) -> Path:
    """A copy of Libri2Mix and LibriSpeech to be damaged."""
    return Path(shutil.copytree(libri2mix, tmp_path / "storage"))


@pytest.fixture(scope="module")
def librimix(libri2mix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Libri2Mix, max and min, and Libri3Mix, beside LibriSpeech."""
    root = Path(shutil.copytree(libri2mix, tmp_path_factory.mktemp("both") / "storage"))
    make_librimix(root, "min")
    make_librimix(root, talkers=3)
    return root


def test_librimix_asks_for_every_talker_with_their_words_in_librispeech(librimix: Path, tmp_path) -> None:
    parts = prepare("librimix", librimix / "Libri2Mix", tmp_path)
    assert {name: {row["split"] for row in rows} for name, rows in parts.items()} == {
        "train-100": {"train"},
        "dev": {"development"},
        "test": {"test"},
    }
    rows = by_id(parts["test"])
    assert {name: (row["target"], row["text"]) for name, row in rows.items()} == {
        "61-7-0000_121-7-0003-0": ("librispeech_test-clean:61", "one one"),
        "61-7-0000_121-7-0003-1": ("librispeech_test-clean:121", "two four"),
        "237-7-0001_61-7-0002-0": ("librispeech_test-clean:237", "three two"),
        "237-7-0001_61-7-0002-1": ("librispeech_test-clean:61", "one three"),
    }
    one, other = (load_audio(rows[f"61-7-0000_121-7-0003-{number}"]["clean"]) for number in (0, 1))
    np.testing.assert_allclose(one + other, load_audio(rows["61-7-0000_121-7-0003-0"]["audio"]), atol=1e-4)
    assert not one[round(utterance_s(0) * 16_000) :].any()


def test_librimix_enrols_with_15_s_of_the_same_reader_that_are_not_in_the_mixture(librimix: Path, tmp_path) -> None:
    for rows in prepare("librimix", librimix / "Libri2Mix", tmp_path).values():
        for row in rows:
            speaker = row["target"].partition(":")[2]
            assert {name.partition("-")[0] for name in enrolled_with(row)} == {speaker}
            assert not enrolled_with(row) & sources_of(row)
            seconds = sum(soundfile.info(path).duration for path in row["enrolment"])
            assert seconds == sum(utterance_s(int(name[-1])) for name in enrolled_with(row))
            assert 15.0 <= seconds < 30.0


def test_librimix_is_read_by_evaluate_and_lists_files_where_it_trains(librimix: Path, tmp_path) -> None:
    parts = prepare("librimix", librimix / "Libri2Mix", tmp_path)
    for name in ("dev", "test"):
        items = read_evaluation_manifest(tmp_path / name / "manifest.jsonl")
        assert [item.id for item in items] == [row["id"] for row in parts[name]]
        assert all(item.clean is not None and not item.silent for item in items)
    assert sorted(path.name for path in (tmp_path / "train-100").iterdir()) == ["manifest.jsonl", "spec.json"]
    assert all("LibriSpeech/train-clean-100" in str(path) for row in parts["train-100"] for path in row["enrolment"])


def test_a_seed_fixes_enrolments(librimix: Path, tmp_path) -> None:
    def enrolments(name: str, seed: int) -> list[list[dict]]:
        rows = prepare("librimix", librimix / "Libri2Mix", tmp_path / name, "test", seed=seed)["test"]
        return [row["enrolment_sources"] for row in rows]

    first = enrolments("first", 4)
    assert enrolments("again", 4) == first
    assert enrolments("other", 5) != first
    manifests = [(tmp_path / name / "test" / "manifest.jsonl").read_bytes() for name in ("first", "again")]
    assert manifests[0] == manifests[1]
    assert json.loads((tmp_path / "first" / "test" / "spec.json").read_text())["seed"] == 4


def test_min_asks_only_for_talkers_who_are_heard_to_the_end(librimix: Path, tmp_path) -> None:
    (part,) = prepare_mixtures(
        "librimix", librimix / "Libri2Mix", tmp_path, ["test"], MixtureOptions(variant="min/mix_both")
    )
    items = read_evaluation_manifest(part.manifest)
    assert [item.text for item in items] == ["one one", "three two"]
    assert list(part.left_out.values()) == [2]
    assert {load_audio(item.audio).size for item in items} == {
        round(utterance_s(0) * 16_000),
        round(utterance_s(1) * 16_000),
    }
    assert all("min/test/mix_both" in str(item.audio) for item in items)


def test_libri3mix_has_three_targets_a_mixture(librimix: Path, tmp_path) -> None:
    rows = prepare("librimix", librimix / "Libri3Mix", tmp_path, "test", variant="max/mix_both")["test"]
    assert len(rows) == 6
    assert all(len(row["talkers"]) == 3 and len(row["interferer"]) == 2 for row in rows)
    assert {row["clean"].parent.name for row in rows} == {"s1", "s2", "s3"}


def test_silent_targets_are_somebody_else(librimix: Path, tmp_path) -> None:
    rows = prepare("librimix", librimix / "Libri2Mix", tmp_path, "test", silent_per_mixture=1)["test"]
    silent = [row for row in rows if not row["text"]]
    assert len(silent) == 2
    for row in silent:
        assert row["target"] not in row["talkers"]
        assert row["tags"] == ["silent"]
        assert "clean" not in row
    assert all(item.silent for item in read_evaluation_manifest(tmp_path / "test" / "manifest.jsonl")[2::3])


@pytest.mark.parametrize("place", ["", "Libri2Mix", "Libri2Mix/wav16k", "Libri2Mix/wav16k/max"])
def test_librimix_is_found_from_above_and_below(libri2mix: Path, tmp_path, place: str) -> None:
    assert len(prepare("librimix", libri2mix / place, tmp_path / "out", "test")["test"]) == 4


def test_two_librimixes_at_once_are_refused(librimix: Path, tmp_path) -> None:
    with pytest.raises(DataError, match=r"Libri2Mix/wav16k/max and .*Libri3Mix/wav16k/max; give one of them"):
        prepare("librimix", librimix, tmp_path)


@pytest.mark.parametrize("place", ["", "Libri2Mix", "Libri2Mix/wav8k", "Libri2Mix/wav8k/max"])
def test_8_khz_is_refused_and_why_is_said(at_8_khz: Path, tmp_path, place: str) -> None:
    with pytest.raises(DataError, match=r"LibriMix at 8 kHz alone; 16000 Hz are needed, .*'--freqs 16k'") as error:
        prepare("librimix", at_8_khz / place, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_8_khz_recordings_in_a_folder_of_that_name_are_refused(at_8_khz: Path, tmp_path) -> None:
    shutil.copytree(at_8_khz, tmp_path / "storage")
    (tmp_path / "storage" / "Libri2Mix" / "wav8k").rename(tmp_path / "storage" / "Libri2Mix" / "wav16k")
    with pytest.raises(DataError, match="has 8000 Hz, 16000 Hz are needed"):
        prepare("librimix", tmp_path / "storage" / "Libri2Mix", tmp_path / "out", "test")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda root: remove(root / "Libri2Mix/wav16k/max/metadata/mixture_test_mix_clean.csv"),
            "has recordings of 'test', but no 'metadata/mixture_test_mix_clean.csv'",
        ),
        (
            lambda root: remove(root / "Libri2Mix/wav16k/max/test/mix_clean/61-7-0000_121-7-0003.wav"),
            "LibriMix is not complete: no '.*mix_clean/61-7-0000_121-7-0003.wav'",
        ),
        (
            lambda root: remove(root / "Libri2Mix/wav16k/max/test/s2/61-7-0000_121-7-0003.wav"),
            "LibriMix is not complete: no '.*s2/61-7-0000_121-7-0003.wav'",
        ),
        (
            lambda root: remove(root / "LibriSpeech/test-clean/61/7/61-7.trans.txt"),
            "LibriSpeech's transcripts have no '61-7-0000'",
        ),
        (
            lambda root: [remove(path) for path in (root / "LibriSpeech/test-clean").rglob("*.trans.txt")],
            r"test-clean' has no transcripts \(\*.trans.txt\)",
        ),
        (lambda root: (root / "LibriSpeech").rename(root / "Elsewhere"), "no LibriSpeech at '.*give --librispeech"),
        (
            lambda root: soundfile.write(
                root / "Libri2Mix/wav16k/max/test/mix_clean/61-7-0000_121-7-0003.wav", np.zeros(800), 16_000
            ),
            r"has 800 samples, 'mixture_test_mix_clean.csv' says 60000; generate it again",
        ),
        (
            lambda root: (root / "Libri2Mix/wav16k/max/metadata/mixture_test_mix_clean.csv").write_text(
                "mixture_ID,mixture_path,source_1_path,length\n"
            ),
            "has no column 'source_2_path'",
        ),
    ],
)
def test_what_is_missing_of_librimix_is_named(
    damaged: Path, tmp_path, damage: Callable[[Path], object], said: str
) -> None:
    damage(damaged)
    with pytest.raises((DataError, ConfigError), match=said) as error:
        prepare("librimix", damaged / "Libri2Mix", tmp_path / "out", "test")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").glob("*")), "nothing is left of a part that failed"


def test_a_part_that_was_not_generated_is_refused(librimix: Path, tmp_path) -> None:
    with pytest.raises(DataError, match="has no part 'train-360'; it has: train-100, dev, test"):
        prepare("librimix", librimix / "Libri2Mix", tmp_path, "train-360")


def test_librispeech_may_lie_elsewhere(damaged: Path, tmp_path) -> None:
    (damaged / "LibriSpeech").rename(tmp_path / "speech")
    assert prepare("librimix", damaged / "Libri2Mix", tmp_path / "out", "dev", librispeech=tmp_path / "speech")


def test_too_little_other_speech_is_used_as_far_as_it_goes_and_none_is_left_out(damaged: Path, tmp_path) -> None:
    lists = damaged / "LibriSpeech" / "dev-clean"
    for speaker, kept in (("84", 2), ("174", 0)):
        file = lists / speaker / "7" / f"{speaker}-7.trans.txt"
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(lines[:kept] if kept else lines[3:4]))
    (part,) = prepare_mixtures("librimix", damaged / "Libri2Mix", tmp_path / "out", ["dev"])
    (item,) = read_evaluation_manifest(part.manifest)
    assert (item.text, soundfile.info(item.enrolment).duration) == ("one one", utterance_s(1))
    assert part.left_out == {"with under 3 s of other speech to enrol with": 1}
