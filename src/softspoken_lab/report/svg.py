"""Small drawings as SVG text: they print sharply, take the page's colours, and are read without a script.

What may be pointed at has a `<title>`; the page's script shows it at once, for the keyboard as well.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

Real = int | float


@dataclass(frozen=True)
class Scale:
    """Values onto pixels. `stop` may lie before `start` (upwards)."""

    low: Real
    high: Real
    start: Real
    stop: Real

    def __call__(self, value: Real) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return round(self.start + share * (self.stop - self.start), 1)


def ticks(low: Real, high: Real, about: int = 5) -> list[Real]:
    """Round numbers from low to high, about so many."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    rough = span / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: Real, step: Real) -> str:
    """As many digits as tell neighbours apart."""
    digits = next((digits for digits in range(4) if abs(round(step, digits) - step) < 1e-9), 4)
    return f"{value:.{digits}f}".replace("-", "−")


def padded(values: Iterable[Real], share: Real = 0.06, least: Real = 1e-3) -> tuple[Real, Real]:
    """Range of the values with some room around."""
    found = list(values)
    low, high = min(found), max(found)
    room = max((high - low) * share, least)
    return low - room, high + room


def drawing(width: int, height: int, label: str, parts: Iterable[str], classes: str = "") -> str:
    """A whole SVG that scales with the page. `label`: what is to be seen, for those who do not see it."""
    name = f"plot {classes}".strip()
    return (
        f'<svg class="{name}" viewBox="0 0 {width} {height}" style="max-width:{width}px" role="group" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def text(x: Real, y: Real, content: str, anchor: str = "start", classes: str = "") -> str:
    """One line of text; `anchor` is start, middle or end."""
    kind = f' class="{classes}"' if classes else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{kind}>{escape(content)}</text>'


def line(x1: Real, y1: Real, x2: Real, y2: Real, classes: str) -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" class="{classes}"/>'


def rect(x: Real, y: Real, width: Real, height: Real, classes: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{max(width, 0):g}" height="{max(height, 0):g}" class="{classes}"/>'


def mark(tip: str, parts: Iterable[str], prompt: int | None = None, classes: str = "") -> str:
    """Something to point at. `prompt`: pointing at it shows the same prompt in the other figures."""
    kind = f"mark {classes}".strip()
    number = f' data-prompt="{prompt}"' if prompt is not None else ""
    title = f"<title>{escape(tip)}</title>"
    return f'<g class="{kind}"{number} tabindex="0" role="img" aria-label="{escape(tip)}">{title}{"".join(parts)}</g>'


def shape(kind: int, x: Real, y: Real, size: Real, classes: str) -> str:
    """Circle, square, triangle, diamond, ... : groups are told apart without colour as well."""
    if kind % 6 == 0:
        return f'<circle cx="{x:g}" cy="{y:g}" r="{size:g}" class="{classes}"/>'
    corners, turn, stretch = ((4, 45, 1.25), (3, -90, 1.5), (4, 0, 1.35), (5, -90, 1.25), (6, 0, 1.15))[kind % 6 - 1]
    angles = (math.radians(turn + 360 * corner / corners) for corner in range(corners))
    places = " ".join(f"{x + stretch * size * math.cos(a):.1f},{y + stretch * size * math.sin(a):.1f}" for a in angles)
    return f'<polygon points="{places}" class="{classes}"/>'
