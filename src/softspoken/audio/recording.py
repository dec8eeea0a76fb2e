"""The forms in which a recording may be given, and how each is opened: paths, pipes, bytes, open files, arrays."""

import io
import logging
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from softspoken.audio.pieces import Binary
from softspoken.errors import AudioError, ConfigError

Channel = Literal["mix", "left", "right"]
AudioLike = Any
"""What `Recording.of` takes: a path ('-': the standard input), bytes, an open binary file, samples, a `Recording`."""
STDIN = "-"

logger = logging.getLogger("softspoken.audio")
"""Says what was done to a recording that is not quite as it should be."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Where a recording is, and what of it is wanted. Make one with `Recording.of`.

    `audio`: a path, bytes of a file, an open binary file, or samples (samples,), (samples, channels) or (channels,
    samples), floating point with full scale 1 or integers, as an array or a tensor.
    """

    audio: Any
    sample_rate: int | None = None
    """Sample rate of an array (None: 16 kHz). For bytes and files: raw mono 16-bit PCM without a header."""
    track: int | None = None
    """Number of the audio track, from 1; None: the one that its container calls the default."""
    channel: Channel = "mix"
    partial: bool = False
    """Take what can be read of a recording that is cut off or damaged, and say so, instead of refusing it."""
    name: str = ""
    """For messages."""
    salvage: str = ""
    """How a user asks for `partial`, such as 'use --partial'; for messages about damage."""
    on_read: Callable[[float], object] | None = None
    """Called while it is streamed, with the seconds of it that were handed out."""

    @classmethod
    def of(
        cls,
        audio: AudioLike,
        *,
        sample_rate: int | None = None,
        track: int | None = None,
        channel: Channel = "mix",
        partial: bool = False,
    ) -> "Recording":
        """Any kind of recording; a pipe ('-' is the standard input) is read to its end now, for it can be read once.

        Raises AudioError for a type that holds no recording, ConfigError for a rate, track or channel that cannot be.
        """
        if isinstance(audio, cls):
            return audio if sample_rate is None else replace(audio, sample_rate=sample_rate)
        if sample_rate is not None and not 1_000 <= sample_rate <= 768_000:
            raise ConfigError(f"a sample rate of {sample_rate} Hz; give it in hertz, such as 16000")
        if track is not None and track < 1:
            raise ConfigError(f"track {track}: tracks are counted from 1")
        if channel not in ("mix", "left", "right"):
            raise ConfigError(f"channel '{channel}'; expected mix, left or right")
        content, name = _content(audio)
        return cls(content, sample_rate, track, channel, partial, _named(name, channel))

    def __str__(self) -> str:
        return self.name

    @property
    def is_samples(self) -> bool:
        """Whether it is samples in memory."""
        return isinstance(self.audio, np.ndarray)

    @property
    def path(self) -> Path | None:
        return self.audio if isinstance(self.audio, Path) else None

    def only(self, channel: Channel) -> "Recording":
        """One channel of it."""
        return replace(self, channel=channel, name=_named(self.name, channel))

    def samples(self) -> np.ndarray:
        """Float32 samples [samples, channels]. Raises AudioError for what are none."""
        audio = self.audio
        if audio.ndim not in (1, 2) or audio.size == 0 or audio.dtype.kind not in "fiu":
            raise AudioError(
                f"samples of shape {audio.shape} and type {audio.dtype}; expected (samples,), (samples, channels) or "
                "(channels, samples), floating point or integers"
            )
        if audio.ndim == 1:
            audio = audio[:, None]
        elif audio.shape[0] < audio.shape[1]:
            audio = audio.T
        return _floating(audio)

    @contextmanager
    def opened(self) -> Iterator[Binary]:
        """The file, at its beginning, to be read and sought in. Raises AudioError where that is not possible."""
        if not isinstance(self.audio, Path):
            file = _seekable_bytes(self.audio)
            file.seek(0)
            yield file
            return
        try:
            if self.audio.is_dir():
                raise AudioError(f"'{self}' is a folder, expected a recording: name one file in it")
            if not self.audio.exists():
                raise AudioError(f"'{self}' does not exist: check the name, or the folder you are in ({Path.cwd()})")
            file = self.audio.open("rb")
        except OSError as error:
            raise AudioError(f"'{self}' cannot be opened: {error.strerror}; check its permissions") from None
        except ValueError as error:
            raise AudioError(f"'{self}' cannot be opened: {error}; check the name") from None
        with file:
            yield file


