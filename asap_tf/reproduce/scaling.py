"""Time and memory of Table III's modules, and how they scale with the size of the frame."""

from __future__ import annotations

import contextlib
import math
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.benchmark.artifact import lead_in, peak_memory, size_text, timed
from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import figure, table
from asap_tf.benchmark.rounds import measure
from asap_tf.benchmark.worker import Worker
from asap_tf.core.charts import new_figure, save_png
from asap_tf.core.progress import ProgressBar
from asap_tf.core.system import available_memory
from asap_tf.reproduce.paper import TABLE_3, ModuleRow

SIZES = ((256, 512), (512, 512), (512, 1024), (512, 2048), (1024, 1024), (1024, 2048))
"""`(H, W)` of the frames; the modules work at an eighth of it."""

STRIDE = 8
CHANNELS = 256
ROUNDS = 7

PANELS = (("milliseconds", "seconds", 1e-3), ("peak memory, MB", "memory", 1e6))
"""What is shown: its label, the field of `Timing`, and the unit."""


@dataclass(frozen=True)
class Timing:
    """A module at one size.

    Attributes:
        title: Name of the module.
        size: `(H, W)` of the frame.
        seconds: Median over the rounds; None if it was not run.
        memory: Bytes that its process needed to run it, beyond those before the first run.
        why: Reason why it was not run.
    """

    title: str
    size: tuple[int, int]
    seconds: float | None
    memory: int | None
    why: str = ""


@dataclass(frozen=True)
class ModuleSpec:
    """A module to run in a process of its own, by TensorFlow in float32."""

    module: ModuleRow
    size: tuple[int, int]
    folder: Path

    @property
    def path(self) -> Path:
        """Name of the module in an error."""
        return Path(self.module.title)

    def open(self) -> ModuleRunner:
        """Builds it."""
        return ModuleRunner(self)


class ModuleRunner:
    """A module on a random map; a `Runner`."""

    def __init__(self, spec: ModuleSpec):
        import tensorflow as tf

        from asap_tf.reproduce.table3 import module_model

        height, width = (side // STRIDE for side in spec.size)
        model = module_model(spec.module, (height, width, CHANNELS))
        maps = tf.random.normal((1, height, width, CHANNELS), seed=0)
        network = tf.function(lambda: model(maps, training=False), autograph=False)
        network.get_concrete_function()
        self._run = lambda: network().numpy()
        self.info = peak_memory()

    def turn(self) -> dict[str, float]:
        """Runs it untimed, then timed."""
        lead_in(self._run)
        return {"network": timed(self._run)}


def measure_scaling() -> list[Timing]:
    """Times every module at every size, those of one size interleaved.

    Conventional attention is not run where its weights, one for each pair of positions, would not
    fit into memory three times.

    Raises:
        AsapError: if a process crashes.
    """
    timings = []
    for size in ProgressBar(SIZES, "timing modules", unit="size"):
        positions = size[0] * size[1] // STRIDE**2
        needed = 3 * 4 * positions**2
        fits = needed < available_memory()
        modules = [m for m in TABLE_3 if fits or m.option != "full"]
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            workers = [
                stack.enter_context(Worker(ModuleSpec(module, size, folder))) for module in modules
            ]
            rounds = measure(workers, 0, least=ROUNDS)
            for index, (module, worker) in enumerate(zip(modules, workers, strict=True)):
                seconds = statistics.median(turns[index]["network"] for turns in rounds)
                memory = worker.peak_memory - worker.info
                timings.append(Timing(module.title, size, seconds, memory))
        if not fits:
            (title,) = (m.title for m in TABLE_3 if m.option == "full")
            why = f"needs {needed / 1e9:.0f} GB"
            timings.append(Timing(title, size, None, None, why))
    return timings


def exponent(timings: Sequence[Timing], title: str, of: str) -> float:
    """Exponent of the number of pixels in a power law for `of`, a field of `Timing`."""
    known = [
        (math.prod(t.size), getattr(t, of)) for t in timings if t.title == title and getattr(t, of)
    ]
    pixels, values = np.log(np.array(known, float)).T
    return float(np.polyfit(pixels, values, 1)[0])


def text(timings: Sequence[Timing]) -> str:
    """Time and memory as Markdown tables, with a column for each size."""
    titles = dict.fromkeys(t.title for t in timings)
    sizes = [size_text(size) for size in SIZES]
    cells = {(t.title, t.size): t for t in timings}
    lines = [f"# Table III's modules on this machine: TensorFlow, float32, {this_machine().name}"]
    for name, of, unit in PANELS:
        rows = [
            [
                title,
                *(cell(cells[title, size], of, unit) for size in SIZES),
                f"{exponent(timings, title, of):.2f}",
            ]
            for title in titles
        ]
        lines += ["", *table((name, *sizes, "grows as HW to the"), rows, "l" + "r" * 7)]
    return "\n".join(lines)


def cell(timing: Timing, of: str, unit: float) -> str:
    """A number of one module at one size, or why there is none."""
    value = getattr(timing, of)
    return timing.why if value is None else figure(value / unit)


def draw(timings: Sequence[Timing], file: Path) -> None:
    """Time and memory over the pixels of the frame, on logarithmic axes, as a PNG.

    Raises:
        AsapError: if it cannot be written.
    """
    with new_figure(10, 4) as chart:
        for axes, (label, of, unit) in zip(chart.subplots(1, 2), PANELS, strict=True):
            for title in dict.fromkeys(t.title for t in timings):
                known = [t for t in timings if t.title == title and getattr(t, of)]
                pixels = [math.prod(t.size) / 1e6 for t in known]
                axes.loglog(pixels, [getattr(t, of) / unit for t in known], "o-", label=title)
            axes.set_title(label)
            axes.set_xlabel("megapixels of the frame")
            axes.set_xticks(sorted({math.prod(t.size) / 1e6 for t in timings}))
            axes.minorticks_off()
            axes.xaxis.set_major_formatter("{x:.2f}")
            axes.yaxis.set_major_formatter("{x:,g}")
        chart.legend(*axes.get_legend_handles_labels(), loc="outside right center")
        save_png(chart, file)


def to_dict(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """The timings as plain data for JSON."""
    return [asdict(timing) for timing in timings]
