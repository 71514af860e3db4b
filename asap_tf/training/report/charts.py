"""Line charts as inline SVG; the page's style sheet gives them their colors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

Point = tuple[float, float]

_WIDTH, _HEIGHT = 400, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 12, 10, 42
_MAX_POINTS = 500


def line_chart(
    points: Sequence[Point], label: str, smooth: float = 0.0, markers: bool = False
) -> str:
    """One series over training steps, with axes from zero, ticks and labels.

    Args:
        points: (step, value), finite, by increasing step from 0 or later; at least one.
        label: What the values are, for the vertical axis.
        smooth: Weight of the past in a running mean, 0..1. Above 0, the mean is drawn in full
            strength and the series itself faintly behind it.
        markers: Draws every point, with its value as tooltip.

    Returns:
        An `<svg>` element that scales with its container.

    Raises:
        ValueError: if there are no points.
    """
    if not points:
        raise ValueError("a chart needs at least one point")
    steps, values = zip(*points, strict=True)
    last_step = max(1.0, *steps)
    y_ticks = ticks(min(0.0, *values), max(0.0, *values))
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def x(step: float) -> float:
        return _LEFT + step / last_step * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)

    def line(series: Sequence[Point], style: str) -> str:
        stride = math.ceil(len(series) / _MAX_POINTS)
        # Counted back from the end, so that the last point is always drawn.
        places = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in series[::-1][::stride][::-1])
        return f'<polyline class="{style}" points="{places}"/>'

    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(label)} over training steps">'
    ]
    for tick in y_ticks:
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" '
            f'y2="{y(tick):.1f}"/>'
            f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{y(tick) + 4:.1f}">'
            f"{number(tick)}</text>"
        )
    floor = _HEIGHT - _BOTTOM
    for tick in ticks(0, last_step):
        if tick <= last_step:
            parts.append(
                f'<line class="axis" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{floor}" '
                f'y2="{floor + 5}"/>'
                f'<text class="tick" text-anchor="middle" x="{x(tick):.1f}" y="{floor + 18}">'
                f"{number(tick)}</text>"
            )
    middle = (_TOP + floor) / 2
    parts.append(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>'
        f'<text class="tick" text-anchor="middle" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" '
        f'y="{_HEIGHT - 6}">step</text>'
        f'<text class="tick" text-anchor="middle" transform="translate(14 {middle}) rotate(-90)">'
        f"{escape(label)}</text>"
    )
    if smooth > 0:
        parts += [line(points, "line faint"), line(running_mean(points, smooth), "line")]
    else:
        parts.append(line(points, "line"))
    if markers or len(points) == 1:
        parts += [
            f'<circle class="dot" cx="{x(s):.1f}" cy="{y(v):.1f}" r="3.5">'
            f"<title>step {number(s)}: {v:.4g}</title></circle>"
            for s, v in points
        ]
    return "".join([*parts, "</svg>"])


def running_mean(points: Iterable[Point], smooth: float) -> list[Point]:
    """Exponential running mean without the pull towards zero of its first values."""
    total = weight = 0.0
    means = []
    for step, value in points:
        total = smooth * total + value
        weight = smooth * weight + 1
        means.append((step, total / weight))
    return means


def ticks(low: float, high: float) -> list[float]:
    """Four to six or so round numbers that enclose `low` and `high`.

    Example:
        >>> ticks(0, 47)
        [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    """
    span = (high - low) or abs(high) or 1.0
    magnitude = 10 ** math.floor(math.log10(span / 5))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if span / (m * magnitude) <= 5.001)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def number(value: float) -> str:
    """A number as a reader expects it: `12,000`, `0.25`, `1e-05`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
