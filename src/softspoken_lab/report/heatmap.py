"""Heat maps: shares as one hue from light to dark, with the number in each cell.

The number is always there, so that nothing hangs on telling colours apart; one hue from light to dark is ordered for
every kind of colour vision, and in print without colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from softspoken_lab.report.drawing import QUIET, style

COLOURS = mpl.colormaps["Blues"]
_CELL = (0.9, 0.58)
"""Width and height in inches."""


@dataclass(frozen=True)
class HeatCell:
    """One cell: the share that gives the colour (None: nothing was measured) and what is written."""

    share: float | None
    value: str
    below: str = ""
    """Smaller, below the value: its interval."""


@dataclass(frozen=True)
class HeatMap:
    """One panel; rows go down, columns across."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[HeatCell, ...], ...]


@style()
def heat_maps(
    title: str,
    subtitle: str,
    panels: Sequence[Sequence[HeatMap]],
    labels: tuple[str, str, str],
    top: float = 1.0,
) -> Figure:
    """Panels in rows and columns, all of one shape and on one scale from 0 to `top`, with the scale below.

    `labels`: of the rows, of the columns, of the colours. Shares above `top` have its colour.
    """
    shape, down, across = panels[0][0], len(panels), max(map(len, panels))
    width = 1.0 + across * (_CELL[0] * len(shape.columns) + 0.3)
    height = 1.6 + down * (_CELL[1] * len(shape.rows) + 0.9)
    figure = Figure(figsize=(max(width, 5.0), height))
    figure.suptitle(f"{title}\n{subtitle}" if subtitle else title, x=0.01, ha="left", fontsize=12)
    grid = figure.subplots(down, across, squeeze=False)
    for axes_row, row in zip(grid, panels, strict=True):
        for place, axes in enumerate(axes_row):
            if place < len(row):
                _panel(axes, row[place], labels, top, first=place == 0)
            else:
                axes.set_axis_off()
    scale = ScalarMappable(Normalize(0, top), COLOURS)
    percent = PercentFormatter(1, symbol="")
    bar = figure.colorbar(
        scale, ax=grid, location="bottom", extend="max", shrink=0.6, aspect=40, pad=0.02, format=percent
    )
    bar.set_label(labels[2])
    bar.outline.set_visible(False)
    return figure


def _panel(axes: Axes, panel: HeatMap, labels: tuple[str, str, str], top: float, first: bool) -> None:
    shares = np.array([[np.nan if cell.share is None else cell.share for cell in row] for row in panel.cells])
    axes.pcolormesh(np.ma.masked_invalid(shares), cmap=COLOURS, vmin=0, vmax=top, edgecolors="white", linewidth=2)
    axes.invert_yaxis()
    axes.set_title(panel.title)
    axes.set_xticks(np.arange(len(panel.columns)) + 0.5, panel.columns)
    axes.set_yticks(np.arange(len(panel.rows)) + 0.5, panel.rows if first else [""] * len(panel.rows))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(labels[1])
    axes.set_ylabel(labels[0] if first else "")
    for row, cells in enumerate(panel.cells):
        for column, cell in enumerate(cells):
            _write(axes, column + 0.5, row + 0.5, cell, top)


def _write(axes: Axes, x: float, y: float, cell: HeatCell, top: float) -> None:
    if cell.share is None:
        axes.text(x, y, cell.value, ha="center", va="center", color=QUIET, fontsize=9)
        return
    colour = letters_on(cell.share / top)
    axes.text(x, y - (0.12 if cell.below else 0), cell.value, ha="center", va="center", color=colour, fontsize=12)
    if cell.below:
        axes.text(x, y + 0.25, cell.below, ha="center", va="center", color=colour, fontsize=8)


def letters_on(share: float) -> str:
    """White or black, whichever is read better on the colour of a share of the scale."""
    # Where white and black are equally far: both have a contrast of 4.58 there.
    return "white" if luminance(COLOURS(share)) < 0.179 else "black"


def luminance(colour: str | tuple[float, float, float, float]) -> float:
    """Relative luminance of sRGB (WCAG 2)."""
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in to_rgb(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
