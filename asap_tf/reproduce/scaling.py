"""How time and memory of Table III's modules grow with the frame."""

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
from tqdm import tqdm

from asap_tf.benchmark.artifact import lead_in, peak_memory, size_text, timed
from asap_tf.benchmark.chart import log_log_chart
from asap_tf.benchmark.machine import available_memory, this_machine
from asap_tf.benchmark.markdown import figure, table
from asap_tf.benchmark.rounds import measure
from asap_tf.benchmark.worker import Worker
from asap_tf.data.images import write_png
from asap_tf.reproduce.paper import TABLE_3, Module

SIZES = ((256, 512), (512, 512), (512, 1024), (512, 2048), (1024, 1024), (1024, 2048))
"""`(H, W)` of the frames; the modules work on an eighth of it."""

STRIDE = 8
CHANNELS = 256
ROUNDS = 7


@dataclass(frozen=True)
class Timing:
    """A module at one size.

    Attributes:
        title: Of the module.
        size: `(H, W)` of the frame.
        seconds: Median over the rounds; None if it was not run.
        memory: Bytes that its process needed for running it beyond those for being there.
        why: It was not run.
    """

    title: str
    size: tuple[int, int]
    seconds: float | None
    memory: int | None
    why: str = ""


@dataclass(frozen=True)
class ModuleJob:
    """A module to run in a process of its own, by TensorFlow in float32."""

    module: Module
    size: tuple[int, int]
    folder: Path

    @property
    def path(self) -> Path:
        """Names the module in an error."""
        return Path(self.module.title)

    def open(self) -> RunningModule:
        """Builds it."""
        return RunningModule(self)


class RunningModule:
    """A module on a random map; a `Runner`."""

    def __init__(self, job: ModuleJob):
        import tensorflow as tf

        from asap_tf.reproduce.table3 import module_model

        height, width = (side // STRIDE for side in job.size)
        model = module_model(job.module, (height, width, CHANNELS))
        maps = tf.random.normal((1, height, width, CHANNELS), seed=0)
        network = tf.function(lambda: model(maps, training=False), autograph=False)
        network.get_concrete_function()
        self._run = lambda: network().numpy()
        self.facts = peak_memory()

    def turn(self) -> dict[str, float]:
        """Runs it untimed, then timed."""
        lead_in(self._run)
        return {"network": timed(self._run)}


def grow() -> list[Timing]:
    """Times every module at every size, those of one size interleaved.

    The conventional attention is left out where its weights, a number for each pair of positions,
    would not fit into memory three times.

    Raises:
        AsapError: if a process crashes.
    """
    timings = []
    for size in tqdm(SIZES, "timing modules", unit="size", disable=None):
        positions = size[0] * size[1] // STRIDE**2
        needed = 3 * 4 * positions**2
        fits = needed < available_memory()
        modules = [m for m in TABLE_3 if fits or m.option != "full"]
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            workers = [
                stack.enter_context(Worker(ModuleJob(module, size, folder))) for module in modules
            ]
            rounds = measure(workers, 0, least=ROUNDS)
            for index, (module, worker) in enumerate(zip(modules, workers, strict=True)):
                seconds = statistics.median(turns[index]["network"] for turns in rounds)
                memory = worker.peak_memory - worker.facts
                timings.append(Timing(module.title, size, seconds, memory))
        if not fits:
            (title,) = (m.title for m in TABLE_3 if m.option == "full")
            why = f"needs {needed / 1e9:.0f} GB"
            timings.append(Timing(title, size, None, None, why))
    return timings


def exponent(timings: Sequence[Timing], title: str, of: str) -> float:
    """Power of the number of pixels with which `of`, a field of `Timing`, grows for a module."""
    known = [
        (math.prod(t.size), getattr(t, of)) for t in timings if t.title == title and getattr(t, of)
    ]
    pixels, values = np.log(np.array(known, float)).T
    return float(np.polyfit(pixels, values, 1)[0])


def text(timings: Sequence[Timing]) -> str:
    """Time and memory as Markdown tables, a column for each size."""
    titles = dict.fromkeys(t.title for t in timings)
    sizes = [size_text(size) for size in SIZES]
    cells = {(t.title, t.size): t for t in timings}
    lines = [f"# Table III's modules on this machine: TensorFlow, float32, {this_machine().name}"]
    for name, of, unit in (("milliseconds", "seconds", 1e-3), ("peak memory, MB", "memory", 1e6)):
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
    titles = list(dict.fromkeys(t.title for t in timings))
    panels = []
    for label, of, unit in (("milliseconds", "seconds", 1e-3), ("peak memory, MB", "memory", 1e6)):
        lines = {
            title: [
                (math.prod(t.size) / 1e6, getattr(t, of) / unit)
                for t in timings
                if t.title == title and getattr(t, of)
            ]
            for title in titles
        }
        panels.append(log_log_chart(label, "megapixels of the frame", lines))
    write_png(file, np.concatenate(panels, axis=1))


def to_dict(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """For JSON."""
    return [asdict(timing) for timing in timings]
