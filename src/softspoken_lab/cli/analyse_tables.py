"""Results of analyses for people, for programs, and as CSV."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from softspoken.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from softspoken_lab.analysis.results import (
        Analysis,
        ClusterResult,
        Condition,
        Estimate,
        LeaveOneOutResult,
        ProbeResult,
        RolesResult,
    )


def show(result: "Analysis", csv_file: Path | None, as_json: bool) -> None:
    """Print a result, and write its rows if asked to."""
    from rich.console import Console

    if csv_file is not None:
        write_csv(result, csv_file)
        typer.echo(f"Numbers: {csv_file}", err=True)
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
        return
    print_result(Console(), result)


def write_csv(result: "Analysis", path: Path) -> None:
    """The rows of a result, the file appearing whole. Raises DataError when it cannot be written."""
    from softspoken.files import replace_text

    rows = result.rows()
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    try:
        replace_text(path, text.getvalue())
    except OSError as error:
        raise DataError(f"cannot write '{path}' ({error.strerror}); choose a writable place") from error


def print_result(console: "Console", result: "Analysis") -> None:
    """The table of whatever was found."""
    from softspoken_lab.analysis import results

    about = result.subject
    console.print(
        f"{about.name}: {about.prompts} prompts{f', {about.depth}' if about.depth else ''}, on {about.backbone}",
        highlight=False,
    )
    for one in result.sets:
        console.print(f"  {one.name}: {one.utterances} utterances, {one.words} words", highlight=False)
    match result:
        case results.LeaveOneOutResult():
            _leave_one_out(console, result)
        case results.ClusterResult():
            _clusters(console, result)
        case results.RolesResult():
            _roles(console, result)
        case results.ProbeResult():
            _probe(console, result)
        case results.ReplacementResult():
            _conditions(console, [*_given(result.frozen), result.full, *result.random])
        case results.RemovalResult():
            _conditions(console, [*_given(result.frozen), result.full, result.none])
        case results.ShiftResult():
            _conditions(console, [*_given(result.frozen), result.full, *result.shifted])
        case results.SubsetsResult():
            _conditions(console, result.conditions)


def _given(condition: "Condition | None") -> "list[Condition]":
    return [] if condition is None else [condition]


def _table(*columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _conditions(console: "Console", conditions: "Sequence[Condition]") -> None:
    names = list(conditions[0].wer)
    table = _table("prompts", "m", *(column for name in names for column in (f"{name}: WER", "less full")))
    for condition in conditions:
        cells = []
        for name in names:
            other = condition.difference
            cells += [_rate(condition.wer[name]), "" if other is None else _points(other[name])]
        table.add_row(condition.name, str(len(condition.prompts)), *cells)
    console.print(table)
    console.print(
        "WER in % and differences in points, each with its 95 % interval; *: zero is outside", highlight=False
    )


def _leave_one_out(console: "Console", result: "LeaveOneOutResult") -> None:
    names = list(result.full.wer)
    table = _table("left out", *(column for name in names for column in (f"{name}: WER", "less full")))
    table.add_row("none", *(cell for name in names for cell in (_rate(result.full.wer[name]), "")))
    for entry in result.left_out:
        cells = (cell for name in names for cell in (_rate(entry.wer[name]), _points(entry.difference[name])))
        table.add_row(str(entry.number), *cells)
    console.print(table)
    console.print("A difference above zero: the prompt helped; *: zero is outside its 95 % interval", highlight=False)


def _clusters(console: "Console", result: "ClusterResult") -> None:
    table = _table("vectors", "clusters", "silhouette", "p", "members (prompts of cluster 1; 2; ...)")
    for space in result.spaces:
        members = "; ".join(
            numbers([number for number, label in enumerate(space.labels, start=1) if label == cluster])
            for cluster in sorted(set(space.labels))
        )
        table.add_row(space.name, str(space.k), f"{space.silhouette[space.k]:.3f}", f"{space.p_value:.2f}", members)
    console.print(table)
    console.print("p: share of Gaussian clouds of the same covariance that cluster as well", highlight=False)


def _roles(console: "Console", result: "RolesResult") -> None:
    table = _table("prompt", f"{result.clean}: WER without it, less full", "by curve", "sure", "by clusters")
    for row, delta in zip(result.rows(), result.deltas, strict=True):
        certainty = row["certainty"]
        sure = f"{certainty:.0%}" if isinstance(certainty, float) else "-"
        by_clusters = row["by_clusters"]
        table.add_row(
            str(row["prompt"]),
            _points(delta),
            str(row["by_curve"]),
            sure,
            "-" if by_clusters is None else str(by_clusters),
        )
    console.print(table)
    console.print(f"content: {numbers(result.curve.content)}; noise: {numbers(result.curve.noise)}", highlight=False)
    if result.agreement is not None:
        agreed = result.agreement
        console.print(
            f"curve and clusters: adjusted Rand index {agreed.adjusted_rand:.2f} (p = {agreed.p_value:.3f}), the same "
            f"role for {agreed.share:.0%} of the prompts",
            highlight=False,
        )


def _probe(console: "Console", result: "ProbeResult") -> None:
    table = _table("prompts", "m", "accuracy", "less none", "by fold")
    for row in result.conditions:
        folds = " ".join(f"{100 * fold:.0f}" for fold in row.folds)
        table.add_row(
            row.name,
            str(len(row.prompts)),
            _rate(row.accuracy),
            "" if row.difference is None else _points(row.difference),
            folds,
        )
    console.print(table)
    permuted = sum(result.permuted) / len(result.permuted) if result.permuted else None
    console.print(
        f"{result.examples} examples, {len(result.types)} kinds ({', '.join(result.types)}), "
        f"{result.noise_recordings} noise recordings; chance {result.chance:.1%}"
        + ("" if permuted is None else f", with kinds shuffled {permuted:.1%}"),
        highlight=False,
        soft_wrap=True,
    )
    for kind, why in result.left_out.items():
        console.print(f"left out: {kind} ({why} for {result.fold_count} folds)", highlight=False)


def _rate(estimate: "Estimate") -> str:
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f} .. {100 * estimate.high:.1f})"


def _points(estimate: "Estimate") -> str:
    star = "*" if estimate.certain else " "
    return f"{100 * estimate.value:+.1f} ({100 * estimate.low:+.1f} .. {100 * estimate.high:+.1f}){star}"


def numbers(chosen: "Sequence[int]") -> str:
    """'1-3, 7' of [1, 2, 3, 7]; '-' of none."""
    runs: list[list[int]] = []
    for number in sorted(chosen):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs) or "-"
