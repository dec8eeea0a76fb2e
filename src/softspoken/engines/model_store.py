"""Models that were built from a backbone's weights, kept for the next start."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from softspoken.errors import BackboneError
from softspoken.files import LEFTOVERS, remove, replacing
from softspoken.packages import CACHE_VARIABLE, cache_folder


@dataclass(frozen=True)
class ModelStore:
    """A folder for the models of one backbone, runtime and precision."""

    folder: Path

    @classmethod
    def of(cls, fingerprint: str, kind: str) -> "ModelStore":
        """`kind` says everything else that makes another model: runtime and its version, layout, precision."""
        return cls(cache_folder() / "engines" / fingerprint[:16] / kind)

    def model(self, name: str, write: Callable[[Path], None]) -> Path:
        """The folder that holds the files of a model; `write` makes them in a new folder where there are none.

        Only one process makes a model, others wait for it; a folder is there whole or not at all. Raises BackboneError
        where the cache cannot be written.
        """
        target = self.folder / name
        if target.is_dir():
            return target
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f".{name}.lock"):
                # Another process may have made it while this one waited for the lock.
                if not target.is_dir():
                    self._make(name, target, write)
        except OSError as error:
            problem = error.strerror or str(error) or type(error).__name__
            advice = f"free space or set {CACHE_VARIABLE} to a folder that can be written"
            raise BackboneError(f"cannot write the cache {self.folder}: {problem}; {advice}") from None
        return target

    def alone(self, name: str) -> AbstractContextManager[object]:
        """While a model is compiled: OpenVINO itself keeps no other process from reading what it has half written."""
        return FileLock(self.folder / f".{name}.compiled") if self.can_be_written else nullcontext()

    @property
    def can_be_written(self) -> bool:
        """False in a container whose file system is read-only: what is there is used, nothing more is kept."""
        return os.access(self.folder, os.W_OK)

    def _make(self, name: str, target: Path, write: Callable[[Path], None]) -> None:
        for stale in self.folder.glob(f".{name}{LEFTOVERS}"):
            # Left by a process that was killed: the lock says that nobody is at work here.
            remove(stale)
        with replacing(target) as scratch:
            scratch.mkdir()
            write(scratch)
