"""The paper's figures as drawings: boxes of the noise probe, the map of the prompts, the leave-one-out curves."""

from collections.abc import Sequence

import numpy as np

from softspoken_lab.analysis.results import ClusterSpace, LeaveOneOutResult, LeftOut, ProbeResult, ProbeRow, RoleSplit
from softspoken_lab.report.numbers import interval, percent, plain, points, points_interval
from softspoken_lab.report.svg import Real, Scale, drawing, line, mark, padded, rect, shape, text, tick_label, ticks

WIDTH = 900
"""Of a full drawing; also its largest size on the page in pixels."""


def probe_boxes(probe: ProbeResult, rows: Sequence[tuple[str, ProbeRow]]) -> str:
    """Figures 1 and 4: how often the noise type is told, one box over the folds a row (label, what was found)."""
    left, right, top, row_height = 190, WIDTH - 200, 30, 66
    bottom = top + row_height * len(rows)
    known = [value for _, row in rows for value in (*row.folds, row.accuracy.low, row.accuracy.high)]
    low, high = padded([*known, probe.chance, *probe.permuted])
    scale = Scale(max(low, 0.0), min(high, 1.0), left, right)
    parts = [x_axis(scale, top, bottom, "accuracy of telling the noise type (%)")]
    if probe.permuted:
        first, last = scale(min(probe.permuted)), scale(max(probe.permuted))
        spread = f"shuffled types: {percent(min(probe.permuted), 1)} to {percent(max(probe.permuted), 1)} %"
        parts.append(mark(spread, [rect(first, top, max(last - first, 2), bottom - top, "band nothing")]))
    chance = scale(probe.chance)
    parts.append(line(chance, top - 6, chance, bottom, "chance"))
    parts.append(text(chance, top - 11, f"chance {percent(probe.chance, 1)} %", "middle", "small"))
    for index, (label, row) in enumerate(rows):
        middle = top + row_height * (index + 0.5)
        parts.append(text(left - 14, middle + 5, label, "end"))
        parts.append(_box(row, middle - 8, scale))
        parts.append(_mean(label, row, middle + 22, scale))
        parts.append(text(right + 14, middle, f"{percent(row.accuracy.value, 1)} %", classes="strong"))
        parts.append(text(right + 14, middle + 17, interval(row.accuracy, 1), classes="small"))
    means = "; ".join(
        f"{label}: {percent(row.accuracy.value, 1)} % ({interval(row.accuracy, 1)})" for label, row in rows
    )
    return drawing(WIDTH, bottom + 52, f"Box plot of accuracies over {probe.fold_count} folds. {means}.", parts)


def _box(row: ProbeRow, y: Real, scale: Scale) -> str:
    """Quartiles and median, whiskers to the furthest fold within 1.5 box lengths, every fold as a dot."""
    folds = np.array(row.folds)
    first, median, third = (float(value) for value in np.percentile(folds, [25, 50, 75]))
    reach = 1.5 * (third - first)
    inside = folds[(folds >= first - reach) & (folds <= third + reach)]
    low, high = float(inside.min()), float(inside.max())
    kind = row.name if row.name in ("content", "noise", "none", "frozen") else "full"
    tip = (
        f"{len(row.folds)} folds: median {percent(median, 1)} %, quartiles {percent(first, 1)} and "
        f"{percent(third, 1)} %, from {percent(float(folds.min()), 1)} to {percent(float(folds.max()), 1)} %"
    )
    parts = [
        line(scale(low), y, scale(first), y, "whisker"),
        line(scale(third), y, scale(high), y, "whisker"),
        line(scale(low), y - 6, scale(low), y + 6, "whisker"),
        line(scale(high), y - 6, scale(high), y + 6, "whisker"),
        rect(scale(first), y - 12, max(scale(third) - scale(first), 2), 24, f"box {kind}"),
        line(scale(median), y - 12, scale(median), y + 12, "median"),
    ]
    # Up and down in turn, so that equal folds are both seen.
    parts += [
        f'<circle cx="{scale(fold):g}" cy="{y + (-5, 4, 0, 7, -8)[number % 5]:g}" r="2.6" class="fold"/>'
        for number, fold in enumerate(row.folds)
    ]
    return mark(tip, parts)


