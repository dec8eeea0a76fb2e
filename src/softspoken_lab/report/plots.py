"""The paper's figures: boxes of the noise probe, the map of the prompts, the leave-one-out curves."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from softspoken_lab.analysis.results import ClusterSpace, LeaveOneOutResult, LeftOut, ProbeResult, ProbeRow, RoleSplit
from softspoken_lab.report.drawing import (
    COLOURS,
    INK,
    MARKERS,
    QUIET,
    SMALL,
    WIDTH,
    marked_line,
    percent_axis,
    style,
    write_beside,
)
from softspoken_lab.report.numbers import interval, percent, plain

_CONTENT, _NOISE = COLOURS[0], COLOURS[1]
_GROUND = "#fdeed8"
"""Behind noise prompts."""
_BOXES = {"none": "#d9d7d0", "frozen": "#d9d7d0", "noise": "#f6d3a6"}
_BOX = "#c6d7ea"
_ALL_NUMBERED = 30
"""Up to so many prompts each has its number on the axis."""


@style()
def probe_boxes(probe: ProbeResult, rows: Sequence[tuple[str, ProbeRow]]) -> Figure:
    """Figures 1 and 4: how often the noise type is told, one box over the folds a row (label, what was found).

    A box goes from the first to the third quartile, whiskers to the furthest fold within 1.5 box lengths.
    """
    figure = Figure(figsize=(WIDTH, 1.0 + 0.75 * len(rows)))
    axes = figure.add_subplot()
    places = np.arange(len(rows), dtype=float)
    if probe.permuted:
        axes.axvspan(min(probe.permuted), max(probe.permuted), color=QUIET, alpha=0.16, linewidth=0)
    marked_line(axes, probe.chance, f"chance {percent(probe.chance, 1)} %")
    boxes = axes.boxplot(
        [row.folds for _, row in rows],
        positions=places - 0.12,
        orientation="horizontal",
        widths=0.36,
        showfliers=False,
        patch_artist=True,
        medianprops={"color": INK, "linewidth": 2},
    )
    for place, (_, row), box in zip(places, rows, boxes["boxes"], strict=True):
        box.set_facecolor(_BOXES.get(row.name, _BOX))
        # Up and down in turn, so that equal folds are both seen.
        aside = [place - 0.12 + (-0.08, 0.06, 0.0, 0.11, -0.12)[number % 5] for number in range(len(row.folds))]
        axes.scatter(row.folds, aside, s=14, facecolor="white", edgecolor=INK, linewidth=0.9, zorder=3)
        mean = row.accuracy
        axes.plot([mean.low, mean.high], [place + 0.22] * 2, color=INK, linewidth=1.8)
        axes.plot([mean.value], [place + 0.22], "D", color=INK, markersize=5)
        write_beside(axes, place, mean)
    axes.set_yticks(places, [label for label, _ in rows], color=INK, fontsize=10)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("accuracy of telling the noise type (%)")
    percent_axis(axes.xaxis, axes)
    return figure


def probe_words(probe: ProbeResult, rows: Sequence[tuple[str, ProbeRow]]) -> str:
    """What the boxes show."""
    means = "; ".join(
        f"{label}: {percent(row.accuracy.value, 1)} % ({interval(row.accuracy, 1)})" for label, row in rows
    )
    return f"Box plot of accuracies over {probe.fold_count} folds. {means}."


@style()
def prompt_map(space: ClusterSpace) -> Figure:
    """Figure 2: t-SNE of the prompts with their numbers, by cluster; beside it the silhouette of each k."""
    figure = Figure(figsize=(WIDTH, 4.6))
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _map(left, space, 190.0 if len(space.points) <= _ALL_NUMBERED else 110.0)
    numbers, values = list(space.silhouette), list(space.silhouette.values())
    colours = [_CONTENT if k == space.k else QUIET for k in numbers]
    right.vlines(numbers, 0, values, colors=colours, linewidth=2)
    right.scatter(numbers, values, c=colours, s=40, zorder=3)
    for k, value in space.silhouette.items():
        above = (0, 7 if value >= 0 else -14)
        right.annotate(plain(value, 3), (k, value), above, textcoords="offset points", ha="center", fontsize=SMALL)
    right.axhline(0, color=QUIET, linewidth=0.8)
    right.margins(0.12, 0.15)
    right.set_xticks(numbers)
    right.set_xlabel("number of clusters")
    right.set_title("silhouette by number of clusters")
    right.grid(axis="y")
    return figure


@style()
def small_map(space: ClusterSpace) -> Figure:
    """The same for one layer of deep prompts, without the silhouettes."""
    figure = Figure(figsize=(2.9, 2.9))
    _map(figure.add_subplot(), space, 110.0)
    return figure


def _map(axes: Axes, space: ClusterSpace, size: float) -> None:
    places = np.array(space.points)
    labels = np.array(space.labels)
    for label in sorted(set(space.labels)):
        own = places[labels == label]
        axes.scatter(own[:, 0], own[:, 1], s=size, c=COLOURS[label % 6], marker=MARKERS[label % 6])
    words = {"ha": "center", "va": "center_baseline", "color": "white", "fontsize": size**0.5 * 0.58, "weight": "bold"}
    for number, place in enumerate(space.points, start=1):
        axes.annotate(str(number), place, **words)
    axes.set_aspect("equal", "datalim")
    axes.margins(0.1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right"]].set_visible(True)


def map_words(space: ClusterSpace) -> str:
    """What the map shows: every prompt's cluster and length, and the silhouettes."""
    groups = []
    for cluster in sorted(set(space.labels)):
        own = [
            f"{number} (length {plain(norm)})"
            for number, (label, norm) in enumerate(zip(space.labels, space.norms, strict=True), start=1)
            if label == cluster
        ]
        groups.append(f"Cluster {cluster + 1}: prompt{'s' if len(own) > 1 else ''} {', '.join(own)}.")
    found = ", ".join(f"{plain(value, 3)} with {k}" for k, value in space.silhouette.items())
    return (
        f"t-SNE of {len(space.points)} prompt vectors ({space.name}) in {space.k} clusters. {' '.join(groups)} "
        f"Silhouette by number of clusters: {found}."
    )


