"""Table 1 of the noise paper: random vectors in place of the learned ones (section 3.1)."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field

from softspoken.frozen import Frozen
from softspoken_lab.analysis.bootstrap import estimate, wer_draws, wer_of
from softspoken_lab.analysis.results import Counts, RandomPrompts, ReplacementResult
from softspoken_lab.analysis.subject import (
    Report,
    Subject,
    TestSet,
    Variant,
    Vectors,
    conditions,
    frozen_condition,
    full,
    score_all,
    set_infos,
)

Scale = Literal["random", "matched"]


class ReplacementOptions(Frozen):
    """Which noise takes the prompts' place."""

    seeds: int = Field(default=5, ge=1)
    """Draws."""
    scales: tuple[Scale, ...] = ("random", "matched")
    """`random`: standard normal, as in the paper. `matched`: of the length of the vector that it replaces, which shows
    how much is due to the scale alone (beyond the paper)."""
    seed: int = 0
    """Seed of the first draw; the others follow."""


def random_vectors(vectors: Vectors, seed: int, scale: Scale = "random") -> Vectors:
    """Noise of the same shape. Both scales of one seed have the same directions."""
    noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed)).to(vectors)
    if scale == "random":
        return noise
    scaled: Vectors = noise * (vectors.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True))
    return scaled


def replace_randomly(
    subject: Subject,
    sets: Sequence[TestSet],
    options: ReplacementOptions | None = None,
    *,
    frozen: Mapping[str, Counts] | None = None,
    report: Report | None = None,
) -> ReplacementResult:
    """Word error rates with noise in place of the prompts, by seed and on average.

    `frozen`: the errors of a baseline (`score_frozen`), for the table's first row. The interval of an average resamples
    the seeds as well as the speech sources. Raises ConfigError where there are no prompts, DataError for unusable sets.
    """
    options = ReplacementOptions() if options is None else options
    whole = full(subject)
    seeds = tuple(range(options.seed, options.seed + options.seeds))
    variants = [whole.vectors]
    variants += [random_vectors(subject.vectors, seed, scale) for scale in options.scales for seed in seeds]
    counts = score_all(subject, sets, variants, report)
    base = conditions([(whole.name, whole.prompts)], counts)[0]
    random = []
    for number, scale in enumerate(options.scales):
        first = 1 + number * len(seeds)
        random.append(_averaged(scale, whole, seeds, counts, range(first, first + len(seeds))))
    return ReplacementResult(
        subject=subject.info,
        sets=set_infos(counts),
        frozen=frozen_condition(frozen, counts),
        full=base,
        random=tuple(random),
    )


def _averaged(
    name: str, whole: Variant, seeds: Sequence[int], counts: dict[str, Counts], places: Sequence[int]
) -> RandomPrompts:
    """The variants at `places` as one row."""
    wer, difference, by_seed, spread = {}, {}, {}, {}
    for key, one in counts.items():
        rates, draws = wer_of(one), wer_draws(one)
        mean = _mean_of_drawn(draws[:, list(places)])
        by_seed[key] = tuple(float(rates[place]) for place in places)
        average = float(np.mean(by_seed[key]))
        wer[key] = estimate(average, mean)
        difference[key] = estimate(average - float(rates[0]), mean - draws[:, 0])
        spread[key] = float(np.std(by_seed[key], ddof=1)) if len(places) > 1 else 0.0
    return RandomPrompts(
        name=name,
        prompts=whole.prompts,
        wer=wer,
        difference=difference,
        seeds=tuple(seeds),
        by_seed=by_seed,
        spread=spread,
    )


def _mean_of_drawn(draws: Float[np.ndarray, "R S"]) -> Float[np.ndarray, " R"]:
    """The mean over S seeds, drawn with replacement anew in each resample."""
    count = draws.shape[1]
    times = np.random.default_rng(1).multinomial(count, np.full(count, 1 / count), size=draws.shape[0])
    return np.asarray((draws * times).sum(axis=1) / count)
