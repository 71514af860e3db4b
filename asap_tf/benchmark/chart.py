"""Charts as pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from asap_tf.training.report.charts import number, ticks

COLORS = ("#1e40af", "#3b82f6", "#93c5fd", "#cbd5e1")
"""Of the bars in a group, from the first on."""

_LINES = ("#b91c1c", "#1e40af", "#047857", "#b45309", "#7c3aed")

_WIDTH, _MARGIN, _LABELS = 1600, 48, 430
_BAR, _GAP, _GROUP_GAP = 22, 4, 26
_VALUES = 190
INK, SOFT, RULE, PAPER = "#1d2129", "#5d6673", "#dfe3e8", "#ffffff"


@dataclass(frozen=True)
class Group:
    """Bars that belong together.

    Attributes:
        name: What they are of.
        notes: Lines below the name, in smaller type.
        bars: Length and what is written at the end of each.
    """

    name: str
    notes: tuple[str, ...]
    bars: tuple[tuple[float, str], ...]


def bar_chart(
    title: str, notes: Sequence[str], legend: Sequence[str], groups: Sequence[Group]
) -> np.ndarray:
    """Draws groups of horizontal bars from a common zero.

    Args:
        title: Says what their lengths are.
        notes: Lines below the title.
        legend: A name for each color, that is for each bar of a group, at most four.
        groups: From the top down, at least one.

    Returns:
        The picture, uint8 `(H, 1600, 3)`, RGB.
    """
    head = _MARGIN + 60 + 28 * len(notes) + 56
    heights = [max(72, len(g.bars) * (_BAR + _GAP)) + _GROUP_GAP for g in groups]
    picture = Image.new("RGB", (_WIDTH, head + sum(heights) + 40 + _MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)

    draw.text((_MARGIN, _MARGIN), title, INK, font(36))
    top = _MARGIN + 60
    for note in notes:
        draw.text((_MARGIN, top), shortened(note, _WIDTH - 2 * _MARGIN, 18), SOFT, font(18))
        top += 28
    _draw_legend(draw, top + 8, legend)

    left, right, floor = _MARGIN + _LABELS, _WIDTH - _MARGIN - _VALUES, head + sum(heights)
    marks = ticks(0, max(value for group in groups for value, _ in group.bars))
    scale = (right - left) / marks[-1]
    for mark in marks:
        x = left + mark * scale
        draw.line((x, head - 12, x, floor), RULE, 2)
        draw.text((x, floor + 12), number(mark), SOFT, font(18), anchor="ma")

    top = head
    for group, height in zip(groups, heights, strict=True):
        draw.text((_MARGIN, top - 4), shortened(group.name, _LABELS - 24, 22), INK, font(22))
        for line, note in enumerate(group.notes):
            place = (_MARGIN, top + 26 + 22 * line)
            draw.text(place, shortened(note, _LABELS - 24, 16), SOFT, font(16))
        for index, (value, label) in enumerate(group.bars):
            y = top + index * (_BAR + _GAP)
            end = left + max(2, value * scale)
            draw.rectangle((left, y, end, y + _BAR - 1), COLORS[index])
            length = font(18).getlength(label)
            draw.rectangle((end + 6, y, end + 14 + length, y + _BAR - 1), PAPER)
            draw.text((end + 10, y + _BAR / 2), label, INK, font(18), anchor="lm")
        top += height
    return np.asarray(picture)


def log_log_chart(
    label: str, across: str, lines: Mapping[str, Sequence[tuple[float, float]]]
) -> np.ndarray:
    """Draws lines with both axes logarithmic, each with its name at its end.

    Args:
        label: What the values are; the title.
        across: What they are over.
        lines: Points (place, value) above 0 by name, at most one color for each.

    Returns:
        The picture, uint8 `(H, 1000, 3)`, RGB.
    """
    width, height, left, right, top, floor = 1000, 760, 110, 700, 100, 670
    points = [point for line in lines.values() for point in line]
    x_low, x_high = (f(x for x, _ in points) for f in (min, max))
    y_low = 10 ** math.floor(math.log10(min(y for _, y in points)))
    y_high = 10 ** math.ceil(math.log10(max(y for _, y in points)))

    def place(x: float, y: float) -> tuple[float, float]:
        along = math.log(x / x_low) / math.log(x_high / x_low)
        up = math.log(y / y_low) / math.log(y_high / y_low)
        return left + along * (right - left), floor - up * (floor - top)

    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((left, 36), label, INK, font(28))
    for power in range(round(math.log10(y_high / y_low)) + 1):
        mark = y_low * 10**power
        y = place(x_low, mark)[1]
        draw.line((left, y, right, y), RULE, 2)
        draw.text((left - 12, y), number(mark), SOFT, font(18), anchor="rm")
    for mark in sorted({x for x, _ in points}):
        x = place(mark, y_low)[0]
        draw.line((x, floor, x, floor + 8), SOFT, 2)
        draw.text((x, floor + 14), f"{mark:.2g}", SOFT, font(18), anchor="ma")
    draw.text(((left + right) / 2, floor + 46), across, SOFT, font(18), anchor="ma")

    taken: list[float] = []
    colors = dict(zip(lines, _LINES, strict=False))
    for name, line in sorted(lines.items(), key=lambda item: -item[1][-1][1]):
        color = colors[name]
        corners = [place(*point) for point in sorted(line)]
        draw.line(corners, color, 4, joint="curve")
        for x, y in corners:
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), color)
        y = max(corners[-1][1], taken[-1] + 26 if taken else 0)
        taken.append(y)
        draw.text((right + 18, y), name, color, font(20), anchor="lm")
    return np.asarray(picture)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow brings, `size` pixels high."""
    return ImageFont.load_default(size)


def shortened(text: str, width: int, size: int) -> str:
    """`text`, its middle left out as far as it takes to fit into `width` pixels."""
    whole, cut = text, len(text)
    while font(size).getlength(text) > width:
        cut -= 1
        text = f"{whole[: cut - cut // 2]}...{whole[len(whole) - cut // 2 :]}"
    return text


def _draw_legend(draw: ImageDraw.ImageDraw, top: int, names: Sequence[str]) -> None:
    x: float = _MARGIN
    for name, color in zip(names, COLORS, strict=False):
        draw.rectangle((x, top, x + 18, top + 18), color)
        draw.text((x + 26, top - 2), name, INK, font(18))
        x += 26 + font(18).getlength(name) + 32