@style()
def left_out_curves(result: LeaveOneOutResult, split: RoleSplit | None) -> Figure:
    """Figure 3: word error rate with each prompt left out, one panel a set; noise prompts stand on a tinted ground.

    The interval of each point is that of its paired difference to all prompts, drawn around the point: it crosses the
    line of all prompts exactly where the difference's interval contains zero.
    """
    names, count = list(result.full.wer), len(result.left_out)
    figure = Figure(figsize=(WIDTH, 0.5 + 1.9 * len(names)))
    panels = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        full = result.full.wer[name].value
        for entry in result.left_out:
            _point(axes, entry, name, full, split)
        axes.axhline(full, color=INK, linestyle=(0, (6, 4)), linewidth=1)
        axes.set_title(f"{name}: WER (%), all prompts {percent(full)}")
        axes.set_xlim(0.4, count + 0.6)
        shown = [n for n in range(1, count + 1) if count <= _ALL_NUMBERED or n == 1 or n % 5 == 0]
        axes.set_xticks(shown, list(map(str, shown)))
        percent_axis(axes.yaxis, axes)
    panels[-1].set_xlabel("prompt left out")
    return figure


def _point(axes: Axes, entry: LeftOut, name: str, full: float, split: RoleSplit | None) -> None:
    noise = split is not None and entry.number in split.noise
    colour = INK if split is None else _NOISE if noise else _CONTENT
    difference = entry.difference[name]
    if noise:
        axes.axvspan(entry.number - 0.5, entry.number + 0.5, color=_GROUND, linewidth=0)
    axes.vlines(entry.number, full + difference.low, full + difference.high, colors=colour, linewidth=1.8)
    axes.plot(
        [entry.number],
        [entry.wer[name].value],
        MARKERS[1 if noise else 0],
        color=colour,
        markerfacecolor=colour if difference.certain else "white",
        markersize=6,
        markeredgewidth=1.4,
    )


def curve_words(result: LeaveOneOutResult) -> str:
    """What the curves show."""
    return (
        f"Word error rate with each of {len(result.left_out)} prompts left out, on {', '.join(result.full.wer)}; the "
        "numbers are in the table below."
    )
