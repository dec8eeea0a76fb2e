"""A grid of test sets measured: every method on every cell, each kept as soon as it is done."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from softspoken.errors import ConfigError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken.evaluation.runner import Method, run_method
from softspoken.evaluation.stage_cache import StageCache
from softspoken.frozen import Frozen
from softspoken.scoring.text import TextNormalizer
from softspoken.scoring.word_errors import Difference, Score, UtteranceScore, paired_difference, summarize
from softspoken_lab.noise.bank import NoiseBank
from softspoken_lab.testsets.grid import Cell, CellSet, GridSpec, make_cell

Report = Callable[[str, int, int], None]
"""Told what is being done, and how much is done of how much."""
HIGH_OVERLAP = 0.5
"""From here on a cell counts for the rows of high overlap."""


class CellItem(Frozen):
    """What a method wrote for one item of a cell, and its errors."""

    id: str
    reference: str
    hypothesis: str
    presence: float | None
    seconds: float
    substitutions: int
    deletions: int
    insertions: int
    words: int
    silent: bool
    wrote: bool

    @property
    def score(self) -> UtteranceScore:
        """Its errors, to be summed."""
        return UtteranceScore(self.substitutions, self.deletions, self.insertions, self.words, self.silent, self.wrote)


class CellItems(Frozen):
    """All items of a cell, as kept on disk."""

    items: tuple[CellItem, ...]


@dataclass(frozen=True)
class Measured:
    """One method on one cell."""

    method: str
    cell: Cell
    items: tuple[CellItem, ...]
    kept: bool
    """Not measured now, but found on disk."""

    @property
    def score(self) -> Score:
        """WER with its interval over the cell's utterances, and rejection."""
        return summarize([item.score for item in self.items])

    @property
    def seconds(self) -> float:
        """It took, when it was measured."""
        return sum(item.seconds for item in self.items)


@dataclass(frozen=True)
class Total:
    """One method over many cells of one number of talkers.

    The cells have the same targets: all that was written for one target is resampled together, since the same words
    in ten cells are not ten samples of speech.
    """

    method: str
    talkers: int
    least_overlap: float
    """Cells from this share on."""
    score: Score
    rejection_rate: float | None
    silent: int
    """Items with a silent target."""
    difference: Difference | None
    """WER less that of the first method; None of the first."""


@dataclass(frozen=True)
class GridResult:
    """A whole grid, measured."""

    grid: GridSpec
    methods: tuple[Method, ...]
    sets: dict[Cell, CellSet]
    measured: tuple[Measured, ...]

    def find(self, method: str, cell: Cell) -> Measured:
        """One method on one cell."""
        return next(one for one in self.measured if (one.method, one.cell) == (method, cell))

    def totals(self) -> tuple[Total, ...]:
        """By talkers, overlap (all, high) and method."""
        found = []
        for talkers in self.grid.talkers:
            for least in (0.0, HIGH_OVERLAP):
                cells = [cell for cell in self.grid.cells if cell.talkers == talkers and cell.overlap >= least]
                if cells and (least == 0.0 or len(cells) < len(self.grid.cells) / len(self.grid.talkers)):
                    found += self._totals(cells, talkers, least)
        return tuple(found)

    def _totals(self, cells: Sequence[Cell], talkers: int, least: float) -> list[Total]:
        first: dict[str, UtteranceScore] | None = None
        found = []
        for method in self.methods:
            items = [item for cell in cells for item in self.find(method.name, cell).items]
            spoken = _by_target(item for item in items if not item.silent)
            silent = [item for item in items if item.silent]
            difference = None
            if first is None:
                first = spoken
            elif set(first) == set(spoken):
                difference = paired_difference(list(spoken.values()), [first[name] for name in spoken])
            rejected = sum(not item.wrote for item in silent) / len(silent) if silent else None
            score = summarize(list(spoken.values()))
            found.append(Total(method.name, talkers, least, score, rejected, len(silent), difference))
        return found


def measure_grid(
    grid: GridSpec,
    speech_manifest: Path,
    out: Path,
    methods: Sequence[Method],
    noise: NoiseBank | None = None,
    report: Report = lambda what, done, total: None,
    note: Callable[[str], None] = lambda line: None,
) -> GridResult:
    """Make the cells below `out/cells` and run every method on each; what is there already is used.

    A cell's answers are kept below `out/results`, whole or not at all, under a digest of what was measured: the files
    of the cell, the method's identity (digest of a prompt, fingerprint of the backbone, ...) and the version of
    softspoken. A grid that was killed goes on with the first cell that is not done; a method that says nothing of its
    identity is measured again each time. `note` is told what is not kept or found damaged.

    Raises ConfigError when `out` cannot be made; as `build_mixtures` and the methods do.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder '{out}' ({error.strerror}); choose another place") from error
    cache = StageCache(out / "results", note)
    sets: dict[Cell, CellSet] = {}
    # All of them first: too few talkers for three at once shows at once, not after an hour of two.
    for number, cell in enumerate(grid.cells):
        report(f"mixtures: {cell.name}", number, len(grid.cells))
        sets[cell] = make_cell(grid, cell, speech_manifest, out / "cells", noise)
    measured = []
    work = [(cell, method) for cell in grid.cells for method in methods]
    normalize = TextNormalizer()
    for number, (cell, method) in enumerate(work):
        report(f"{method.name}: {cell.name}", number, len(work))
        measured.append(_measure(sets[cell], method, normalize, cache))
    report("done", len(work), len(work))
    for method in methods:
        if method.identity is None:
            note(f"method '{method.name}' does not say what its answers depend on: they are not kept")
    return GridResult(grid, tuple(methods), sets, tuple(measured))


def _measure(cell_set: CellSet, method: Method, normalize: TextNormalizer, cache: StageCache) -> Measured:
    def compute() -> CellItems:
        result = run_method(method, read_evaluation_manifest(cell_set.manifest), normalize)
        return CellItems(
            items=tuple(
                CellItem(
                    id=item.id,
                    reference=item.reference,
                    hypothesis=item.hypothesis,
                    presence=item.transcript.presence,
                    seconds=round(item.seconds, 4),
                    **asdict(item.score),
                )
                for item in result.items
            )
        )

    cell = cell_set.cell
    if method.identity is None:
        return Measured(method.name, cell, compute().items, kept=False)
    # A prompt is known by its digest wherever it lies; other methods are told apart by their names.
    named = None if "digest" in method.identity else method.name
    inputs: dict[str, Any] = {"cell": cell_set.digest, "method": named, "identity": dict(method.identity)}
    done = cache.get(cell.name, inputs, CellItems, compute)
    return Measured(method.name, cell, done.result.items, done.kept)


def _by_target(items: Iterable[CellItem]) -> dict[str, UtteranceScore]:
    """Errors of each target summed over the cells it is in."""
    found: dict[str, list[CellItem]] = defaultdict(list)
    for item in items:
        found[item.id].append(item)
    return {
        name: UtteranceScore(
            substitutions=sum(item.substitutions for item in found[name]),
            deletions=sum(item.deletions for item in found[name]),
            insertions=sum(item.insertions for item in found[name]),
            words=sum(item.words for item in found[name]),
        )
        for name in sorted(found)
    }
