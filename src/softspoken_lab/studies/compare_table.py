"""A comparison as Markdown for people and as plain values for programs."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from softspoken_lab.analysis.tables import Estimate, estimate_columns
from softspoken_lab.report.numbers import interval, percent, points, points_interval
from softspoken_lab.studies.compare import Comparison, Row
from softspoken_lab.studies.groups import configuration

NOTHING = "-"
Column = tuple[str, Callable[[Row], str]]


def comparison_json(found: Comparison) -> dict[str, Any]:
    """All of it; what a run lacks is null."""
    return {
        "baseline": found.baseline,
        "tests": list(found.tests),
        "resampled": f"seeds and {found.by}s",
        "rows": [_row_json(row) for row in found.rows],
        "notes": list(found.notes),
    }


def comparison_markdown(found: Comparison) -> str:
    """One row a configuration; the numbers of every test first, then what the runs took."""
    columns: list[Column] = [("runs", lambda row: row.name)]
    if any(len(row.group.seeds) > 1 for row in found.rows):
        columns.append(("seeds", lambda row: str(len(row.group.seeds))))
    for test in found.tests:
        columns += _test_columns(test, found)
    if any(row.development_wer is not None for row in found.rows):
        columns.append(("WER while training %", lambda row: _or_nothing(row.development_wer, lambda v: percent(v, 1))))
    columns += [
        ("trained", lambda row: _or_nothing(row.costs.trained_parameters, lambda v: f"{v:,}")),
        ("stored", lambda row: _or_nothing(row.costs.stored_bytes, _bytes)),
        ("training", lambda row: _or_nothing(row.costs.train_seconds, _time)),
        ("memory", lambda row: _or_nothing(row.costs.peak_memory_mb, lambda v: f"{v:,.0f} MB")),
        ("mixtures", lambda row: _or_nothing(row.costs.mixtures, lambda v: f"{v:,}")),
    ]
    lines = [_line([title for title, _ in columns]), _line(["---", *["---:"] * (len(columns) - 1)])]
    lines += [_line([cell(row) for _, cell in columns]) for row in found.rows]
    words = [
        f"WER and differences in percent of the words, with 95 % intervals (bootstrap over seeds and {found.by}s); "
        f"differences are to '{found.baseline}' on the same utterances, * where the interval leaves out zero."
    ]
    return (
        "\n".join([*lines, "", *(words if found.tests else []), *(f"- {note}" for note in found.notes)]).rstrip() + "\n"
    )


def _test_columns(test: str, found: Comparison) -> list[Column]:
    prefix = f"{test}: " if len(found.tests) > 1 else ""
    cells = {row.name: row.cells.get(test) for row in found.rows}
    columns: list[Column] = [
        (f"{prefix}WER %", lambda row: _or_nothing(cells[row.name], lambda cell: _estimate(cell.wer))),
        (
            f"{prefix}difference",
            lambda row: _or_nothing(cells[row.name], lambda cell: _or_nothing(cell.difference, _difference)),
        ),
    ]
    if any(cell is not None and cell.rejection is not None for cell in cells.values()):
        columns.append(
            (
                f"{prefix}silent rejected %",
                lambda row: _or_nothing(cells[row.name], lambda cell: _or_nothing(cell.rejection, _estimate)),
            )
        )
    return columns


def _or_nothing(value: Any, shown: Callable[[Any], str]) -> str:
    return NOTHING if value is None else shown(value)


def _estimate(value: Estimate) -> str:
    return f"{percent(value.value, 1)} [{interval(value, 1)}]"


def _difference(value: Estimate) -> str:
    return f"{points(value.value, 1)} [{points_interval(value, 1)}]{' *' if value.certain else ''}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 10_000 else f"{count / 1e3:.1f} kB"


def _time(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _row_json(row: Row) -> dict[str, Any]:
    config = row.group.config
    return {
        "name": row.name,
        "runs": [str(record.folder) for record in row.group.records],
        "seeds": list(row.group.seeds) if config is not None else [],
        "tests": {
            test: {
                "seeds": list(cell.seeds) if config is not None else [],
                **estimate_columns("wer", cell.wer),
                "difference": None
                if cell.difference is None
                else {**estimate_columns("wer", cell.difference), "significant": cell.difference.certain},
                **estimate_columns("rejection_rate", cell.rejection),
            }
            for test, cell in row.cells.items()
        },
        "development_wer": row.development_wer,
        **asdict(row.costs),
        "configuration": None if config is None else configuration(config),
    }
