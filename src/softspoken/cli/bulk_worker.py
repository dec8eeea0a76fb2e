"""What a worker of `softspoken bulk` loads, and what it makes of a recording."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softspoken.cli.wanted import Everyone, Runs, Wanted, load_wanted, require_names_apart

if TYPE_CHECKING:
    from softspoken.audio import Recording
    from softspoken.bulk import Item
    from softspoken.decoding import DecodingOptions

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class LoadTranscriber:
    """Loads the transcriber; see `bulk.Load`."""

    speakers: tuple[str, ...]
    """Whose words where a recording does not say so itself; none: as `everyone` says."""
    everyone: Everyone
    """'no': everybody's words together, no voice is followed."""
    store: str | None
    prompt: str | None
    backbone: str | None
    runs: Runs
    options: "DecodingOptions"
    threads: int
    """How many threads each worker runs."""

    def __call__(self) -> "Transcribing":
        # Speaker networks and PyTorch go by this variable.
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        wanted = load_wanted(
            [], self.store, self.prompt, self.backbone, self.runs, self.options, self.everyone, self.threads
        )
        return Transcribing(wanted, self.speakers)


class Transcribing:
    """Turns a recording into a record; see `bulk.Work`."""

    def __init__(self, wanted: Wanted, speakers: tuple[str, ...]) -> None:
        self._wanted, self._speakers = wanted, speakers
        self._voices: dict[str, Any] = {}

    def __call__(self, item: "Item") -> dict[str, Any]:
        from softspoken.decoding import as_dict

        wanted = self._wanted
        with _opened(item) as recording, _mended() as told:
            if wanted.everyone != "no":
                named = item.speakers or self._speakers
                voices = [self._voice(name) for name in named]
                require_names_apart(voices)
                found_there: Everyone = "no" if voices else wanted.everyone
                wanted = replace(wanted, voices=voices, everyone=found_there).in_recording(recording, lambda line: None)
            found = as_dict(wanted.transcribe(recording, lambda segment: None))
        return {**found, "warnings": told} if told else found

    def _voice(self, name: str) -> Any:
        if name not in self._voices:
            following: Any = self._wanted.transcriber
            self._voices[name] = following.voice(name)
        return self._voices[name]


@contextmanager
def _opened(item: "Item") -> "Iterator[Recording]":
    """The recording, here while it is worked on if it is elsewhere. Raises AudioError where it cannot be had."""
    from softspoken.audio import Recording, load_audio
    from softspoken.errors import AudioError

    if "://" not in item.path and not Path(item.path).exists():
        raise AudioError(f"'{item.path}' does not exist: check the name, and that this machine has the folder")
    with tempfile.TemporaryDirectory() if "://" in item.path else _nothing() as folder:
        place = Path(item.path) if folder is None else _fetched(item.path, Path(folder))
        recording = replace(Recording.of(place, channel=item.channel), name=item.id)
        if item.start_s is not None:
            end_s = None if item.duration_s is None else item.start_s + item.duration_s
            samples = load_audio(recording, start_s=item.start_s, end_s=end_s)
            recording = replace(Recording.of(samples), name=item.id)
        yield recording


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


def _fetched(url: str, folder: Path) -> Path:
    import fsspec

    from softspoken.errors import AudioError

    place = folder / f"recording{Path(url.partition('::')[0]).suffix}"
    try:
        with fsspec.open(url, "rb") as source, place.open("wb") as target:
            while piece := source.read(_PIECE_BYTES):
                target.write(piece)
    except Exception as error:  # each file system has errors of its own
        told = " ".join(str(error).split())[:200]
        raise AudioError(
            f"'{url}' cannot be fetched ({type(error).__name__}: {told}); check it, and the rights"
        ) from None
    return place


@contextmanager
def _mended() -> Iterator[list[str]]:
    """What is said meanwhile about a recording that is not quite as it should be."""
    told: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    logger, handler = logging.getLogger("softspoken.audio"), Kept(logging.WARNING)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
