"""How figures look, and how they leave: as SVG with words that can be read, searched and copied."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from softspoken_lab.analysis.tables import Estimate
from softspoken_lab.report.numbers import interval, percent

COLOURS = ("#0b5cad", "#b45309", "#0f766e", "#9d2f6f", "#5b4bb0", "#6b6500", "#a3261b", "#4b5563")
MARKERS = ("o", "s", "^", "D", "p", "h")
"""Groups are told apart without colour as well."""
INK, QUIET, GRID = "#1f2328", "#5b636c", "#e9e7e1"
SMALL = 9
WIDTH = 9.0
"""Size of a full figure, in inches."""
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.labelsize": SMALL,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#c9c6bd",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": "#c9c6bd",
    "ytick.color": "#c9c6bd",
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.bbox": "tight",
    # Names come from outside: a dollar sign is a dollar sign.
    "text.parse_math": False,
    "svg.fonttype": "none",
    # The same figure gives the same bytes.
    "svg.hashsalt": "softspoken",
}


@contextmanager
def style() -> Iterator[None]:
    """Figures made, and written, inside look alike; also as a decorator."""
    with mpl.rc_context(_STYLE):
        yield


@style()
def svg(figure: Figure) -> str:
    """A figure as an SVG file that loads nothing and says nothing of when it was made."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    found = out.getvalue()
    # Behind the document type, which names an address.
    return found[found.index("<svg") :]


def image(figure: Figure, seen: str) -> str:
    """A figure as an HTML image in the page itself. `seen`: what is to be seen, for those who do not see it."""
    content = base64.b64encode(svg(figure).encode("utf-8")).decode("ascii")
    return f'<img class="plot" alt="{escape(seen)}" src="data:image/svg+xml;base64,{content}">'


def percent_axis(axis: Axis, axes: Axes) -> None:
    """Shares as percent, with lines across."""
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}".replace("-", "−")))
    axes.grid(axis="x" if axis is axes.xaxis else "y")


def marked_line(axes: Axes, x: float, label: str) -> None:
    """A dashed line from top to bottom with its label above."""
    axes.axvline(x, color=QUIET, linestyle=(0, (5, 4)), linewidth=1.1)
    where: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
    axes.annotate(label, (x, 1), (0, 4), **where, ha="center", color=QUIET, fontsize=SMALL)


def write_beside(axes: Axes, place: float, value: Estimate) -> None:
    """A share and its interval in percent, to the right of a row."""
    said = f"{percent(value.value, 1)} %\n{interval(value, 1)}"
    where: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    axes.annotate(said, (1, place), (8, 0), **where, va="center", fontsize=SMALL)