def _mean(label: str, row: ProbeRow, y: Real, scale: Scale) -> str:
    tip = f"{label}: mean {percent(row.accuracy.value, 1)} %, 95 % interval {interval(row.accuracy, 1)}"
    return mark(
        tip,
        [
            line(scale(row.accuracy.low), y, scale(row.accuracy.high), y, "interval"),
            shape(3, scale(row.accuracy.value), y, 4, "mean"),
        ],
    )


def prompt_map(space: ClusterSpace) -> str:
    """Figure 2: t-SNE of the prompts with their numbers, by cluster; beside it the silhouette of each k."""
    size = 440
    return drawing(
        WIDTH,
        size + 10,
        f"t-SNE of {len(space.points)} prompt vectors ({space.name}) in {space.k} clusters, and silhouettes by number "
        "of clusters. " + cluster_words(space),
        [*_map(space, 10, 8, size - 20), *_silhouettes(space, 545, 40, 330, 320)],
        "map",
    )


def small_map(space: ClusterSpace) -> str:
    """The same for one layer of deep prompts, without the silhouettes."""
    label = f"t-SNE of the vectors of {space.name}, {space.k} clusters. {cluster_words(space)}"
    return drawing(280, 280, label, _map(space, 4, 4, 272), "map small-map")


def cluster_words(space: ClusterSpace) -> str:
    """'Cluster 1: prompts 1, 2; cluster 2: prompt 3.'"""
    words = []
    for cluster in sorted(set(space.labels)):
        numbers = [str(index) for index, label in enumerate(space.labels, start=1) if label == cluster]
        words.append(f"cluster {cluster + 1}: prompt{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}")
    return ("; ".join(words) + ".").capitalize()


def _map(space: ClusterSpace, x: Real, y: Real, size: Real) -> list[str]:
    places = np.array(space.points)
    centre = (places.max(axis=0) + places.min(axis=0)) / 2
    reach = max(float(np.abs(places - centre).max()), 1e-9) * 1.12
    across = Scale(float(centre[0]) - reach, float(centre[0]) + reach, x, x + size)
    up = Scale(float(centre[1]) - reach, float(centre[1]) + reach, y + size, y)
    parts = [rect(x, y, size, size, "frame")]
    radius = 11 if len(space.points) <= 30 and size > 300 else 8
    for number, (label, (px, py), norm) in enumerate(
        zip(space.labels, space.points, space.norms, strict=True), start=1
    ):
        place = (across(px), up(py))
        tip = f"prompt {number}: cluster {label + 1}, length {plain(norm)}"
        parts.append(
            mark(
                tip,
                [
                    shape(label, *place, radius, f"point k{label % 6}"),
                    text(place[0], place[1] + radius * 0.36, str(number), "middle", "number"),
                ],
                number,
            )
        )
    return parts


def _silhouettes(space: ClusterSpace, x: Real, y: Real, width: Real, height: Real) -> list[str]:
    values = space.silhouette
    low = min(0.0, *values.values())
    high = max(0.01, *values.values()) * 1.15
    up = Scale(low, high, y + height, y)
    across = Scale(min(values) - 0.5, max(values) + 0.5, x, x + width)
    marks = ticks(low, high)
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    parts = [text(x, y - 16, "silhouette by number of clusters", classes="strong")]
    for value in marks:
        parts += [line(x, up(value), x + width, up(value), "grid")]
        parts += [text(x - 8, up(value) + 4, tick_label(value, step), "end", "small")]
    for k, value in values.items():
        chosen = " chosen" if k == space.k else ""
        tip = f"{k} clusters: silhouette {plain(value, 3)}{', the highest' if chosen else ''}"
        inside = [
            line(across(k), up(0.0), across(k), up(value), f"stem{chosen}"),
            f'<circle cx="{across(k):g}" cy="{up(value):g}" r="6" class="lollipop{chosen}"/>',
        ]
        parts.append(mark(tip, inside))
        parts.append(text(across(k), up(value) - 12, plain(value, 3), "middle", "small"))
        parts.append(text(across(k), y + height + 20, str(k), "middle"))
    parts.append(text(x + width / 2, y + height + 42, "number of clusters", "middle", "small"))
    return parts


