"""Files and folders appear whole or not at all; what was there before stays until then."""

import os
from pathlib import Path

import pytest

from softspoken.files import LEFTOVERS, remove, replace_bytes, replace_text, replacing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    replace_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()
    replace_bytes(tmp_path / "a.txt", b"new")
    assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("failure", [OSError("full"), KeyboardInterrupt()])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_interrupted_leaves_nothing_and_changes_nothing(
    tmp_path: Path, kind: str, failure: BaseException
) -> None:
    target = tmp_path / "target"
    target.write_text("old")

    def half() -> None:
        with replacing(target) as new:
            assert new.match(LEFTOVERS)
            if kind == "folder":
                (new / "below").mkdir(parents=True)
            else:
                new.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        half()
    assert names(tmp_path) == ["target"]
    assert target.read_text() == "old"


def test_a_folder_replaces_only_an_empty_one_unless_told_otherwise(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with replacing(target) as new:
        new.mkdir()
        (new / "first").touch()
    with pytest.raises(OSError, match="not empty"), replacing(target) as new:
        new.mkdir()
    assert names(target) == ["first"]
    with replacing(target, over_folder=True) as new:
        new.mkdir()
        (new / "second").touch()
    assert names(target) == ["second"]
    assert names(tmp_path) == ["target"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_move_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").touch()
    real = os.replace

    def replace(source: Path, destination: Path) -> None:
        if (Path(source) / "new").exists():
            raise OSError("no")
        real(source, destination)

    monkeypatch.setattr(os, "replace", replace)

    def write() -> None:
        with replacing(target, over_folder=True) as new:
            new.mkdir()
            (new / "new").touch()

    with pytest.raises(OSError, match="no"):
        write()
    assert names(target) == ["old"]
    assert names(tmp_path) == ["target"]


def test_a_place_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path / "missing" / "a.txt", tmp_path / "file" / "a.txt"):
        with pytest.raises(OSError, match=r"No such file|Not a directory"):
            replace_text(target, "text")
    remove(tmp_path / "nothing")
    assert names(tmp_path) == ["file"]
