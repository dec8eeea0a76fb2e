import json
from pathlib import Path

import pytest

from softspoken.errors import DataError
from softspoken.evaluation.manifest import read_evaluation_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("mix.wav", "voice.wav", "alone.wav"):
        (tmp_path / name).write_bytes(b"audio")
    return tmp_path


def written(folder: Path, *lines: object) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


GOOD = {"audio": "mix.wav", "enrolment": "voice.wav", "text": "HELLO"}


def test_reads_items_relative_to_the_manifest(folder: Path) -> None:
    silent = GOOD | {"text": "", "id": "quiet", "tags": ["silent"], "snr_db": 3}
    first, second = read_evaluation_manifest(written(folder, GOOD | {"clean": "alone.wav"}, "", silent))
    assert first.audio == folder / "mix.wav"
    assert first.clean == folder / "alone.wav"
    assert not first.silent
    assert (second.id, second.silent, second.tags, second.clean) == ("quiet", True, ("silent",), None)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"audio": ', "not JSON"),
        ("[1, 2]", "got list"),
        ({"audio": "mix.wav", "enrolment": "voice.wav"}, 'no "text"'),
        (GOOD | {"text": 5}, 'int as "text"'),
        (GOOD | {"audio": "gone.wav"}, "gone.wav"),
        (GOOD | {"enrolment": ""}, '"enrolment" is'),
        (GOOD | {"clean": "gone.wav"}, '"clean"'),
        (GOOD | {"tags": "silent"}, '"tags"'),
        (GOOD | {"words": [["hello", 0.5]]}, '"words" is not'),
        (GOOD | {"words": [["hello", 0.5, 0.2]]}, "0 <= start"),
        (GOOD | {"id": "one"}, "twice"),
    ],
)
def test_a_bad_line_is_named_by_its_number(folder: Path, line: object, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read_evaluation_manifest(written(folder, GOOD | {"id": "one"}, line))
    assert "manifest.jsonl:2:" in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_empty_and_binary_manifests_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="no manifest"):
        read_evaluation_manifest(folder / "other.jsonl")
    with pytest.raises(DataError, match="no items"):
        read_evaluation_manifest(written(folder, "", "  "))
    (folder / "binary.jsonl").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="not UTF-8"):
        read_evaluation_manifest(folder / "binary.jsonl")
