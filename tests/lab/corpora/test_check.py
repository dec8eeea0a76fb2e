"""What is wrong with prepared data is found, all of it, and nothing where nothing is."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mixture_folders import make_librimix
from noise_folder import make_noise_folder
from speech_folder import make_speech_folder
from voices import voice

from softspoken.errors import DataError
from softspoken_lab.corpora.check import check
from softspoken_lab.corpora.prepare_mixtures import prepare_mixtures
from softspoken_lab.testsets.mixtures import MixtureSpec, build_mixtures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two items of one mixture, as `softspoken data` writes them."""
    home = tmp_path / "set"
    home.mkdir()
    for name, seconds in (("mixture", 3.0), ("one", 3.0), ("other", 3.0), ("enrol-one", 4.0), ("enrol-other", 4.0)):
        soundfile.write(home / f"{name}.flac", voice(seconds), 16_000)
    rows = [
        {
            "id": f"mixture-{name}",
            "audio": "mixture.flac",
            "clean": f"{name}.flac",
            "enrolment": f"enrol-{name}.flac",
            "text": f"words of {name}",
            "tags": ["speaking"],
            "duration_s": 3.0,
            "split": "test",
            "target": f"librispeech_test-clean:{name}",
            "talkers": ["librispeech_test-clean:one", "librispeech_test-clean:other"],
            "sources": [{"utterance": "one-1", "start_s": 0.0, "end_s": 3.0}],
            "enrolment_sources": [{"utterance": f"{name}-2", "start_s": 0.0, "end_s": 4.0}],
        }
        for name in ("one", "other")
    ]
    write(home, rows)
    return home


