"""Drawings of training runs beside each other, each an SVG file that stands alone: it brings its own style."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from softspoken_lab.analysis.tables import Estimate
from softspoken_lab.report.numbers import interval, percent
from softspoken_lab.report.plots import x_axis, y_axis
from softspoken_lab.report.svg import Real, Scale, drawing, line, mark, padded, rect, shape, text, tick_label, ticks

WIDTH = 900
COLOURS = 8
_LETTER = 7.4
"""Mean width of a letter in pixels, to leave room for labels."""
_COLOUR = (
    *("#0b5cad", "#b45309", "#0f766e", "#9d2f6f"),
    *("#5b4bb0", "#6b6500", "#a3261b", "#4b5563"),
)
_DARK = (
    *("#7cb8f5", "#f2ab6b", "#5ad0c3", "#f09ac6"),
    *("#b5a8f5", "#d6cf5a", "#ff9a92", "#b8c0ca"),
)
_STYLE = """
.plot { --paper: #ffffff; --ink: #1f2328; --quiet: #5b636c; --line: #c9c6bd; --grid: #e9e7e1; LIGHT }
@media (prefers-color-scheme: dark) {
  .plot { --paper: #15181c; --ink: #e7e9ec; --quiet: #a4acb5; --line: #4a525c; --grid: #2a2f36; DARK }
}
.paper { fill: var(--paper); }
text { fill: var(--ink); font: 14px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
.small { fill: var(--quiet); font-size: 12.5px; }
.strong { font-weight: 600; }
.grid { stroke: var(--grid); stroke-width: 1; }
.axis { stroke: var(--line); stroke-width: 1; }
.base { stroke: var(--quiet); stroke-width: 1.2; stroke-dasharray: 5 4; }
.interval { stroke-width: 2; }
.path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.again { stroke-dasharray: 6 3; }
"""


@dataclass(frozen=True)
class Series:
    """A line of a chart. Several may have one name: they share its colour."""

    name: str
    points: tuple[tuple[Real, Real | Estimate], ...]
    """x and a share; an estimate is drawn with its interval."""


def interval_chart(
    title: str, rows: Sequence[tuple[str, Estimate]], x_label: str, base: Real | None = None, base_label: str = ""
) -> str:
    """Shares with their intervals, one below the other. `base`: a line to compare them with."""
    left = min(max(_LETTER * max(len(label) for label, _ in rows) + 24, 120), 400)
    right, top = WIDTH - 150, 64
    wrapped = [_wrapped(label, left - 20) for label, _ in rows]
    heights = [max(38, 20 + 17 * len(lines)) for lines in wrapped]
    bottom = top + sum(heights)
    low, high = padded(bound for _, value in rows for bound in (value.low, value.high))
    scale = Scale(max(low, 0.0), high, left, right)
    parts = [_title(title), x_axis(scale, top - 6, bottom, x_label)]
    if base is not None:
        parts.append(line(scale(base), top - 6, scale(base), bottom, "base"))
        parts.append(text(scale(base), top - 12, base_label, "middle", "small"))
    for index, (label, value) in enumerate(rows):
        y = top + sum(heights[:index]) + heights[index] / 2
        above = 17 * (len(wrapped[index]) - 1) / 2
        parts += [text(left - 14, y + 5 - above + 17 * n, words, "end") for n, words in enumerate(wrapped[index])]
        parts.append(
            mark(
                f"{label}: {percent(value.value, 1)} % ({interval(value, 1)})",
                [
                    line(scale(value.low), y, scale(value.high), y, "interval s0"),
                    shape(0, scale(value.value), y, 5, "f0"),
                ],
            )
        )
        parts.append(text(right + 12, y - 2, f"{percent(value.value, 1)} %", classes="strong"))
        parts.append(text(right + 12, y + 14, interval(value, 1), classes="small"))
    return _file(bottom + 56, title, parts)


def line_chart(
    title: str, series: Sequence[Series], x_label: str, y_label: str, positions: Sequence[Real] | None = None
) -> str:
    """Shares over something. `positions`: the only values of x, doubling evenly (prompt lengths)."""
    names = list(dict.fromkeys(one.name for one in series))
    left, right, top, height = 70, WIDTH - 30, 56, 320
    bottom = top + height
    known = [point for one in series for point in one.points]
    across = _across([x for x, _ in known], left, right, positions)
    up = Scale(*_room([bound for _, value in known for bound in _bounds(value)]), bottom, top)
    parts = [_title(title), text(left - 52, top - 12, y_label, classes="small"), y_axis(up, left, right)]
    parts.append(_positions(across, bottom, positions, x_label))
    crowded = len(series) > 6
    # Beside each other where they would stand one on the other.
    apart = 0.0 if positions is None else min(9.0, 48.0 / len(names))
    for one in series:
        index = names.index(one.name)
        aside = apart * (index - (len(names) - 1) / 2)
        parts += _drawn(one, index, across, up, positions is not None, aside, 2.5 if crowded else 4)
    y: Real = bottom + 64
    for index, name in enumerate(names):
        again = " again" if index >= COLOURS else ""
        parts.append(line(left, y - 4, left + 26, y - 4, f"interval s{index % COLOURS}{again}"))
        parts.append(shape(index, left + 13, y - 4, 4, f"f{index % COLOURS}"))
        for words in _wrapped(name, right - left - 40):
            parts.append(text(left + 36, y, words))
            y += 18
        y += 6
    return _file(y, title, parts)


def _drawn(one: Series, index: int, across: Scale, up: Scale, logarithmic: bool, aside: float, size: Real) -> list[str]:
    colour = index % COLOURS
    again = " again" if index >= COLOURS else ""
    places = [
        (across(math.log2(x) if logarithmic else x) + aside, up(_value(value)), x, value) for x, value in one.points
    ]
    parts = []
    if len(places) > 1:
        path = " ".join(f"{x:g},{y:g}" for x, y, _, _ in places)
        parts.append(f'<polyline points="{path}" class="path s{colour}{again}"/>')
    for x, y, at, value in places:
        inside = [shape(index, x, y, size, f"f{colour}")]
        tip = f"{one.name}, {at:.3g}: {percent(_value(value), 1)} %"
        if isinstance(value, Estimate):
            inside.insert(0, line(x, up(value.low), x, up(value.high), f"interval s{colour}"))
            tip += f" ({interval(value, 1)})"
        parts.append(mark(tip, inside))
    return parts


def _across(values: Sequence[Real], left: Real, right: Real, positions: Sequence[Real] | None) -> Scale:
    if positions is not None:
        logs = [math.log2(x) for x in positions]
        return Scale(min(logs) - 0.4, max(logs) + 0.4, left, right)
    return Scale(0.0, max(values) * 1.03, left, right)


def _positions(scale: Scale, bottom: Real, positions: Sequence[Real] | None, label: str) -> str:
    parts = [line(scale.start, bottom, scale.stop, bottom, "axis")]
    if positions is not None:
        parts += [text(scale(math.log2(x)), bottom + 20, f"{x:g}", "middle", "small") for x in positions]
    else:
        marks = ticks(scale.low, scale.high, 8)
        step = marks[1] - marks[0] if len(marks) > 1 else 1.0
        parts += [text(scale(x), bottom + 20, tick_label(x, step), "middle", "small") for x in marks]
    parts.append(text((scale.start + scale.stop) / 2, bottom + 40, label, "middle", "small"))
    return "".join(parts)


def _bounds(value: Real | Estimate) -> tuple[Real, ...]:
    return (value.low, value.high) if isinstance(value, Estimate) else (value,)


def _value(value: Real | Estimate) -> Real:
    return value.value if isinstance(value, Estimate) else value


def _room(values: Sequence[Real]) -> tuple[Real, Real]:
    low, high = padded(values)
    return max(low, 0.0), high


def _wrapped(label: str, width: Real) -> list[str]:
    """Lines of at most that width, as far as there is room between words; a very long word sticks out."""
    found = wrap(label, max(int(width / _LETTER), 12), break_long_words=False, break_on_hyphens=False)
    return found if found else [""]


def _title(title: str) -> str:
    return text(18, 26, title, classes="strong")


def _file(height: Real, label: str, parts: Sequence[str]) -> str:
    colours = [" ".join(f"--c{index}: {value};" for index, value in enumerate(each)) for each in (_COLOUR, _DARK)]
    style = _STYLE.replace("LIGHT", colours[0]).replace("DARK", colours[1])
    style += "".join(
        f".s{index} {{ stroke: var(--c{index}); }} .f{index} {{ fill: var(--c{index}); }}\n" for index in range(COLOURS)
    )
    size = round(height)
    inner = drawing(WIDTH, size, label, [f"<style>{style}</style>", rect(0, 0, WIDTH, size, "paper"), *parts])
    return inner.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"
