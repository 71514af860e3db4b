"""Table III: operations of the modules, and their mIoU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asap_tf.benchmark.markdown import table
from asap_tf.reproduce.ablations import MODULES, Row
from asap_tf.reproduce.paper import CLAIMS_3, TABLE_3, ModuleRow
from asap_tf.reproduce.table2 import claim_lines, score_lines

if TYPE_CHECKING:
    import keras

MAP = (128, 128, 256)
"""`(H, W, C)` of the feature map that the modules work on, for a frame of 1024 x 1024."""

MISPRINT = """\
0.22 is ten times what the paper's own Eq. 3 and 4 take. One row of means is 128 positions: three
1 x 1 convolutions on them, two products of 128 x 128 and the broadcast back are 0.022 G, and no
natural structure gives 0.22. We take it for a misprint of 0.022: strip attention needs about 4000
times fewer operations than the conventional one, not 400. No layer was added to reach 0.22.
"""


def module_model(module: ModuleRow, shape: tuple[int, int, int] = MAP) -> keras.Model:
    """One module of Table III alone, on a feature map of `shape`."""
    import keras

    from asap_tf.models.asap import attend, fuse

    inputs = keras.Input(shape)
    build = fuse if module.part == "fusion" else attend
    return keras.Model(inputs, build(inputs, module.option), name="module")


def counts() -> dict[str, float]:
    """Operations of every module at 1024 x 1024, in G, by its title."""
    from asap_tf.models.operations import count_operations

    return {m.title: count_operations(module_model(m)).total / 1e9 for m in TABLE_3}


def text(counted: dict[str, float], rows: Sequence[Row]) -> str:
    """The table as Markdown.

    Args:
        counted: Operations in G by title, from `counts`.
        rows: All trainings so far.
    """
    lines = ["# Table III: operations at 1024 x 1024", ""]
    lines += table(
        ("module", "GFLOPs, paper", "counted", "verdict"),
        [
            [m.title, f"{m.gflops:.2f}", three_digits(counted[m.title]), verdict(m, counted)]
            for m in TABLE_3
        ],
        "lrrl",
    )
    lines += ["", MISPRINT, "# Table III: mIoU", ""]
    printed = {m.variant: f"{m.miou:.1f}" for m in TABLE_3}
    lines += [*score_lines(MODULES, rows, printed), "", *claim_lines(CLAIMS_3, rows)]
    return "\n".join(lines)


def three_digits(gflops: float) -> str:
    """Two decimals as printed, or three where the first two are zeros."""
    return f"{gflops:.2f}" if gflops >= 0.1 else f"{gflops:.3f}"


def verdict(module: ModuleRow, counted: dict[str, float]) -> str:
    """Whether the count equals the printed one."""
    same = f"{counted[module.title]:.2f}" == f"{module.gflops:.2f}"
    return "reproduced" if same else "not reproduced: see below"
