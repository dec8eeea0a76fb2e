"""What came of a grid, to read: `grid.json`, `grid.md` and the heat map `grid.svg`."""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from softspoken import __version__
from softspoken.files import replace_text
from softspoken.scoring.word_errors import Score
from softspoken_lab.report.drawing import svg
from softspoken_lab.report.heatmap import HeatCell, HeatMap, heat_maps
from softspoken_lab.studies.grid import GridResult, Measured, Total
from softspoken_lab.testsets.grid import Cell

_LONGEST_NAME = 34
"""Letters that fit above a panel."""


def write_grid(result: GridResult, out: Path) -> tuple[Path, Path, Path]:
    """Write the three files into `out`, each whole or not at all."""
    texts = {
        "grid.json": json.dumps(grid_json(result), indent=2, ensure_ascii=False) + "\n",
        "grid.md": grid_markdown(result),
        "grid.svg": svg(grid_figure(result)),
    }
    for name, text in texts.items():
        replace_text(out / name, text)
    return out / "grid.json", out / "grid.md", out / "grid.svg"


def grid_json(result: GridResult) -> dict[str, Any]:
    """Everything measured, as plain numbers: options, methods, one row a cell and method, and the totals."""
    return {
        "softspoken": __version__,
        "grid": result.grid.as_dict(),
        "methods": [{"method": one.name, "identity": one.identity} for one in result.methods],
        "cells": [_row(one, result) for one in result.measured],
        "totals": [_total(one) for one in result.totals()],
    }


def _row(one: Measured, result: GridResult) -> dict[str, Any]:
    score, cell = one.score, one.cell
    return {
        "method": one.method,
        "talkers": cell.talkers,
        "overlap": cell.overlap,
        "snr_db": cell.snr_db,
        "covered": round(result.sets[cell].covered, 4),
        **_word_errors(score),
        "utterances": score.utterances,
        "rejection_rate": score.rejection_rate,
        "silent": score.silent,
        "insertions_when_silent": score.insertions_when_silent,
        "seconds": round(one.seconds, 2),
    }


def _total(total: Total) -> dict[str, Any]:
    row = {
        "method": total.method,
        "talkers": total.talkers,
        "least_overlap": total.least_overlap,
        **_word_errors(total.score),
        "targets": total.score.utterances,
        "rejection_rate": total.rejection_rate,
        "silent": total.silent,
    }
    if total.difference is not None:
        interval = total.difference.interval
        row["difference"] = {"wer": total.difference.wer, "wer_low": interval.low, "wer_high": interval.high}
    return row


def _word_errors(score: Score) -> dict[str, Any]:
    interval = score.wer_interval
    return {
        "wer": score.wer,
        "wer_low": None if interval is None else interval.low,
        "wer_high": None if interval is None else interval.high,
        "words": score.words,
        "substitutions": score.substitutions,
        "deletions": score.deletions,
        "insertions": score.insertions,
    }


def grid_figure(result: GridResult) -> Figure:
    """One panel a method (down) and number of talkers (across): overlap down, level across, WER in each cell."""
    panels = [[_panel(result, method.name, talkers) for talkers in result.grid.talkers] for method in result.methods]
    labels = ("overlap with the target", "target against all others (dB)", "word error rate (%)")
    return heat_maps("Word error rate (%) by talkers, overlap and level", _conditions(result), panels, labels)


def _panel(result: GridResult, method: str, talkers: int) -> HeatMap:
    grid = result.grid
    cells = tuple(
        tuple(_heat(result.find(method, Cell(talkers, overlap, snr_db))) for snr_db in grid.snr_db)
        for overlap in grid.overlap
    )
    rows, columns = tuple(f"{overlap:.0%}" for overlap in grid.overlap), tuple(map(_level, grid.snr_db))
    return HeatMap(f"{_short(method)}, {talkers} talkers", rows, columns, cells)


def _heat(one: Measured) -> HeatCell:
    score = one.score
    if score.wer is None or score.wer_interval is None:
        return HeatCell(None, "no words")
    low, high = (f"{100 * bound:.0f}" for bound in (score.wer_interval.low, score.wer_interval.high))
    return HeatCell(score.wer, f"{100 * score.wer:.0f}", f"{low} to {high}")


