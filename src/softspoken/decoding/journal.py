"""How far a run through a recording is: steps, and a file that keeps them for another run to go on from."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from softspoken.decoding.longform import Reader
from softspoken.decoding.result import Segment, VoiceWindow
from softspoken.decoding.settlement import Verification

OnSegment = Callable[[Segment], object]
"""Called with each segment as soon as it is there."""


@dataclass(frozen=True)
class Step:
    """What came of the windows that were decoded last."""

    windows: int
    """Done since the recording began."""
    position: int
    """Samples passed since the recording began."""
    said: tuple[tuple[VoiceWindow, ...], ...]
    """By window and voice."""


Run = Callable[[Reader, Step | None], Iterator[Step]]
"""The steps behind the one that is given, which was the last of a run before; None: all of them."""


class Journal:
    """Steps in a file, one a line; a line that was not finished counts as none."""

    def __init__(self, path: Path, key: str, resume: bool = False) -> None:
        """`key`: says recording, options and voices; `resume`: go on with a journal that is there and has this key,
        else it begins anew.

        Raises OSError where the file cannot be written.
        """
        self.path = path
        self.steps = _read(path, key) if resume else []
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in (json.dumps(key), *map(_line, self.steps)))

    def add(self, step: Step) -> None:
        """Keep another step, on the disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{_line(step)}\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """When the recording is done."""
        self.path.unlink(missing_ok=True)


_STEP = TypeAdapter(Step)


def _line(step: Step) -> str:
    return json.dumps(asdict(step))


def _read(path: Path, key: str) -> list[Step]:
    steps: list[Step] = []
    try:
        first, *lines = path.read_text("utf-8").split("\n")
        if json.loads(first) != key:
            return []
        for line in lines:
            steps.append(_STEP.validate_python(json.loads(line)))
    except (OSError, ValueError, ValidationError):
        # There is none, or its last line was being written when the run before ended.
        return steps
    return steps


def run_through(
    run: Run,
    reader: Reader,
    held: Verification,
    journal: Journal | None,
    on_segment: OnSegment | None,
    names: tuple[str, ...] = (),
) -> list[tuple[VoiceWindow, ...]]:
    """By window and voice, what a whole recording holds, what a journal knows already included.

    `on_segment` is told of everything that `segments_of` gives.
    """
    done: list[Step] = []

    def steps() -> Iterator[Step]:
        for step in () if journal is None else journal.steps:
            done.append(step)
            yield step
        for step in run(reader, done[-1] if done else None):
            if journal is not None:
                journal.add(step)
            done.append(step)
            yield step

    for segment in segments_of(steps(), reader, held, names):
        if on_segment is not None:
            on_segment(segment)
    return [window for step in done for window in step.said]


def segments_of(
    steps: Iterable[Step], reader: Reader, held: Verification, names: tuple[str, ...] = ()
) -> Iterator[Segment]:
    """What is said, in order of time within each window, but for what a voice that may not be there says: that comes
    when it is known to be there, or never (see `Verification`).

    `names`: of the voices, where the segments shall say whose they are.
    """

    def in_order(said: Sequence[Sequence[Segment]]) -> list[Segment]:
        named = [
            replace(segment, speaker=names[voice]) if names else segment
            for voice, segments in enumerate(said)
            for segment in segments
        ]
        return sorted(named, key=lambda segment: (segment.start_s, segment.end_s))

    for step in steps:
        for window in step.said:
            yield from in_order(held.passed(window))
    yield from in_order(held.rest(reader.position_s))
