"""Runs beside each other: one row a configuration, with intervals over seeds and utterances and paired differences."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Literal

import numpy as np
from jaxtyping import Int

from softspoken.errors import ConfigError, DataError
from softspoken.scoring.word_errors import UtteranceScore
from softspoken_lab.analysis.bootstrap import estimate
from softspoken_lab.analysis.seeds import SeedCounts, mean_rate, seed_draws
from softspoken_lab.analysis.tables import Estimate
from softspoken_lab.studies.groups import Group, group_runs
from softspoken_lab.studies.records import Costs, Evaluation, is_stale, read_run

By = Literal["utterance", "talker"]
"""What is resampled beside seeds: utterances one by one, or all utterances of a talker together."""
_LIBRISPEECH = re.compile(r"(\d+)-\d+-\d{4}")
"""An utterance of LibriSpeech: its talker is in its name."""


@dataclass(frozen=True)
class TestCell:
    """One configuration on one test."""

    __test__ = False  # not a test of pytest's

    seeds: tuple[int, ...]
    """Those that were scored on it."""
    wer: Estimate
    difference: Estimate | None
    """Less the baseline, on the same utterances; None: this is the baseline, or it was not scored."""
    rejection: Estimate | None
    """Share of silent targets for whom nothing was written; None: there are none."""


@dataclass(frozen=True)
class Row:
    """One configuration."""

    name: str
    group: Group
    cells: dict[str, TestCell]
    """By test; what was not scored is not there."""
    costs: Costs
    """Means over its runs."""
    development_wer: float | None
    """Lowest on the development mixtures while training, mean over its runs."""


@dataclass(frozen=True)
class Comparison:
    """The table."""

    rows: tuple[Row, ...]
    baseline: str
    tests: tuple[str, ...]
    by: By
    notes: tuple[str, ...]
    """What a reader has to know before trusting it."""


def compare_runs(
    folders: Sequence[Path],
    baseline: str = "first",
    tests: Sequence[str] = (),
    by: By = "utterance",
    names: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare runs on the tests that they were scored on (`softspoken-lab score`); `tests`: only these.

    `baseline`: 'first', a run's folder or a row's name. `names`: names of rows, by folder.

    Raises ConfigError for a folder without a run, a test that no run has or an unknown baseline; DataError where runs
    were scored on other items under one name, or talkers are asked for that are not known.
    """
    groups = group_runs([read_run(folder) for folder in folders], names)
    known = dict.fromkeys(name for group in groups for record in group.records for name in record.evaluations)
    for name in tests:
        if name not in known:
            raise ConfigError(
                f"no run was scored on '{name}'; known: {', '.join(known) or 'none'}; run 'softspoken-lab score'"
            )
    base = _baseline(groups, baseline)
    chosen = tuple(dict.fromkeys(tests)) if tests else tuple(known)
    cells = {test: _cells(groups, base, test, by) for test in chosen}
    rows = tuple(
        Row(
            name=group.name,
            group=group,
            cells={test: cells[test][group.name] for test in chosen if group.name in cells[test]},
            costs=_costs(group),
            development_wer=_mean([record.best_wer for record in group.records]),
        )
        for group in groups
    )
    return Comparison(rows, base.name, chosen, by, tuple(_notes(rows, chosen)))


def _baseline(groups: Sequence[Group], wanted: str) -> Group:
    if wanted == "first":
        return groups[0]
    for group in groups:
        folders = [record.folder for record in group.records]
        if wanted == group.name or any(Path(wanted).resolve() == folder.resolve() for folder in folders):
            return group
    raise ConfigError(
        f"the baseline '{wanted}' is none of the runs; give 'first', one of their folders or a row's name"
    )


def _cells(groups: Sequence[Group], base: Group, test: str, by: By) -> dict[str, TestCell]:
    scored = {
        group.name: {r.seed: r.evaluations[test] for r in group.records if test in r.evaluations} for group in groups
    }
    scored = {name: found for name, found in scored.items() if found}
    _check_same_test(test, [evaluation for found in scored.values() for evaluation in found.values()])
    return {
        name: TestCell(
            seeds=tuple(found),
            wer=_rate([found], _errors, by),
            difference=None
            if name == base.name or base.name not in scored
            else _rate([found, scored[base.name]], _errors, by),
            rejection=_rate([found], _rejected, by, most=1.0) if _common([found], _rejected) else None,
        )
        for name, found in scored.items()
    }


Count = Callable[[UtteranceScore], tuple[int, int] | None]
"""Hits and total of an item; None: it does not count."""


def _errors(score: UtteranceScore) -> tuple[int, int] | None:
    return None if score.silent else (score.errors, score.words)


