"""Line charts as inline SVG, in the colors and the font of the page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from itertools import accumulate

from asap_tf.core.charts import COLORS, RULE, SOFT, new_figure

Point = tuple[float, float]

VARIABLES = {SOFT: "--soft", RULE: "--rule", COLORS[0]: "--accent"}
"""Variable of the page's style sheet for each color, so that charts are dark where the page is."""

MAX_POINTS = 500


def line_chart(
    points: Sequence[Point], label: str, smooth: float = 0.0, markers: bool = False
) -> str:
    """One series over training steps, on axes that start at zero.

    Args:
        points: Pairs (step, value), finite, by increasing step from 0 or later; at least one.
        label: What the values are, for the vertical axis.
        smooth: Weight of the past in a running mean, 0..1. Above 0, the mean is drawn in full
            strength and the series itself faintly behind it.
        markers: Whether to mark every point.

    Returns:
        An `<svg>` element without references to anything outside it.
    """
    lines = [thinned(points)]
    if smooth > 0:
        lines.append(thinned(running_mean(points, smooth)))
    buffer = io.StringIO()
    with new_figure(4, 2.4) as figure:
        axes = figure.subplots()
        for index, line in enumerate(lines, 1):
            is_faint = index < len(lines)
            axes.plot(
                *zip(*line, strict=True),
                color=COLORS[0],
                marker="o" if markers or len(points) == 1 else "",
                markersize=4,
                linewidth=1 if is_faint else 2,
                alpha=0.3 if is_faint else 1,
            )
        axes.set_xlim(0, max(1, points[-1][0]) * 1.02)
        axes.set_ylim(bottom=min(0.0, *(value for _, value in points)))
        axes.set(xlabel="step", ylabel=label)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: number(value))
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return inline(buffer.getvalue())


def inline(svg: str) -> str:
    """An SVG file as an element of an HTML page that has the variables of `VARIABLES`."""
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"|(?<=<g) id="[^"]*"', "", svg[svg.index("<svg") :])
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return svg


def thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Every so many of the points that 500 are left at most, the last one among them."""
    stride = math.ceil(len(points) / MAX_POINTS)
    return points[::-1][::stride][::-1]


def running_mean(points: Sequence[Point], smooth: float) -> list[Point]:
    """Exponential running mean without the pull towards zero of its first values."""
    totals = accumulate((value for _, value in points), lambda total, value: smooth * total + value)
    weights = accumulate((1.0 for _ in points), lambda weight, one: smooth * weight + one)
    return [(s, t / w) for (s, _), t, w in zip(points, totals, weights, strict=True)]


def number(value: float) -> str:
    """A number as a reader expects it: `12,000`, `0.25`, `1e-05`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
