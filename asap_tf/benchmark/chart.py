"""Groups of horizontal bars, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asap_tf.core.charts import BLUES, SOFT, new_figure, save_png

_BAR, _GAP, _LINE = 0.13, 0.2, 0.14
"""Inches: a bar, the gap between two groups, and a line of notes."""


@dataclass(frozen=True)
class Group:
    """Bars that belong together.

    Attributes:
        name: Name of the group.
        notes: Lines below the name, in smaller type.
        bars: Length of each bar, and the text at its end.
    """

    name: str
    notes: tuple[str, ...]
    bars: tuple[tuple[float, str], ...]


def bar_chart(
    path: Path, title: str, notes: Sequence[str], legend: Sequence[str], groups: Sequence[Group]
) -> None:
    """Draws groups of horizontal bars from a common zero.

    Args:
        path: The PNG to write, 1600 pixels wide.
        title: What the lengths of the bars are.
        notes: Lines below the chart.
        legend: Name of each bar of a group, at most four.
        groups: Groups from the top down, at least one.

    Raises:
        AsapError: if the file cannot be written.
    """
    heights = [max(len(g.bars) * _BAR, 0.2 + _LINE * len(g.notes)) + _GAP for g in groups]
    tops = [sum(heights[:index]) for index in range(len(groups))]
    with new_figure(8, 1.4 + _LINE * len(notes) + sum(heights)) as figure:
        axes = figure.subplots()
        lines = "\n".join(shortened(note, 120) for note in notes)
        figure.supxlabel(lines, x=0.01, ha="left", size=8, color=SOFT)
        for index, name in enumerate(legend):
            bars = axes.barh(
                [top + (index + 0.5) * _BAR for top in tops],
                [group.bars[index][0] for group in groups],
                height=0.85 * _BAR,
                color=BLUES[index],
                label=name,
            )
            axes.bar_label(bars, [group.bars[index][1] for group in groups], padding=4, size=8)
        for top, group in zip(tops, groups, strict=True):
            for line, text in enumerate((group.name, *group.notes)):
                axes.annotate(
                    shortened(text, 40 if line else 26),
                    (0, top + 0.07 + _LINE * line),
                    (-8, 0),
                    ("axes fraction", "data"),
                    "offset points",
                    ha="right",
                    va="center",
                    size=7 if line else 9,
                    color=SOFT if line else None,
                )
        axes.set_ylim(sum(heights), -_GAP / 2)
        axes.set_yticks([])
        axes.margins(x=0.02)
        figure.legend(
            loc="outside upper left",
            ncols=2,
            fontsize=8,
            title=title,
            title_fontsize=14,
            alignment="left",
        )
        save_png(figure, path)


def shortened(text: str, length: int) -> str:
    """`text`, with its middle cut out where it is longer than `length` characters."""
    if len(text) <= length:
        return text
    half = (length - 3) // 2
    return f"{text[:half]}...{text[-half:]}"