def cut_off(recording: Recording, what: str) -> AudioError:
    """The recording holds less than it promises."""
    return AudioError(f"'{recording}' is cut off: {what}; {_remedies(recording, recording.salvage)}")


def damaged(recording: Recording, what: str, salvage: str = "") -> AudioError:
    """The recording is all there, but part of it is broken. `salvage`: the recording's own, where `partial` helps."""
    return AudioError(f"'{recording}' is damaged: {what}; {_remedies(recording, salvage)}")


def _remedies(recording: Recording, salvage: str) -> str:
    ways = ["get it again", *([salvage] if salvage else [])]
    if recording.path is not None:
        ways.append(f"repair it: ffmpeg -i {shlex.quote(str(recording.path))} repaired.wav")
    return ", or ".join([", ".join(ways[:-1]), ways[-1]] if len(ways) > 1 else ways)


def _named(name: str, channel: Channel) -> str:
    return name if channel == "mix" else f"{name} ({channel} channel)"


def _content(audio: Any) -> tuple[Any, str]:
    """The recording as it is held here, and its name in messages."""
    if isinstance(audio, str | os.PathLike) and str(audio) == STDIN:
        if sys.stdin is None or sys.stdin.isatty():
            raise AudioError("'-' is the standard input, and nothing is piped into it: give a file, or pipe one in")
        return _held(sys.stdin.buffer), "standard input"
    if isinstance(audio, str | os.PathLike):
        path = Path(audio)
        # A pipe, such as the shell's <(command), has no end to be sought and can be read once.
        if path.is_char_device() or path.is_block_device():
            raise AudioError(f"'{path}' is a device, expected a recording: give a file or a pipe")
        if path.is_fifo():
            try:
                with path.open("rb") as file:
                    return _held(file), str(path)
            except OSError as error:
                raise AudioError(f"'{path}' cannot be opened: {error.strerror}; give a file or a pipe") from None
        return path, str(path)
    if isinstance(audio, bytes | bytearray | memoryview):
        return bytes(audio), "these bytes"
    if hasattr(audio, "detach") and hasattr(audio, "cpu"):
        return np.asarray(audio.detach().cpu()), "these samples"
    if isinstance(audio, np.ndarray):
        return audio, "these samples"
    if hasattr(audio, "read"):
        name = getattr(audio, "name", None)
        return _open_file(audio), name if isinstance(name, str) else "this file"
    expected = "a path, bytes, an open binary file, or samples as an array"
    raise AudioError(f"a recording of type {type(audio).__name__}; expected {expected}")


def _open_file(file: Any) -> Any:
    try:
        if isinstance(file.read(0), str):
            raise AudioError("a file opened as text; open it with mode 'rb'")
        return file if file.seekable() else _held(file)
    except (AttributeError, OSError, ValueError) as error:
        raise AudioError(f"an open file that cannot be read ({error}); open it with mode 'rb'") from None


def _held(pipe: Any) -> Binary:
    """All that comes out of a pipe, in a file that goes away with the program."""
    held = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        shutil.copyfileobj(pipe, held, 1 << 20)
    except OSError as error:
        raise AudioError(f"the pipe cannot be kept ({error.strerror}); free space in {tempfile.gettempdir()}") from None
    return held


def _seekable_bytes(content: Any) -> Binary:
    return io.BytesIO(content) if isinstance(content, bytes) else content


def _floating(audio: np.ndarray) -> np.ndarray:
    if audio.dtype.kind == "f":
        return audio.astype(np.float32, copy=False)
    if audio.dtype.kind == "u":
        half = 2.0 ** (8 * audio.dtype.itemsize - 1)
        return ((audio.astype(np.float64) - half) / half).astype(np.float32)
    return (audio.astype(np.float64) / 2.0 ** (8 * audio.dtype.itemsize - 1)).astype(np.float32)
