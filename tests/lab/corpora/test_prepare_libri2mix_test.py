"""A list of Libri2Mix's mixtures: sums, enrolments and texts as the list says."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from prepared_mixtures import enrolled_with, prepare, remove
from voices import voice

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.errors import DataError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken_lab.corpora.check import check
from softspoken_lab.corpora.mixture_corpus import MixtureOptions
from softspoken_lab.corpora.prepare_libri2mix_test import HIGHEST_PEAK, PART, libri2mix_test

SECONDS = {"61-1-0": 3.0, "61-1-1": 4.0, "121-2-0": 3.5, "121-2-1": 5.0, "237-3-0": 3.25, "237-3-1": 3.0}
LOUD_GAIN = 20.0


def mixture(one: str, other: str, gain: float = 0.5, enrolments: tuple[str, str] | None = None) -> dict[str, object]:
    first, second = (f"{name[:-1]}1" for name in (one, other)) if enrolments is None else enrolments
    return {
        "id": f"{one}_{other}",
        "source_1": one,
        "gain_1": gain,
        "source_2": other,
        "gain_2": 0.25,
        "enrolment_1": first,
        "enrolment_2": second,
    }


MIXTURES = (
    mixture("61-1-0", "121-2-0"),
    mixture("121-2-0", "237-3-0", LOUD_GAIN, enrolments=("121-2-1", "237-3-0")),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "libri2mix_test"
    (folder / "speech").mkdir(parents=True)
    rows = []
    for number, (name, seconds) in enumerate(SECONDS.items()):
        audio = voice(seconds, 200.0 + 100.0 * number, seed=number)
        soundfile.write(folder / "speech" / f"{name}.flac", audio, SAMPLE_RATE_HZ)
        speaker = name.partition("-")[0]
        facts = {"id": name, "path": f"speech/{name}.flac", "speaker": speaker, "corpus": "librispeech_test-clean"}
        rows.append(facts | {"text": f"TALKER {speaker}"})
    write_lines(folder / "speech.jsonl", rows)
    write_lines(folder / "mixtures.jsonl", MIXTURES)
    return folder


def write_lines(path: Path, rows: object) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))  # type: ignore[attr-defined]


def utterance(source: Path, name: str) -> np.ndarray:
    return load_audio(source / "speech" / f"{name}.flac")


def test_both_talkers_are_targets_of_their_sum(source: Path, tmp_path: Path) -> None:
    rows = prepare(PART, source, tmp_path / "out")[PART]
    one, other = rows[:2]
    assert [(row["target"], row["text"], row["split"]) for row in (one, other)] == [
        ("librispeech_test-clean:61", "talker 61", "test"),
        ("librispeech_test-clean:121", "talker 121", "test"),
    ]
    assert (enrolled_with(one), enrolled_with(other)) == ({"61-1-1"}, {"121-2-1"})
    np.testing.assert_array_equal(load_audio(one["enrolment"][0]), utterance(source, "61-1-1"))
    first, second = 0.5 * utterance(source, "61-1-0"), 0.25 * utterance(source, "121-2-0")
    mixed = second.copy()
    mixed[: len(first)] += first
    np.testing.assert_allclose(load_audio(one["audio"]), mixed, atol=1e-4)
    np.testing.assert_allclose(load_audio(other["clean"]), second, atol=1e-4)
    alone = load_audio(one["clean"])
    assert len(alone) == len(mixed)
    assert not alone[len(first) :].any()
    assert len(read_evaluation_manifest(tmp_path / "out" / PART / "manifest.jsonl")) == len(rows) == 2 * len(MIXTURES)


def test_a_sum_that_would_clip_is_scaled_with_its_parts(source: Path, tmp_path: Path) -> None:
    one, other = prepare(PART, source, tmp_path / "out")[PART][2:]
    mixed, first, second = (load_audio(path) for path in (one["audio"], one["clean"], other["clean"]))
    assert 0.9 * HIGHEST_PEAK < max(np.abs(mixed).max(), np.abs(first).max()) <= HIGHEST_PEAK + 1e-4
    np.testing.assert_allclose(first + second, mixed, atol=1e-4)
    # Their levels to each other are those of the list.
    loud, quiet = LOUD_GAIN * utterance(source, "121-2-0"), 0.25 * utterance(source, "237-3-0")
    assert first.std() / second.std() == pytest.approx(
        loud.std() / np.pad(quiet, (0, len(loud) - len(quiet))).std(), rel=0.01
    )


def test_a_target_enrolled_with_its_own_utterance_is_tagged(source: Path, tmp_path: Path) -> None:
    rows = prepare(PART, source, tmp_path / "out")[PART]
    assert [row["tags"] for row in rows] == [["speaking"]] * 3 + [["speaking", "self-enrolled"]]
    assert not check([tmp_path / "out"]).problems


def test_a_silent_target_is_of_another_mixture(source: Path, tmp_path: Path) -> None:
    rows = [row for row in prepare(PART, source, tmp_path / "out", silent_per_mixture=1)[PART] if not row["text"]]
    assert len(rows) == len(MIXTURES)
    for row in rows:
        assert row["target"] not in row["talkers"]
        # An enrolment of theirs in the list.
        assert enrolled_with(row) <= {str(line[f"enrolment_{slot}"]) for line in MIXTURES for slot in (1, 2)}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: remove(root / "speech.jsonl"), r"has no 'mixtures.jsonl' and 'speech.jsonl'"),
        (lambda root: remove(root / "speech" / "61-1-0.flac"), r"libri2mix-test is not complete: no '.*61-1-0.flac'"),
        (
            lambda root: write_lines(root / "mixtures.jsonl", [mixture("61-1-0", "999-2-0")]),
            r"mixtures.jsonl:1: 'speech.jsonl' has no utterance '999-2-0'",
        ),
        (
            lambda root: write_lines(root / "mixtures.jsonl", [mixture("61-1-0", "61-1-1")]),
            r"mixtures.jsonl:1: 'librispeech_test-clean:61' is in the mixture twice",
        ),
        (
            lambda root: write_lines(
                root / "mixtures.jsonl", [mixture("61-1-0", "121-2-0", enrolments=("237-3-1", "121-2-1"))]
            ),
            r"mixtures.jsonl:1: '237-3-1' is not the voice of '61-1-0'; enrol the same talker",
        ),
        (
            lambda root: write_lines(root / "mixtures.jsonl", [MIXTURES[0] | {"gain_2": "loud"}]),
            r"mixtures.jsonl:1: gains \(0.5, 'loud'\); give a number a talker",
        ),
        (lambda root: write_lines(root / "mixtures.jsonl", [{"id": "a"}]), r"mixtures.jsonl:1: no 'source_1'; a line"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(
    source: Path, tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(source)
    with pytest.raises(DataError, match=said):
        prepare(PART, source, tmp_path / "out")


@pytest.mark.shared_data
def test_the_real_list_has_every_talker_of_every_mixture_once(shared_data: Path) -> None:
    (part,) = libri2mix_test(shared_data / "libri2mix_test", (), MixtureOptions())
    mixtures = list(part.mixtures)
    targets = [target for mixture in mixtures for target in mixture.targets]
    assert (len(mixtures), len(targets), len({target.talker for target in targets})) == (160, 320, 40)
    assert all(target.text for target in targets)
    assert sum(bool(target.tags) for target in targets) == 10
