"""Heat maps as an SVG file that stands alone: shares as one hue from light to dark, with the number in each cell.

The number is always there, so that nothing hangs on telling colours apart; one hue from light to dark is ordered for
every kind of colour vision, and in print without colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from softspoken_lab.report.svg import Real, mark, text

_STOPS = ("#f5f9fe", "#d9e7f6", "#b3d0eb", "#7fb0dc", "#4a8bc8", "#2266a8", "#123f74", "#08244a")
"""From 0 to the top of the scale, evenly spaced; each clearly darker than the one before."""
_WIDTH, _HEIGHT = 84, 54
_LEFT, _TOP, _GAP, _FOOT = 104, 74, 44, 92
_PANEL_TITLE, _COLUMN_FOOT = 30, 64
_STYLE = """
text { font: 14px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.title { font-size: 18px; font-weight: 600; }
.strong { font-weight: 600; }
.quiet { fill: #5b636c; font-size: 13px; }
.value { font-size: 17px; font-weight: 600; }
.below { font-size: 11px; }
.on-dark { fill: #ffffff; }
.on-light { fill: #000000; }
"""


@dataclass(frozen=True)
class HeatCell:
    """One cell: the share that gives the colour (None: nothing was measured) and what is written."""

    share: float | None
    value: str
    below: str = ""
    """Smaller, below the value: its interval."""
    tip: str = ""
    """What is shown when it is pointed at, and read aloud."""


@dataclass(frozen=True)
class HeatMap:
    """One panel; rows go down, columns across."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[HeatCell, ...], ...]


def heat_maps(
    title: str,
    subtitle: str,
    panels: Sequence[Sequence[HeatMap]],
    labels: tuple[str, str, str],
    top: float = 1.0,
) -> str:
    """Panels in rows and columns, all of one shape and on one scale from 0 to `top`, with the scale below.

    `labels`: of the rows, of the columns, of the colours. Shares above `top` have its colour.
    """
    shape = panels[0][0]
    across, down = _WIDTH * len(shape.columns), _HEIGHT * len(shape.rows)
    width = _LEFT + max(map(len, panels)) * (across + _GAP)
    height = _TOP + len(panels) * (_PANEL_TITLE + down + _COLUMN_FOOT) + _FOOT
    parts = [
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        text(24, 34, title, classes="title"),
        text(24, 56, subtitle, classes="quiet"),
    ]
    for line, row in enumerate(panels):
        y = _TOP + line * (_PANEL_TITLE + down + _COLUMN_FOOT)
        for place, panel in enumerate(row):
            parts += _panel(panel, _LEFT + place * (across + _GAP), y, labels, top, first=place == 0)
    parts += _scale(_LEFT, height - _FOOT + 26, min(max(across, 260), width - _LEFT - _GAP), labels[2], top)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="group" aria-label="{escape(title)}"><style>{_STYLE}</style>{"".join(parts)}</svg>\n'
    )


def _panel(panel: HeatMap, x: Real, y: Real, labels: tuple[str, str, str], top: float, first: bool) -> list[str]:
    parts = [text(x, y + 18, panel.title, classes="strong")]
    begin = y + _PANEL_TITLE
    for number, (label, row) in enumerate(zip(panel.rows, panel.cells, strict=True)):
        middle = begin + _HEIGHT * (number + 0.5)
        if first:
            parts.append(text(x - 12, middle + 5, label, "end"))
        for column, cell in enumerate(row):
            parts.append(_cell(cell, x + _WIDTH * column, begin + _HEIGHT * number, top))
    bottom = begin + _HEIGHT * len(panel.rows)
    for column, label in enumerate(panel.columns):
        parts.append(text(x + _WIDTH * (column + 0.5), bottom + 19, label, "middle"))
    parts.append(text(x + _WIDTH * len(panel.columns) / 2, bottom + 38, labels[1], "middle", "quiet"))
    if first:
        at = f"{x - 76:g} {begin + _HEIGHT * len(panel.rows) / 2:g}"
        parts.append(f'<g transform="translate({at}) rotate(-90)">{text(0, 0, labels[0], "middle", "quiet")}</g>')
    return parts


def _cell(cell: HeatCell, x: Real, y: Real, top: float) -> str:
    if cell.share is None:
        box = _box(x, y, "#ffffff", ' stroke="#c9c6bd"')
        return mark(cell.tip, [box, text(x + _WIDTH / 2, y + _HEIGHT / 2 + 5, cell.value, "middle", "quiet")])
    colour = _colour(cell.share / top)
    # Where white and black are equally far: both have a contrast of 4.58 there.
    on = "on-dark" if _luminance(colour) < 0.179 else "on-light"
    middle = y + _HEIGHT / 2
    parts = [
        _box(x, y, colour),
        text(x + _WIDTH / 2, middle + (1 if cell.below else 6), cell.value, "middle", f"value {on}"),
    ]
    if cell.below:
        parts.append(text(x + _WIDTH / 2, middle + 18, cell.below, "middle", f"below {on}"))
    return mark(cell.tip, parts)


def _box(x: Real, y: Real, colour: str, more: str = "") -> str:
    # A hair of white between neighbours.
    return (
        f'<rect x="{x + 1:g}" y="{y + 1:g}" width="{_WIDTH - 2}" height="{_HEIGHT - 2}" rx="2" fill="{colour}"{more}/>'
    )


def _scale(x: Real, y: Real, width: Real, label: str, top: float) -> list[str]:
    stops = "".join(
        f'<stop offset="{number / (len(_STOPS) - 1):.4f}" stop-color="{colour}"/>'
        for number, colour in enumerate(_STOPS)
    )
    parts = [
        f'<defs><linearGradient id="heat">{stops}</linearGradient></defs>',
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="12" rx="2" fill="url(#heat)"/>',
    ]
    for quarter in range(5):
        more, anchor = ("+", "end") if quarter == 4 else ("", "middle" if quarter else "start")
        parts.append(text(x + width * quarter / 4, y + 29, f"{25 * quarter * top:g}{more}", anchor, "quiet"))
    parts.append(text(x, y - 8, label, classes="quiet"))
    return parts


def _colour(share: float) -> str:
    """A point of the scale: 0 is the first stop, 1 and above the last."""
    place = min(max(share, 0.0), 1.0) * (len(_STOPS) - 1)
    index = min(int(place), len(_STOPS) - 2)
    mixed = [
        round(a + (place - index) * (b - a))
        for a, b in zip(_channels(_STOPS[index]), _channels(_STOPS[index + 1]), strict=True)
    ]
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _luminance(colour: str) -> float:
    """Relative luminance of sRGB (WCAG 2)."""
    linear = [
        channel / 255 / 12.92 if channel <= 10 else ((channel / 255 + 0.055) / 1.055) ** 2.4
        for channel in _channels(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
