"""Charts of compared runs: shares with their intervals, one below the other, or over something."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from softspoken_lab.analysis.tables import Estimate
from softspoken_lab.report.drawing import COLOURS, INK, MARKERS, WIDTH, marked_line, percent_axis, style, write_beside

_LABEL = 46
"""Letters in a line of a row's name."""


@dataclass(frozen=True)
class Series:
    """A line of a chart. Several may have one name: they share its colour."""

    name: str
    points: tuple[tuple[float, float | Estimate], ...]
    """x and a share; an estimate is drawn with its interval."""


@style()
def interval_chart(
    title: str, rows: Sequence[tuple[str, Estimate]], x_label: str, base: float | None = None, base_label: str = ""
) -> Figure:
    """Shares with their intervals, one below the other. `base`: a line to compare them with."""
    labels = [fill(label, _LABEL, break_long_words=False, break_on_hyphens=False) for label, _ in rows]
    lines = sum(max(2, label.count("\n") + 1) for label in labels)
    figure = Figure(figsize=(WIDTH, 1.1 + 0.22 * lines))
    axes = figure.add_subplot()
    if base is not None:
        marked_line(axes, base, base_label)
    for place, (_, value) in enumerate(rows):
        axes.plot([value.low, value.high], [place] * 2, color=COLOURS[0], linewidth=2)
        axes.plot([value.value], [place], "o", color=COLOURS[0], markersize=7)
        write_beside(axes, float(place), value)
    axes.set_yticks(range(len(rows)), labels, color=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(x_label)
    percent_axis(axes.xaxis, axes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, weight="bold")
    return figure


@style()
def line_chart(
    title: str, series: Sequence[Series], x_label: str, y_label: str, positions: Sequence[int] | None = None
) -> Figure:
    """Shares over something. `positions`: the only values of x, on a logarithmic axis (prompt lengths)."""
    names = list(dict.fromkeys(one.name for one in series))
    figure = Figure(figsize=(WIDTH, 4.2 + 0.22 * len(names)))
    axes = figure.add_subplot()
    for one in series:
        index = names.index(one.name)
        # Beside each other where they would stand one on the other.
        aside = 1.0 if positions is None else 2 ** (0.2 / len(names) * (index - (len(names) - 1) / 2))
        _draw(axes, one, index, aside, 4.0 if len(series) > 6 else 6.0)
    if positions is not None:
        axes.set_xscale("log", base=2)
        axes.set_xticks(positions, list(map(str, positions)))
        axes.minorticks_off()
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    percent_axis(axes.yaxis, axes)
    axes.set_title(title, fontsize=11)
    known = [Line2D([], [], label=name, **_look(index)) for index, name in enumerate(names)]
    figure.legend(handles=known, loc="outside lower left")
    return figure


def _draw(axes: Axes, one: Series, index: int, aside: float, size: float) -> None:
    places = [x * aside for x, _ in one.points]
    axes.plot(places, [_value(y) for _, y in one.points], label=one.name, markersize=size, **_look(index))
    known = [(x, y) for x, (_, y) in zip(places, one.points, strict=True) if isinstance(y, Estimate)]
    for x, y in known:
        axes.vlines(x, y.low, y.high, colors=COLOURS[index % len(COLOURS)], linewidth=2)


def _look(index: int) -> dict[str, Any]:
    """Colour, mark and, where colours come again, dashes."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": "--" if index >= len(COLOURS) else "-",
    }


def _value(value: float | Estimate) -> float:
    return value.value if isinstance(value, Estimate) else value