def write(home: Path, rows: list[dict]) -> Path:
    (home / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home / "manifest.jsonl"


def read(home: Path) -> list[dict]:
    return [json.loads(line) for line in (home / "manifest.jsonl").read_text().splitlines()]


def change(home: Path, **changes: object) -> None:
    """Change the first line; None takes a field away."""
    first, *others = read(home)
    write(home, [{key: value for key, value in (first | changes).items() if value is not None}, *others])


def test_nothing_is_wrong_with_what_the_commands_write(folder: Path, tmp_path) -> None:
    make_speech_folder(tmp_path / "speech", talkers=4)
    manifest = tmp_path / "speech" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"train"', '"test"'))
    build_mixtures(manifest, tmp_path / "mixtures", MixtureSpec(count=2, clip_s=(2.0, 9.0), enrolment_s=(2.0, 15.0)))
    make_noise_folder(tmp_path / "noise", ("car",), clips=1)
    source = make_librimix(tmp_path / "storage")
    assert len(list(prepare_mixtures("librimix", source, tmp_path / "prepared"))) == 3
    found = check([folder, tmp_path])
    assert found.problems == ()
    assert len(found.manifests) == 7
    assert found.lines == sum(len(path.read_text().splitlines()) for path in found.manifests) > 0
    assert found.counts == {}


@pytest.mark.parametrize(
    ("damage", "kind", "said"),
    [
        (lambda home: (home / "mixture.flac").unlink(), "missing", "no file '.*mixture.flac'"),
        (lambda home: (home / "one.flac").unlink(), "missing", "no file '.*one.flac'"),
        (lambda home: (home / "enrol-one.flac").unlink(), "missing", "no file '.*enrol-one.flac'"),
        (lambda home: (home / "one.flac").write_bytes(b"no audio"), "audio", "one.flac"),
        (lambda home: (home / "one.flac").write_bytes(b""), "audio", "is empty"),
        (
            lambda home: soundfile.write(home / "one.flac", voice(3.0)[::2], 8_000),
            "rate",
            "has 8000 Hz, at least 16000 Hz are needed",
        ),
        (
            lambda home: soundfile.write(home / "mixture.flac", voice(2.0), 16_000),
            "duration",
            r"lasts 2.00 s, not 3.00 s",
        ),
        (lambda home: change(home, text=" "), "text", "no words, although the target speaks"),
        (lambda home: change(home, text=None), "field", "no 'text', which a line of mixture has"),
        (lambda home: change(home, audio=None), "field", "no 'audio', which a line of mixture has"),
        (lambda home: change(home, enrolment=[]), "field", r"'enrolment' is \[\]"),
        (lambda home: change(home, id="mixture-other"), "id", "'mixture-other' is there twice, first in .*:1"),
        (lambda home: change(home, enrolment="one.flac"), "enrolment", "one.flac enrols, but is part of the mixture"),
        (lambda home: change(home, enrolment=["one.flac"]), "enrolment", "one.flac enrols"),
        (
            lambda home: change(home, enrolment_sources=[{"utterance": "one-1", "start_s": 2.0, "end_s": 5.0}]),
            "enrolment",
            "one-1 from 2 s enrols",
        ),
        (lambda home: change(home, tags=["silent"], text="", clean=None), "talker", "one is to be silent, but speaks"),
    ],
)
def test_what_is_wrong_is_found(folder: Path, damage: Callable[[Path], object], kind: str, said: str) -> None:
    damage(folder)
    found = check([folder])
    assert found.counts == {kind: 1}
    assert str(found.problems[0]).startswith(f"{folder / 'manifest.jsonl'}:")
    assert re.search(f": {kind}: .*{said}", str(found.problems[0]))
    assert "\n" not in str(found.problems[0])


def test_speech_from_elsewhere_in_the_same_recording_may_enrol(folder: Path) -> None:
    change(folder, enrolment_sources=[{"utterance": "one-1", "start_s": 3.0, "end_s": 7.0}])
    assert check([folder]).problems == ()


def test_a_line_that_is_broken_does_not_hide_the_others(folder: Path) -> None:
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    (folder / "manifest.jsonl").write_text(
        "\n".join(['{"id": ', "[]", lines[0], "", lines[1].replace("other.flac", "x")])
    )
    found = check([folder / "manifest.jsonl"])
    assert found.counts == {"line": 2, "missing": 2}
    assert [problem.where.rpartition(":")[2] for problem in found.problems] == ["1", "2", "5", "5"]
    (folder / "manifest.jsonl").write_text("")
    assert check([folder]).counts == {"line": 1}
    (folder / "manifest.jsonl").write_bytes(b"\xff\xfe{}")
    assert check([folder]).counts["line"] == 2


def test_a_talker_may_not_train_and_be_tested(folder: Path, tmp_path) -> None:
    manifest = make_speech_folder(tmp_path / "speech", talkers=2, utterances=1)
    assert check([folder, manifest]).problems == ()
    # The subsets of LibriSpeech are corpora here, but a reader's number is that of one person.
    text = manifest.read_text().replace('"made"', '"librispeech_train-clean-100"').replace('"s0"', '"one"')
    manifest.write_text(text)
    (problem,) = check([folder, manifest]).problems
    assert problem.kind == "talker"
    assert problem.message == f"librispeech:one tests here and trains in {manifest}:1"
    manifest.write_text(text.replace('"train"', '"development"'))
    assert check([folder, manifest]).problems == ()


def test_the_split_of_test_mixtures_stands_beside_them(folder: Path, tmp_path) -> None:
    write(folder, [{key: value for key, value in row.items() if key != "split"} for row in read(folder)])
    manifest = make_speech_folder(tmp_path / "speech", talkers=1, utterances=1)
    manifest.write_text(manifest.read_text().replace('"made"', '"librispeech_test-clean"').replace('"s0"', '"one"'))
    assert check([folder, manifest]).problems == ()
    (folder / "spec.json").write_text(json.dumps({"split": "test"}))
    assert check([folder, manifest]).counts == {"talker": 1}


def test_words_of_speech_may_be_unknown_but_not_empty(tmp_path) -> None:
    manifest = make_speech_folder(tmp_path, talkers=1, utterances=2)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    write(tmp_path, [rows[0] | {"text": None}, rows[1] | {"text": ""}])
    (problem,) = check([tmp_path]).problems
    assert (problem.kind, problem.where) == ("text", f"{manifest}:2")


def test_a_shared_file_is_looked_at_once(folder: Path) -> None:
    (folder / "mixture.flac").unlink()
    found = check([folder, folder / "manifest.jsonl"])
    assert len(found.problems) == 1
    assert found.files == 5
    assert found.as_dict()["counts"] == {"missing": 1}


def test_a_place_without_manifests_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no manifest.jsonl in it; give a manifest"):
        check([tmp_path])
    with pytest.raises(DataError, match="not there"):
        check([tmp_path / "none"])


def test_a_recording_that_was_cut_off_is_found(folder: Path) -> None:
    soundfile.write(folder / "one.wav", np.tile(voice(3.0), 4), 16_000)
    os.truncate(folder / "one.wav", 50_000)
    change(folder, clean="one.wav")
    (problem,) = check([folder]).problems
    assert problem.kind == "audio"
    assert "cut off" in problem.message
