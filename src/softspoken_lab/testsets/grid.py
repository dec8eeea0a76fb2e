"""A grid of test sets: talkers x overlap x level, each cell a small set of mixtures that differs in nothing else.

The target of a mixture is its first talker. In every cell

* each further talker overlaps the target by the cell's share of the shorter of the two stretches ("stretches" of
  `mixture_spec`), on alternate sides of the target; how much the further ones overlap each other is not controlled;
* the target is at the cell's level against all others together, who are equally loud: three talkers are not 3 dB
  harder than two by counting alone;
* the targets, what they say and their enrolments are the same as in every other cell; with the same number of talkers
  the others, too. Cells may be compared in pairs.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from softspoken.errors import ConfigError, DataError
from softspoken_lab.noise.bank import NoiseBank
from softspoken_lab.testsets.scenes import SceneSpec, build_scenes
from softspoken_lab.testsets.speech import Split


@dataclass(frozen=True)
class Cell:
    """One condition of a grid."""

    talkers: int
    overlap: float
    """Share of the shorter stretch."""
    snr_db: float
    """The target against all others together."""

    @property
    def name(self) -> str:
        """As part of a file name: '2-talkers_overlap-50_snr-5'; a level below zero has two dashes."""
        return f"{self.talkers}-talkers_overlap-{100 * self.overlap:g}_snr-{self.snr_db:g}"


@dataclass(frozen=True)
class GridSpec:
    """Which cells a grid has, and what is in one."""

    talkers: tuple[int, ...] = (2, 3)
    overlap: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    snr_db: tuple[float, ...] = (-5.0, 0.0, 5.0, 10.0)
    mixtures: int = 24
    """A cell; each has one speaking target and one silent one. With tiny.en an answer takes about 0.4 s on one core,
    the 1,920 answers of one method about 13 minutes."""
    clip_s: tuple[float, float] = (3.0, 9.0)
    """Length of what one talker says: three of them one after the other fit into Whisper's 30 s."""
    seed: int = 0
    split: Split = "test"
    noise_snr_db: tuple[float, float] | None = None
    rt60_s: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("talkers", "overlap", "snr_db"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"{name} of a grid: {list(values)}; give at least one, and each once")
        if min(self.talkers) < 2:
            raise ConfigError(f"a grid with {min(self.talkers)} talker(s) has no overlap and no level; give 2 or more")
        for cell in self.cells:
            self.mixture_spec(cell)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """By talkers, then overlap, then level."""
        return tuple(
            Cell(talkers, overlap, snr_db)
            for talkers in self.talkers
            for overlap in self.overlap
            for snr_db in self.snr_db
        )

    def mixture_spec(self, cell: Cell) -> SceneSpec:
        """The mixtures of a cell. Raises ConfigError when there are no such mixtures."""
        # Of K - 1 equally loud others each is so much quieter than all of them together.
        each_db = cell.snr_db + 10 * math.log10(cell.talkers - 1)
        return SceneSpec(
            count=self.mixtures,
            talkers=cell.talkers,
            snr_db=(each_db, each_db),
            overlap=(cell.overlap, cell.overlap),
            clip_s=self.clip_s,
            seed=self.seed,
            split=self.split,
            overlap_of="stretches",
            targets="first",
            noise_snr_db=self.noise_snr_db,
            rt60_s=self.rt60_s,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class CellSet:
    """A cell's mixtures on disk."""

    cell: Cell
    manifest: Path

    @property
    def digest(self) -> str:
        """SHA-256 over the names and contents of all its files."""
        folder = self.manifest.parent
        digest = hashlib.sha256()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + _sha256(path).encode())
        return digest.hexdigest()

    @property
    def covered(self) -> float:
        """Mean share of the targets' stretches in which anybody else is in theirs."""
        rows = [json.loads(line) for line in self.manifest.read_text(encoding="utf-8").splitlines()]
        shares = [float(row["covered"]) for row in rows if "covered" in row]
        return sum(shares) / len(shares)


def make_cell(
    grid: GridSpec,
    cell: Cell,
    speech_manifest: Path,
    folder: Path,
    noise: NoiseBank | None = None,
) -> CellSet:
    """The cell's mixtures in a folder of their own below `folder`: made, or found where they were made before.

    The folder is named after the cell and a digest of its options, of the speech manifest and of the list of noise
    recordings; since it appears whole or not at all, what is there is used as it is.

    Raises as `build_scenes` does; DataError when there is no such manifest.
    """
    spec = grid.mixture_spec(cell)
    if not speech_manifest.is_file():
        raise DataError(f"no manifest at '{speech_manifest}'; give the manifest.jsonl of a folder of speech")
    sources = [_sha256(speech_manifest), [] if noise is None else [asdict(clip) for clip in noise.clips]]
    digest = hashlib.sha256(json.dumps([spec.as_dict(), sources]).encode()).hexdigest()
    made = folder / f"{cell.name}-{digest[:12]}"
    manifest = made / "manifest.jsonl"
    if not manifest.is_file():
        build_scenes(speech_manifest, made, spec, noise)
    return CellSet(cell, manifest)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