def left_out_curves(result: LeaveOneOutResult, split: RoleSplit | None) -> str:
    """Figure 3: word error rate with each prompt left out, one panel a set; noise prompts stand on a tinted ground.

    The interval of each point is that of its paired difference to all prompts, drawn around the point: it crosses the
    line of all prompts exactly where the difference's interval contains zero.
    """
    left, top, panel, gap, foot = 74, 26, 150, 58, 44
    names = list(result.full.wer)
    count = len(result.left_out)
    column = (WIDTH - left - 10) / count
    height = top + len(names) * (panel + gap) - gap + foot
    parts = []
    first_effects = {entry.number: entry.difference[names[0]].value for entry in result.left_out}
    for row, name in enumerate(names):
        y = top + row * (panel + gap)
        full = result.full.wer[name].value
        ends = [full + bound for entry in result.left_out for bound in _ends(entry, name)]
        scale = Scale(*padded([*ends, full], least=1e-4), y + panel, y)
        parts.append(text(left, y - 9, f"{name}: WER (%), all prompts {percent(full)}", classes="strong"))
        parts.append(y_axis(scale, left, WIDTH - 10))
        for entry in result.left_out:
            parts.append(_column(entry, name, full, scale, (left, y, column, panel), split, first_effects, count))
        parts.append(line(left, scale(full), WIDTH - 10, scale(full), "full-line"))
    parts.append(text(left + (WIDTH - left) / 2, height - 6, "prompt left out", "middle", "small"))
    label = f"Word error rate with each of {count} prompts left out, on {', '.join(names)}; the data is in the table."
    return drawing(WIDTH, height, label, parts, "curves")


def _column(
    entry: LeftOut,
    name: str,
    full: Real,
    scale: Scale,
    place: tuple[Real, Real, Real, Real],
    split: RoleSplit | None,
    effects: dict[int, float],
    count: int,
) -> str:
    """One prompt in one panel, drawn around x = 0 and then moved: the page's script puts columns in another order."""
    left, top, width, height = place
    difference, wer = entry.difference[name], entry.wer[name]
    role = "" if split is None else "noise" if entry.number in split.noise else "content"
    tip = (
        f"{name} without prompt {entry.number}{f' ({role})' if role else ''}: {percent(wer.value)} % "
        f"({interval(wer)}), "
        f"{points(difference.value)} points ({points_interval(difference)})"
    )
    sure = "sure" if difference.certain else "unsure"
    low, high = (scale(full + bound) for bound in _ends(entry, name))
    parts = [
        rect(-width / 2, top, width, height, f"ground {role}"),
        line(0, low, 0, high, f"interval {role}"),
        shape(1 if role == "noise" else 0, 0, scale(wer.value), min(5.0, width / 3), f"dot {role} {sure}"),
    ]
    if count <= 30 or entry.number == 1 or entry.number % 5 == 0:
        parts.append(text(0, top + height + 16, str(entry.number), "middle", "small"))
    x = left + width * (entry.number - 0.5)
    inner = mark(tip, parts, entry.number)
    return (
        f'<g class="column" data-n="{entry.number}" data-effect="{effects[entry.number]:.6f}" '
        f'transform="translate({x:.1f} 0)">{inner}</g>'
    )


def _ends(entry: LeftOut, name: str) -> tuple[float, float]:
    return entry.difference[name].low, entry.difference[name].high


def x_axis(scale: Scale, top: Real, bottom: Real, label: str) -> str:
    """Shares as percent, with lines from top to bottom."""
    marks = ticks(100 * scale.low, 100 * scale.high, 8)
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    parts = [line(scale(value / 100), top, scale(value / 100), bottom, "grid") for value in marks]
    parts += [text(scale(value / 100), bottom + 20, tick_label(value, step), "middle", "small") for value in marks]
    parts.append(text((scale.start + scale.stop) / 2, bottom + 42, label, "middle", "small"))
    return "".join(parts)


def y_axis(scale: Scale, left: Real, right: Real) -> str:
    """Shares as percent, with lines from left to right."""
    marks = ticks(100 * scale.low, 100 * scale.high, 4)
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    parts = [line(left, scale(value / 100), right, scale(value / 100), "grid") for value in marks]
    parts += [text(left - 8, scale(value / 100) + 4, tick_label(value, step), "end", "small") for value in marks]
    return "".join(parts)
