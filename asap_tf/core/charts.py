"""The style of all charts: figures of matplotlib, drawn without a window or global state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asap_tf.core.files import written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, RULE = "#1d2129", "#5d6673", "#dfe3e8"
"""Of titles, of labels and ticks, of the grid."""

BLUES = ("#1e40af", "#3b82f6", "#93c5fd", "#cbd5e1")
"""Of the bars in a group, from the first on."""

COLORS = ("#1e40af", "#b91c1c", "#047857", "#b45309", "#7c3aed")
"""Of the lines in a chart; what is drawn on the axes takes them one after the other."""

STYLE: dict[str, Any] = {
    "font.size": 10,
    "text.color": INK,
    # Names of files and models may hold dollar signs.
    "text.parse_math": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.prop_cycle": f"cycler(color={COLORS})",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "lines.linewidth": 2,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    # The same chart is the same file.
    "svg.hashsalt": "asap-tf",
}


@contextlib.contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure in the style of all charts, to be drawn on and saved within the block.

    Args:
        width: Inches; 200 pixels each in a PNG.
        height: Inches.

    Examples:
        >>> with new_figure(8, 4) as figure:
        ...     figure.subplots().plot([1, 2, 4])
        ...     save_png(figure, Path("chart.png"))
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", STYLE]):
        yield Figure((width, height), layout="constrained")


def save_png(figure: Figure, path: Path) -> None:
    """Writes a figure of `new_figure` as a PNG, whole or not at all.

    Raises:
        Unwritable: if it cannot be written.
    """
    with written_whole(path) as aside:
        figure.savefig(aside, format="png")
