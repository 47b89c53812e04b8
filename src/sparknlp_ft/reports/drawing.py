"""Where the parts of a chart lie on its drawing surface, in its own units: what the template draws as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sparknlp_ft.reports.blocks import Chart

WIDTH, HEIGHT = 560.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 12.0, 10.0, 48.0

#: Points of a line that are drawn: more cannot be told apart, and only make a page heavy.
MOST_POINTS = 400


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Stroke:
    """A line: its points as SVG writes them, its name, and where it ends."""

    name: str
    points: str
    dots: tuple[tuple[float, float], ...]  #: Points that are marked: all of a line that has few.


@dataclass(frozen=True)
class Drawing:
    """A chart on its surface."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    strokes: tuple[Stroke, ...]


def draw_chart(chart: Chart) -> Drawing:
    """Place a chart's lines and the marks of its axes; what is no number is left out."""
    lines = [[point for point in line.points if all(map(math.isfinite, point))] for line in chart.lines]
    across, up = _range([x for points in lines for x, _ in points]), _range([y for points in lines for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            round(LEFT + (x - across[0]) / (across[1] - across[0]) * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - (y - up[0]) / (up[1] - up[0]) * (HEIGHT - TOP - BOTTOM), 1),
        )

    strokes = []
    for line, points in zip(chart.lines, lines, strict=True):
        placed = tuple(place(x, y) for x, y in _thinned(points))
        dots = placed if len(placed) <= 30 else ()
        strokes.append(Stroke(line.name, " ".join(f"{x:g},{y:g}" for x, y in placed), dots))
    return Drawing(
        tuple(Tick(place(value, up[0])[0], f"{value:g}") for value in _round_values(*across)),
        tuple(Tick(place(across[0], value)[1], f"{value:g}") for value in _round_values(*up)),
        tuple(strokes),
    )


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    step = max(1, math.ceil(len(points) / MOST_POINTS))
    return [*points[::step], *points[-1:]] if step > 1 else points


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low == high:
        return low - 0.5, high + 0.5
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _round_values(low: float, high: float) -> list[float]:
    """Return about six round numbers within a range."""
    rough = (high - low) / 6
    scale = 10 ** math.floor(math.log10(rough))
    step = scale * next(one for one in (1, 2, 5, 10) if one * scale >= rough)
    return [round(number * step, 12) + 0.0 for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
