"""Separation first: any separator that a user has, as a command, then the enrolled voice's source to plain Whisper.

The other baseline of today beside the cascade. Nothing here knows a separator: it is given a mixture and a folder, and
writes one file a source into it.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float

from softspoken.audio import SILENCE_PEAK_DB, load_audio, write_wav
from softspoken.decoding.result import Transcript
from softspoken.errors import ConfigError
from softspoken.evaluation.manifest import EvaluationItem
from softspoken.evaluation.runner import NOTHING, Method
from softspoken.speakers import SpeakerEmbedder

METHOD = "separate"
MIXTURE, FOLDER = "{mixture}", "{folder}"
SUFFIXES = (".wav", ".flac")
_SHOWN = 200
"""Characters of what a command said that a message shows."""


@dataclass(frozen=True)
class SeparationOptions:
    """Which separator, and from when on a source is the target.

    Raises ConfigError for a command that cannot be one.
    """

    command: str
    """Words quoted as in a shell, but run without one. `{mixture}`: a WAV file (16 kHz, mono); `{folder}`: an empty
    folder for one WAV or FLAC file a source, of any rate."""
    threshold: float = 0.45
    """Cosine to the enrolment from which on the nearest source is the target; else the target is silent. Chosen with a
    perfect separator on development talkers (CAM++, 80 clean targets of two-talker mixtures): one in a hundred targets
    lies below 0.56, and no other talker's source above 0.37."""
    timeout_s: float = 600.0
    """For one recording."""

    def __post_init__(self) -> None:
        if not -1.0 <= self.threshold <= 1.0:
            raise ConfigError(f"separation threshold {self.threshold:g}; a cosine lies between -1 and 1")
        missing = [name for name in (MIXTURE, FOLDER) if name not in self.command]
        if missing:
            raise ConfigError(
                f"separation command '{self.command}' has no {missing[0]}; give one such as "
                f"'separate:my-separator {MIXTURE} --out {FOLDER}'"
            )
        try:
            shlex.split(self.command)
        except ValueError as error:
            raise ConfigError(
                f"separation command '{self.command}' is not quoted right ({error}); correct it"
            ) from error

    def words(self, mixture: Path, folder: Path) -> list[str]:
        """The program and its arguments."""
        return [word.replace(MIXTURE, str(mixture)).replace(FOLDER, str(folder)) for word in shlex.split(self.command)]


def separation_named(name: str) -> SeparationOptions | None:
    """The options that 'separate:COMMAND' or, with a threshold, 'separate:0.65:COMMAND' mean; None for other names.

    Raises ConfigError for a command or a threshold that is not possible.
    """
    method, colon, rest = name.partition(":")
    if method != METHOD:
        return None
    if not colon:
        raise ConfigError(f"method '{METHOD}' needs a command: '{METHOD}:my-separator {MIXTURE} --out {FOLDER}'")
    threshold, colon, command = rest.partition(":")
    try:
        return SeparationOptions(command, float(threshold)) if colon else SeparationOptions(rest)
    except ValueError:
        # What stands before the colon is a part of the command.
        return SeparationOptions(rest)


def separated(
    embedder: SpeakerEmbedder,
    transcribe: Callable[[Float[np.ndarray, " N"]], Transcript],
    options: SeparationOptions,
    name: str,
) -> Method:
    """`separate:COMMAND`: the separator's source that is nearest to the enrolled voice, to plain Whisper."""
    last: dict[Path, list[Float[np.ndarray, " N"]]] = {}

    def on_source(item: EvaluationItem) -> Transcript:
        # Targets of one recording follow each other in a manifest: it is separated once for them.
        if item.audio not in last:
            last.clear()
            try:
                last[item.audio] = separate(load_audio(item.audio), options)
            except ConfigError as error:
                raise ConfigError(f"item '{item.id}': {error}") from error
        source = nearest_source(last[item.audio], load_audio(item.enrolment), embedder, options.threshold)
        return NOTHING if source is None else transcribe(source)

    return Method(name, on_source)


def separate(audio: Float[np.ndarray, " N"], options: SeparationOptions) -> list[Float[np.ndarray, " M"]]:
    """The sources of a mixture (16 kHz), in the order of their files' names; silent ones are left out.

    Nothing is left behind in the file system. Raises ConfigError, in one line, when the command cannot be run, fails,
    takes longer than `timeout_s` or writes no WAV or FLAC file, AudioError when such a file cannot be read.
    """
    with TemporaryDirectory(prefix="softspoken-", ignore_cleanup_errors=True) as temporary:
        mixture, folder = Path(temporary) / "mixture.wav", Path(temporary) / "sources"
        write_wav(mixture, audio)
        folder.mkdir()
        _run(options.words(mixture, folder), Path(temporary) / "said.txt", options)
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not files:
            raise ConfigError(
                f"the separator '{options.command}' wrote no WAV or FLAC file into {FOLDER}; let it write one a source"
            )
        sources = [load_audio(path) for path in files]
    return [source for source in sources if np.abs(source).max() >= 10 ** (SILENCE_PEAK_DB / 20)]


def nearest_source(
    sources: Sequence[Float[np.ndarray, " _"]],
    enrolment: Float[np.ndarray, " M"],
    embedder: SpeakerEmbedder,
    threshold: float,
) -> Float[np.ndarray, " N"] | None:
    """The source whose speaker vector is nearest to the enrolment's; None when none reaches `threshold`."""
    voice = embedder.embed(enrolment.astype(np.float32))
    cosines = [float(embedder.embed(source.astype(np.float32)) @ voice) for source in sources]
    if not cosines or max(cosines) < threshold:
        return None
    return sources[int(np.argmax(cosines))]


def _run(words: list[str], log: Path, options: SeparationOptions) -> None:
    # Apart, for what a program writes to its standard output may reach the file after its last words.
    complaints = log.with_name(f"{log.name}.err")
    with log.open("wb") as said, complaints.open("wb") as complained:
        try:
            # In a group of its own, so that what it starts ends with it.
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=said, stderr=complained, start_new_session=True
            )
        except OSError as error:
            raise ConfigError(
                f"cannot run the separator '{words[0]}' ({error.strerror}); install it, or give its full path"
            ) from error
        try:
            code = process.wait(options.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ConfigError(
                f"the separator '{options.command}' took longer than {options.timeout_s:g} s for one recording and was "
                "stopped; give a faster one"
            ) from error
        finally:
            if process.poll() is None:
                _end(process)
    if code != 0:
        lines = _lines(complaints) or _lines(log)
        last = f" ('{lines[-1].strip()[-_SHOWN:]}')" if lines else ""
        raise ConfigError(f"the separator '{options.command}' failed with code {code}{last}; run it by hand to see why")


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").strip().splitlines()


def _end(process: "subprocess.Popen[bytes]") -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