def grid_markdown(result: GridResult) -> str:
    """The same as tables."""
    parts = [f"# Word error rate by talkers, overlap and level\n\n{_conditions(result)}\n"]
    parts.append(
        "Every further talker overlaps the target by the share of the shorter of the two stretches (first to last "
        "word); the level is the target's against all others together. In brackets the 95 % interval over the "
        "utterances of the cell.\n"
    )
    for talkers in result.grid.talkers:
        for method in result.methods:
            parts.append(f"## {_short(method.name)}, {talkers} talkers\n\n{_table(result, method.name, talkers)}")
    parts.append(totals_table(result))
    seconds = sum(one.seconds for one in result.measured)
    items = sum(len(one.items) for one in result.measured)
    parts.append(f"{items} answers took {seconds:.0f} s, {seconds / max(items, 1):.2f} s each.\n")
    return "\n".join(parts)


def _table(result: GridResult, method: str, talkers: int) -> str:
    grid = result.grid
    lines = [
        "| overlap | target covered | "
        + " | ".join(f"{_level(snr_db)} dB" for snr_db in grid.snr_db)
        + " | silent kept |",
        "|" + "---:|" * (len(grid.snr_db) + 3),
    ]
    for overlap in grid.overlap:
        row = [result.find(method, Cell(talkers, overlap, snr_db)) for snr_db in grid.snr_db]
        silent = [item for one in row for item in one.items if item.silent]
        kept = f"{sum(not item.wrote for item in silent)}/{len(silent)}" if silent else "-"
        covered = result.sets[row[0].cell].covered
        cells = " | ".join(_bracketed(one.score) for one in row)
        lines.append(f"| {overlap:.0%} | {covered:.0%} | {cells} | {kept} |")
    return "\n".join(lines) + "\n"


def totals_table(result: GridResult) -> str:
    """Methods beside each other, over all cells of a number of talkers and over those of high overlap (Markdown)."""
    first = _short(result.methods[0].name)
    lines = [
        f"## All levels together\n\n| talkers | overlap | method | WER | less {first} | words | silent kept |",
        "|---:|---|---|---:|---:|---:|---:|",
    ]
    for total in result.totals():
        overlap = "all" if total.least_overlap == 0.0 else f"from {total.least_overlap:.0%}"
        kept = "-" if total.rejection_rate is None else f"{total.rejection_rate:.0%} of {total.silent}"
        less = "-"
        if total.difference is not None:
            bounds = total.difference.interval
            less = f"{100 * total.difference.wer:+.1f} [{100 * bounds.low:+.1f}, {100 * bounds.high:+.1f}]"
        lines.append(
            f"| {total.talkers} | {overlap} | {_short(total.method)} | {_bracketed(total.score)} | {less} | "
            f"{total.score.words} | {kept} |"
        )
    note = "Intervals resample targets: all that was written for one target, in all cells, stands or falls together."
    return "\n".join(lines) + f"\n\n{note}\n"


def _bracketed(score: Score) -> str:
    if score.wer is None or score.wer_interval is None:
        return "-"
    return f"{score.wer:.1%} [{100 * score.wer_interval.low:.0f}, {100 * score.wer_interval.high:.0f}]"


def _conditions(result: GridResult) -> str:
    grid = result.grid
    found = [f"{grid.mixtures} mixtures a cell of split '{grid.split}', seed {grid.seed}"]
    if grid.noise_snr_db is not None:
        found.append(f"noise {_between(grid.noise_snr_db)} dB below the target")
    if grid.rt60_s is not None:
        found.append(f"rooms of {_between(grid.rt60_s)} s reverberation time")
    return ", ".join(found) + "."


def _between(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g}" if bounds[0] == bounds[1] else f"{bounds[0]:g} to {bounds[1]:g}"


def _level(snr_db: float) -> str:
    return f"{snr_db:+g}".replace("-", "−") if snr_db else "0"


def _short(method: str) -> str:
    """A path by its last two parts; no bars, which would end a table's cell."""
    last = "/".join(method.replace("|", "/").rstrip("/").split("/")[-2:])
    return last if len(last) <= _LONGEST_NAME else f"…{last[1 - _LONGEST_NAME :]}"