def _rejected(score: UtteranceScore) -> tuple[int, int] | None:
    return (int(not score.wrote), 1) if score.silent else None


def _common(groups: Sequence[Mapping[int, Evaluation]], count: Count) -> list[str]:
    """Items that count and that all of these were scored on."""
    every = [evaluation for found in groups for evaluation in found.values()]
    return [
        item
        for item, score in every[0].scores.items()
        if count(score) is not None and all(item in evaluation.scores for evaluation in every)
    ]


def _rate(groups: Sequence[Mapping[int, Evaluation]], count: Count, by: By, most: float = float("inf")) -> Estimate:
    """The rate of one configuration (`most`: the highest there can be), or of the first less the second, over the items
    that both have."""
    items = _common(groups, count)
    first = next(iter(groups[0].values()))
    totals = np.array([_counted(first.scores[item], count)[1] for item in items], dtype=np.int64)
    counts = [_seed_counts(found, items, count) for found in groups]
    draws = seed_draws(_clusters(first, items, by), totals, counts)
    values = [mean_rate(one, totals) for one in counts]
    if len(groups) == 1:
        # Draws of few seeds are widened, and may leave what a rate can be.
        return estimate(values[0], draws[:, 0].clip(0.0, most))
    return estimate(values[0] - values[1], draws[:, 0] - draws[:, 1])


def _seed_counts(found: Mapping[int, Evaluation], items: Sequence[str], count: Count) -> SeedCounts:
    errors: Int[np.ndarray, "S U"] = np.array(
        [[_counted(evaluation.scores[item], count)[0] for item in items] for evaluation in found.values()],
        dtype=np.int64,
    )
    return SeedCounts(tuple(found), errors)


def _counted(score: UtteranceScore, count: Count) -> tuple[int, int]:
    found = count(score)
    return (0, 0) if found is None else found


def _clusters(evaluation: Evaluation, items: Sequence[str], by: By) -> list[str]:
    if by == "utterance":
        return list(items)
    talkers = {item: evaluation.talkers.get(item, _talker_in(item)) for item in items}
    unknown = [item for item, talker in talkers.items() if talker is None]
    if unknown:
        raise DataError(
            f"the talker of '{unknown[0]}' is not known; give the manifest a \"target\" and score again, or resample "
            "utterances"
        )
    return [str(talkers[item]) for item in items]


def _talker_in(item: str) -> str | None:
    found = _LIBRISPEECH.fullmatch(item)
    return None if found is None else found.group(1)


def _check_same_test(test: str, evaluations: Sequence[Evaluation]) -> None:
    if len({(evaluation.manifest, evaluation.limit) for evaluation in evaluations}) > 1:
        raise DataError(f"runs were scored on different items under the name '{test}'; score them on one manifest")
    words: dict[str, tuple[int, bool]] = {}
    for evaluation in evaluations:
        for item, score in evaluation.scores.items():
            if words.setdefault(item, (score.words, score.silent)) != (score.words, score.silent):
                raise DataError(f"'{item}' of '{test}' has other reference words in another run; score them again")


def _costs(group: Group) -> Costs:
    def mean(name: str) -> float | None:
        return _mean([getattr(record.costs, name) for record in group.records])

    def whole(name: str) -> int | None:
        value = mean(name)
        return None if value is None else round(value)

    return Costs(
        trained_parameters=whole("trained_parameters"),
        stored_bytes=whole("stored_bytes"),
        train_seconds=mean("train_seconds"),
        peak_memory_mb=mean("peak_memory_mb"),
        mixtures=whole("mixtures"),
    )


def _mean(values: Sequence[int | float | None]) -> float | None:
    """None where one of them is missing: a mean of some would not be that of the row."""
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _notes(rows: Sequence[Row], tests: Sequence[str]) -> list[str]:
    notes = []
    for row in rows:
        for record in row.group.records:
            if record.unfinished and record.config is not None:
                done = 0 if record.steps_done is None else record.steps_done
                notes.append(f"'{record.folder}': stopped after {done} of {record.config['steps']} steps")
            notes += [
                f"'{record.folder}': went on training after it was scored on '{name}'; score it again"
                for name in tests
                if name in record.evaluations and is_stale(record, record.evaluations[name])
            ]
        for name, cell in row.cells.items():
            if len(cell.seeds) < len(row.group.seeds):
                notes.append(f"{row.name}: {len(cell.seeds)} of {len(row.group.seeds)} seeds scored on '{name}'")
    if any(len(cell.seeds) == 1 and row.group.config is not None for row in rows for cell in row.cells.values()):
        notes.append("rows of one seed: the intervals are over the test alone and say nothing of another training")
    return notes
