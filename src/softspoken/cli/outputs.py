"""Where transcripts go: lines on the standard output, one file, or a file a recording."""

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softspoken.decoding import Conversation, Segment

_SAVE_EVERY_S = 5.0
Identity = tuple[int, int]
"""The device and the number of a file."""


class FileFormat(StrEnum):
    """What `--format` takes."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"
    MD = "md"
    HTML = "html"
    STM = "stm"
    RTTM = "rttm"
    CTM = "ctm"
    SEGLST = "seglst"


_OF_ONE = (FileFormat.SRT, FileFormat.VTT, FileFormat.HTML, FileFormat.SEGLST)
"""A file of these holds one recording."""


@dataclass
class Output:
    """One run's transcripts. Made by `Output.of`, which refuses what could not be written later."""

    file_format: FileFormat
    recordings: Sequence[str]
    out: Path | None = None
    folder: Path | None = None
    resume: bool = False
    _texts: dict[str, str] = field(default_factory=dict)
    _saved_s: float = field(default_factory=time.monotonic)

    @classmethod
    def of(
        cls,
        out: Path | None,
        folder: Path | None,
        file_format: FileFormat | None,
        recordings: Sequence[str],
        inputs: Sequence[str | Path],
        resume: bool = False,
    ) -> "Output":
        """`recordings`: their names, see `names_of`; `inputs`: all files that are read.

        Raises ConfigError for options that do not go together, for places where nothing can be written, and where a
        transcript would take the place of an input or of another transcript.
        """
        from softspoken.errors import ConfigError

        if out is not None and folder is not None:
            raise ConfigError("--out names one file, --out-dir a folder for one file a recording; give one of them")
        if resume and out is None and folder is None:
            raise ConfigError("--resume goes on with what stands beside a file; give the --out or --out-dir of before")
        chosen = _implied(out) if file_format is None else file_format
        count = len(recordings)
        if count > 1 and folder is None and chosen in _OF_ONE:
            raise ConfigError(f"{count} recordings as one {chosen.value}; give --out-dir FOLDER, or --format json")
        output = cls(chosen, recordings, out, folder, resume)
        if out is not None:
            require_place(out)
            require_unread(f"--out {out} is", out, identities(inputs))
        if folder is not None:
            require_folder(folder, "--out-dir")
            output._require_apart(inputs)
        return output

    @property
    def prints_lines(self) -> bool:
        """Whether each segment is a line of the standard output."""
        return self.out is None and self.folder is None and self.file_format is FileFormat.TXT

    @property
    def needs_words(self) -> bool:
        """Whether the format is made of words with times."""
        return self.file_format is FileFormat.CTM

    @property
    def due(self) -> bool:
        """Whether the file should be written again by now."""
        return (self.out is not None or self.folder is not None) and time.monotonic() - self._saved_s > _SAVE_EVERY_S

    def line(self, segment: "Segment") -> str:
        """A segment on the standard output."""
        return f"{'' if segment.speaker is None else f'{segment.speaker}: '}{segment.text}\n"

    def place(self, name: str) -> str:
        """Where the transcript of a recording is, for messages."""
        if self.folder is not None:
            return str(self._file_of(name))
        return "above" if self.out is None else str(self.out)

    def journal(self, name: str) -> Path | None:
        """The file in which a run notes how far it has got in a recording; None where it writes no file."""
        if self.folder is not None:
            beside = self._file_of(name)
        elif self.out is None or (self.out.exists() and not self.out.is_file()):
            return None
        else:
            alike = [one for one in self.recordings if Path(one).name == Path(name).name]
            number = f".{alike.index(name) + 1}" if alike.index(name) > 0 else ""
            beside = self.out.with_name(f"{self.out.name}.{Path(name).name}{number}")
        return beside.with_name(f"{beside.name}.unfinished")

    def add(self, name: str, found: "Conversation", partial: bool = False) -> None:
        """Take the transcript of a recording, in place of an earlier one; `partial`: it breaks off."""
        from softspoken.decoding import as_dict, render

        if self.file_format is FileFormat.JSON:
            broken_off = {"partial": True} if partial else {}
            text = json.dumps({"file": name, **as_dict(found), **broken_off}, ensure_ascii=False) + "\n"
        else:
            whole = self.file_format is FileFormat.HTML
            text = render(found, self.file_format.value, Path(name).name if whole else _stem(name))
        if self.folder is not None:
            _write(self._file_of(name), text)
            self._saved_s = time.monotonic()
        elif self.out is None:
            if not self.prints_lines:
                sys.stdout.write(text)
                sys.stdout.flush()
        else:
            self._texts[name] = text
            if time.monotonic() - self._saved_s > _SAVE_EVERY_S:
                self.save()

    def save(self) -> None:
        """Write what there is to `--out`."""
        if self.out is not None and self._texts:
            _write(self.out, "".join(self._texts.values()))
            self._saved_s = time.monotonic()

    def _require_apart(self, inputs: Sequence[str | Path]) -> None:
        from softspoken.errors import ConfigError

        written: dict[Path, str] = {}
        read = identities(inputs)
        for name in self.recordings:
            file = self._file_of(name)
            if file in written:
                both = f"'{written[file]}' and '{name}'"
                raise ConfigError(f"{both} would both be written to {file}; rename one, or transcribe it by itself")
            written[file] = name
            require_unread(f"the transcript of '{name}' would be {file},", file, read)

    def _file_of(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{_stem(name)}.{self.file_format.value}"


def names_of(files: Iterable[str], channel: str) -> list[str]:
    """What the recordings are called in messages; 'each' channel of a file is a recording."""
    sides = ("left", "right") if channel == "each" else (channel,)
    called = ["standard input" if file == "-" else str(Path(file)) for file in files]
    return [name if side == "mix" else f"{name} ({side} channel)" for name in called for side in sides]


def _stem(name: str) -> str:
    """What a recording is called in files: 'call.left' for the left channel of 'calls/call.wav'."""
    stem, channel = name, ""
    if name.endswith(" channel)"):
        stem, _, channel = name[: -len(" channel)")].rpartition(" (")
    stem = "stdin" if stem == "standard input" else Path(stem).stem
    return f"{stem}.{channel}" if channel else stem


def _implied(out: Path | None) -> FileFormat:
    suffix = "" if out is None else out.suffix.lower().lstrip(".")
    if suffix == "jsonl":
        return FileFormat.JSON
    return FileFormat(suffix) if suffix in set(FileFormat) else FileFormat.TXT


def require_unread(what: str, out: Path, read: Set[Identity]) -> None:
    """Raise ConfigError for a file to write that is one of those that are read; `what`: how the message begins."""
    from softspoken.errors import ConfigError

    if not read.isdisjoint(identities([out])):
        raise ConfigError(f"{what} one of the inputs; write to another place")


def identities(files: Iterable[str | Path]) -> set[Identity]:
    """Of those files that there are, what all names of a file have in common."""
    found = set()
    for file in files:
        with suppress(OSError, ValueError):
            there = os.stat(file)
            found.add((there.st_dev, there.st_ino))
    return found


def require_place(out: Path) -> None:
    """Raise ConfigError for a file that `--out` names and that could not be written later."""
    from softspoken.errors import ConfigError

    folder = out.resolve().parent
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder; name a file, or give --out-dir {out}")
    if not folder.is_dir():
        raise ConfigError(f"--out {out} cannot be written (there is no folder '{folder}'); name one that exists")
    if not os.access(out if out.exists() else folder, os.W_OK):
        raise ConfigError(f"--out {out} cannot be written (it is not permitted); name a file in a folder of your own")


def require_folder(folder: Path, option: str) -> None:
    """Make the folder that an option names. Raises ConfigError where that is not possible."""
    from softspoken.errors import ConfigError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{option} {folder} cannot be made ({error.strerror}); name another folder") from None


def _write(out: Path, text: str) -> None:
    from softspoken.errors import ConfigError
    from softspoken.files import write_text

    try:
        write_text(out, text)
    except OSError as error:
        reason = error.strerror if error.strerror is not None else str(error)
        raise ConfigError(f"--out {out} cannot be written ({reason}); name a file in a folder that exists") from error
