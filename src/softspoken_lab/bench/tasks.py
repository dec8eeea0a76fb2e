"""What is transcribed: the suites, as lists of files with their reference texts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from softspoken_lab.bench import specs
from softspoken_lab.bench.config import BenchConfig
from softspoken_lab.bench.material import Clip, Material, Scene, exactly, long_recording, stretches
from softspoken_lab.bench.specs import ContenderSpec

TARGETS = (1, 2, 4)
"""How many voices are followed in one recording."""
FORCED_S = (5.0, 30.0)
TOKENS_PER_S = 4.0
"""Of the forced text: a quick talker's."""
FORCED_TIMES = 4
"""A window is short, and is transcribed this often in a row."""
_ITEMS_EACH = 4
"""Clips that cost about as much as one window of 30 s or one mixture."""


@dataclass(frozen=True)
class TaskItem:
    """One recording as a file, and what is said in it."""

    audio: Path
    seconds: float
    references: tuple[str, ...]
    """By voice; one text where nobody is followed."""
    voices: tuple[Path, ...] = ()
    tokens: tuple[int, ...] = ()
    """Of each reference."""

    def as_question(self) -> dict[str, Any]:
        """As a worker reads it."""
        return {
            "audio": str(self.audio),
            "voices": [str(voice) for voice in self.voices],
            "tokens": list(self.tokens),
        }


@dataclass(frozen=True)
class Task:
    """What is done in one go and timed as a whole."""

    name: str
    items: tuple[TaskItem, ...]
    held: bool = True
    """The audio is in memory before the clock runs."""
    rehearsal: tuple[TaskItem, ...] | None = None
    """What is transcribed before anything counts; None: the items themselves."""

    @property
    def seconds(self) -> float:
        """Of audio, however many voices are followed in it."""
        return sum(item.seconds for item in self.items)


@dataclass(frozen=True)
class Suite:
    """Tasks and who does them. What `tasks[1:]` cost is also given relative to the first."""

    name: str
    tasks: tuple[Task, ...]
    contenders: tuple[ContenderSpec, ...]
    separate: bool = False
    """New processes for each task: what one needed at most is not added to the next one's memory."""


@dataclass(frozen=True)
class Workshop:
    """What suites are made with."""

    config: BenchConfig
    material: Material
    folder: Path
    """Recordings are written here."""
    count_tokens: Callable[[str], int]

    def items_each(self) -> int:
        """Windows or mixtures."""
        return max(1, self.config.items // _ITEMS_EACH)

    def item(self, name: str, clip: Clip) -> TaskItem:
        """A clip as a file."""
        path = clip.write(self.folder / f"{name}.wav")
        return TaskItem(path, clip.seconds, (clip.text,), tokens=(self.count_tokens(clip.text),))

    def scene_item(self, name: str, scene: Scene, targets: int) -> TaskItem:
        """A mixture with the first of its voices as targets."""
        wanted = scene.voices[:targets]
        item = self.item(name, Clip(scene.audio, ""))
        return replace(
            item,
            references=tuple(voice.text for voice in wanted),
            voices=tuple(
                Clip(voice.enrolment, "").write(self.folder / f"{name}-{number}.wav")
                for number, voice in enumerate(wanted)
            ),
            tokens=tuple(self.count_tokens(voice.text) for voice in wanted),
        )


def short_clips(shop: Workshop) -> Suite:
    """Single utterances, one at a time; contenders that can also take all of them as one batch."""
    clips = shop.material.clips(shop.config.items)
    items = tuple(shop.item(f"clip-{number}", clip) for number, clip in enumerate(clips))
    ours = [*specs.plain(), *specs.short(together=True)]
    return Suite("short-clips", (Task("clips", items),), (*ours, *specs.peers(together=True), specs.hooks()))


def windows(shop: Workshop) -> Suite:
    """Clips joined to just under 30 s: Whisper's own window, full."""
    joined = stretches(shop.material.clips(None), shop.items_each())
    items = tuple(shop.item(f"window-{number}", clip) for number, clip in enumerate(joined))
    return Suite("windows", (Task("windows", items),), (*specs.plain(), *specs.short(), *specs.peers(), specs.hooks()))


def targets(shop: Workshop) -> Suite:
    """One, two and four enrolled voices, all of whom speak, in one recording of four talkers."""
    scenes = shop.material.scenes(shop.items_each(), max(TARGETS))
    tasks = tuple(
        Task(
            f"{count} target{'s' if count > 1 else ''}",
            tuple(shop.scene_item(f"scene-{number}", scene, count) for number, scene in enumerate(scenes)),
        )
        for count in TARGETS
    )
    return Suite("targets", tasks, (*specs.target(), specs.hooks()))


def long(shop: Workshop) -> Suite:
    """Recordings of minutes or hours, read from their files, each in new processes."""
    clips = shop.material.clips(None)
    rehearsal = (shop.item("rehearsal", stretches(clips, 1)[0]),)
    tasks = []
    for minutes in shop.config.minutes:
        recording = shop.item(f"long-{minutes:g}", long_recording(clips, 60 * minutes))
        tasks.append(Task(f"{minutes:g} min", (recording,), held=False, rehearsal=rehearsal))
    return Suite("long", tuple(tasks), (*specs.plain(), *specs.short(), *specs.peers()), separate=True)


def overhead(shop: Workshop) -> Suite:
    """The same forced text on windows of 5 and of 30 s, with and without prompts in the same engine."""
    clips = shop.material.clips(None)
    tasks = []
    for seconds in FORCED_S:
        clip = exactly(clips, seconds)
        item = replace(shop.item(f"forced-{seconds:g}", clip), tokens=(round(TOKENS_PER_S * seconds),))
        tasks.append(Task(f"{seconds:g} s", (item,) * FORCED_TIMES))
    return Suite("overhead", tuple(tasks), tuple(specs.forced()))


SUITES: dict[str, Callable[[Workshop], Suite]] = {
    "short-clips": short_clips,
    "windows": windows,
    "targets": targets,
    "long": long,
    "overhead": overhead,
}
"""By the names that the command line takes; 'all' there means each of them."""
