"""A small world for tests of reports: recognisers, sets and noise, made in moments."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from made_noise import write_noise
from tiny_recognizer import new_recognizer
from tiny_subjects import BACKBONE, write_set

from softspoken.prompts import PromptConfig
from softspoken.prompts.config import Depth
from softspoken_lab.analysis.clusters import ClusterOptions
from softspoken_lab.analysis.probe_data import ProbeOptions
from softspoken_lab.analysis.replacement import ReplacementOptions
from softspoken_lab.analysis.shift import ShiftOptions
from softspoken_lab.analysis.subject import TestSet
from softspoken_lab.noise.bank import read_noise
from softspoken_lab.noise.characters import DEFAULT, Characters
from softspoken_lab.noise.config import noise_prompts
from softspoken_lab.noise.folder import load_recognizer, save_recognizer
from softspoken_lab.report.plan import ReportInputs, ReportOptions
from softspoken_lab.report.remembered import RememberingCTC
from softspoken_lab.report.stages import digest_of_folder

# The tiny recognisers write J where speech has pauses.
CHARACTERS = Characters(tuple({"|": "J", "J": "|"}.get(symbol, symbol) for symbol in DEFAULT))

KINDS = {"car": (50.0, 400.0), "cafe": (2000.0, 6000.0)}
SECONDS = (0.9, 1.3, 0.7, 1.1, 0.8)
QUICK = ReportOptions(
    replacement=ReplacementOptions(seeds=2),
    clusters=ClusterOptions(k_max=3, starts=1, clouds=3),
    probe=ProbeOptions(folds=2, per_cell=2, longest_s=0.8, trees=5, permutations=2),
    shifts=(ShiftOptions(), ShiftOptions(scale="unit")),
)


@dataclass(frozen=True)
class World:
    """A folder with a recogniser 'm4', a baseline 'frozen', sets 'clean' and 'noisy', noise and noise of an office."""

    folder: Path

    def subject(self, name: str = "m4") -> RememberingCTC:
        return RememberingCTC(load_recognizer(self.folder / name), BACKBONE, name=name)

    def spoken(self, name: str, seconds: tuple[float, ...]) -> TestSet:
        """A set in which is said what is heard: in turn with all prompts, without any, and without the first."""
        written = write_set(self.folder / name, name, seconds)
        subject = self.subject()
        texts = subject.write(written, [subject.vectors, None, subject.vectors[:, 1:]])
        said = [replace(item, text=texts[index % 3][item.id]) for index, item in enumerate(written.items)]
        return TestSet(name, tuple(replace(item, text=item.text if item.text.split() else "A B") for item in said))

    def inputs(self, **changes: Any) -> ReportInputs:
        """Everything that a report may have; afresh, so that nothing is remembered but on disk."""
        given = ReportInputs(
            subject=self.subject(),
            digest=digest_of_folder(self.folder / "m4"),
            sets=(self.spoken("clean", SECONDS), self.spoken("noisy", (0.8, 1.0, 0.6, 0.9))),
            clean="clean",
            frozen=self.subject("frozen"),
            frozen_digest=digest_of_folder(self.folder / "frozen"),
            noise=read_noise(self.folder / "noise"),
            shift_noise=read_noise(self.folder / "office"),
            shift_sets=(self.spoken("there", (0.7, 0.9)),),
            options=QUICK,
        )
        return replace(given, **changes)


def make_world(folder: Path, length: int = 4, depth: Depth = "input") -> World:
    _save(folder / "m4", noise_prompts(length, depth), seed=5)
    _save(folder / "frozen", None, seed=6)
    write_noise(folder / "noise", KINDS, clips=2, seconds=1.0)
    write_noise(folder / "office", {"keyboard": (1000.0, 3000.0)}, clips=1, seconds=1.0)
    return World(folder)


def _save(folder: Path, config: PromptConfig | None, seed: int) -> None:
    model = new_recognizer(BACKBONE, config, seed)
    training = {"steps": 7, "noise": {"snr_db": [0.0, 20.0], "types": []}}
    save_recognizer(model, folder, backbone=BACKBONE, characters=CHARACTERS, training=training)
