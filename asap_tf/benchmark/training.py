"""Times a training: its step, its input pipeline, and both together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import keras

from asap_tf.benchmark.machine import Machine, this_machine
from asap_tf.core.errors import Interrupted
from asap_tf.core.progress import ProgressBar
from asap_tf.data.check import CheckReport
from asap_tf.training.precision import has_gpu, resolve_precision
from asap_tf.training.recipe import Recipe
from asap_tf.training.task import SegmentationTask

if TYPE_CHECKING:
    import tensorflow as tf

KINDS = ("step", "pipeline", "both")
PASSES = 3
WARM_UP = 3
"""Batches at the start of each pass that do not count."""

MIN_BATCHES = 7
"""To count in each pass."""

_ENDLESS = 10**9


@dataclass(frozen=True)
class TrainingSpeed:
    """Speed of a training.

    Attributes:
        machine: The machine that it ran on.
        recipe: The resolved recipe.
        precision: Dtype policy of the network.
        frames: Number of frames in the training split.
        runtime: Versions of Keras and its backend, and the device.
        passes: Number of finished passes, of `PASSES`.
        seconds: Seconds of every batch by kind: the step alone, on one batch in memory; the input
            pipeline alone; both, as in a training.
    """

    machine: Machine
    recipe: Recipe
    precision: str
    frames: int
    runtime: str
    passes: int
    seconds: dict[str, list[float]]

    @property
    def complete(self) -> bool:
        """Whether all passes were finished."""
        return self.passes == PASSES

    def rate(self, kind: str) -> float:
        """Images a second: all images over all seconds."""
        seconds = self.seconds[kind]
        return len(seconds) * self.recipe.train.batch_size / sum(seconds)


def time_training(
    recipe: Recipe, reports: Sequence[CheckReport], seconds: float = 30.0
) -> TrainingSpeed:
    """Times the training of a recipe with its own pieces; nothing of it is kept.

    Step, pipeline and both are timed in turn, three times over, so that drifts of the machine
    affect all alike. Where decoded frames are kept in memory, they are read first.

    Args:
        recipe: Recipe with `data.root` given.
        reports: Result of `check_data`.
        seconds: Least duration of all together; 7 batches of each are timed in each of the three
            passes in any case.

    Raises:
        UsageError: if recipe, dataset and weights do not fit together.
        AsapError: if weights cannot be loaded.
        Interrupted: on Ctrl-C before the first pass was finished.
    """
    machine = this_machine()
    passes: list[dict[str, list[float]]] = []
    with ProgressBar(total=PASSES * len(KINDS), desc="building", leave=False) as bar:
        try:
            task = SegmentationTask(recipe, reports)
            bar.set_description("reading frames")
            for data, source in zip(recipe.data, task.sources, strict=True):
                for pair in source.pairs if data.cache else ():
                    source.read(pair)
            resident = task.batches(0, _ENDLESS).take(1).cache().repeat(_ENDLESS)
            share = seconds / (PASSES * len(KINDS))
            timers: dict[str, Callable[[], list[float]]] = {
                "step": lambda: time_steps(task.model, resident, share),
                "pipeline": lambda: time_pipeline(task.batches(0, _ENDLESS), share),
                "both": lambda: time_steps(task.model, task.batches(0, _ENDLESS), share),
            }
            for _ in range(PASSES):
                once: dict[str, list[float]] = {}
                for kind, timer in timers.items():
                    bar.set_description(kind)
                    once[kind] = timer()
                    bar.update()
                passes.append(once)
        except KeyboardInterrupt:
            if not passes:
                raise Interrupted("stopped before the first pass; nothing was measured") from None
    backend = keras.backend.backend()
    return TrainingSpeed(
        machine=machine,
        recipe=recipe,
        precision=resolve_precision(recipe.train.precision),
        frames=sum(len(source.pairs) for source in task.sources),
        runtime=f"Keras {keras.__version__}, {backend} {version(backend)}, "
        f"{'GPU' if has_gpu() else 'CPU'}",
        passes=len(passes),
        seconds={kind: [t for once in passes for t in once[kind]] for kind in KINDS},
    )


class Clock:
    """Records the times at which batches are done, until there are enough."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.ends: list[float] = []

    def tick(self) -> bool:
        """Records the end of a batch; returns whether more are needed."""
        self.ends.append(time.perf_counter())
        counted = len(self.ends) - WARM_UP
        if counted < MIN_BATCHES:
            return True
        return self.ends[-1] - self.ends[WARM_UP - 1] < self.seconds

    def times(self) -> list[float]:
        """Seconds of each batch after the warm-up."""
        ends = self.ends[WARM_UP - 1 :]
        return [after - before for before, after in zip(ends, ends[1:], strict=False)]


class _Ticks(keras.callbacks.Callback):
    def __init__(self, clock: Clock):
        super().__init__()
        self.clock = clock

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Reading the loss waits for the step to be done.
        float((logs or {})["loss"])
        self.model.stop_training = not self.clock.tick()


def time_steps(model: keras.Model, batches: tf.data.Dataset, seconds: float) -> list[float]:
    """Seconds of each training step on `batches`."""
    clock = Clock(seconds)
    model.fit(batches, shuffle=False, verbose=0, callbacks=[_Ticks(clock)])
    return clock.times()


def time_pipeline(batches: tf.data.Dataset, seconds: float) -> list[float]:
    """Seconds until each of `batches` is ready."""
    clock = Clock(seconds)
    for _ in batches:
        if not clock.tick():
            break
    return clock.times()
