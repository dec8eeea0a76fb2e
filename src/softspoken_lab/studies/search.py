"""Which learning rate: short runs that differ in nothing else, compared on the development talkers.

The second paper (section 2.2) searches [2e-5, 3e-4] and takes 1e-4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from softspoken.errors import ConfigError
from softspoken.training.loop import BEST
from softspoken.training.state import read_progress
from softspoken_lab.studies.recipes import Recipe, run_recipe

PAPER_RATES = (2e-5, 5e-5, 1e-4, 2e-4, 3e-4)


@dataclass(frozen=True)
class SearchResult:
    """One rate's run."""

    learning_rate: float
    score: float
    """Best development figure (word error rate; for noise the mean of clean and noisy speech). Lower is better."""
    run: Path


def search_learning_rate(
    config: Recipe,
    out: Path,
    rates: Sequence[float] = PAPER_RATES,
    report: Callable[[SearchResult], None] | None = None,
) -> list[SearchResult]:
    """A run for each rate in a folder of its own below `out`, best first. Finished runs are not repeated.

    Raises ConfigError for rates that are not positive or given twice.
    """
    if not rates or len(set(rates)) < len(rates) or min(rates) <= 0:
        raise ConfigError(f"learning rates {list(rates)}; give different ones above 0")
    results = []
    for rate in rates:
        folder = out / f"lr-{rate:g}"
        run_recipe(config.model_copy(update={"learning_rate": rate}), folder)
        best = read_progress(folder / BEST).best
        assert best is not None
        results.append(SearchResult(rate, best, folder))
        if report is not None:
            report(results[-1])
    return sorted(results, key=lambda result: result.score)
