"""Keras callbacks of every training: the log, the progress, and the guard against lost weights."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.core.files import Unwritable
from asap_tf.core.progress import ProgressBar
from asap_tf.training.optimizers import PolyDecay
from asap_tf.training.run_folder import RunFolder

LOG_SECONDS = 5.0
"""Between two lines of the log."""

NON_FINITE_HINT = (
    "the run is kept as it was at its last checkpoint. Try a lower optimizer.learning_rate, "
    "optimizer.clip_norm=1, optimizer.warmup_steps=500 or train.precision=float32"
)
"""What becomes of a run whose loss or weights are not finite, and what to do."""


@dataclass
class TrainingState:
    """How far a training is; the trainer keeps it up to date, callbacks read it.

    Attributes:
        steps_per_epoch: Steps of an epoch.
        epochs: Epochs of the whole training.
        schedule: Learning rate by step.
        step: Steps done.
        best_miou: Best validation so far, 0..1; None before the first.
    """

    steps_per_epoch: int
    epochs: int
    schedule: PolyDecay
    step: int = 0
    best_miou: float | None = None

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_per_epoch * self.epochs

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return float(self.schedule(self.step))


class FiniteGuard(keras.callbacks.Callback):
    """Ends a training whose loss or weights are not finite, or whose gradients overflow float16.

    Args:
        state: State of the training.
        variables: All variables that steps change.
        model: The model that takes the steps.
    """

    def __init__(
        self, state: TrainingState, variables: Sequence[keras.Variable], model: keras.Model
    ):
        super().__init__()
        self.state = state
        self.variables = variables
        self.optimizer = model.optimizer
        self.trainable_are_finite = finite_check(model.trainable_variables)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise AsapError(
                f"loss is {loss} at step {self.state.step}, learning rate "
                f"{self.state.learning_rate:.3g}; {NON_FINITE_HINT}"
            )
        if keras.backend.backend() == "tensorflow":
            # JAX's trainer holds what it changes itself until the epoch's end.
            if not self.trainable_are_finite():
                self.require_finite()
            self.require_scale()

    def require_finite(self) -> None:
        """Checks every variable, before it is saved or validated.

        The loss shows it one step later or, where an activation makes zeros of NaN, never.

        Raises:
            AsapError: naming the first that is not finite.
        """
        for variable in self.variables:
            if not np.isfinite(np.asarray(variable, "float32")).all():
                raise AsapError(
                    f"{variable.path} is not finite after step {self.state.step}; {NON_FINITE_HINT}"
                )
        self.require_scale()

    def require_scale(self) -> None:
        """Checks the factor of the loss, which every gradient that overflows float16 halves.

        Raises:
            AsapError: if it is under 1: all gradients overflow, and no step changes anything.
        """
        if not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            return
        if float(self.optimizer.dynamic_scale) < 1:
            raise AsapError(
                f"gradients overflow float16 at step {self.state.step}, with a loss scale under 1; "
                f"{NON_FINITE_HINT}"
            )


def finite_check(variables: list[keras.Variable]) -> Callable[[], bool]:
    """A function that says in a few milliseconds whether all of some variables are finite."""
    import tensorflow as tf

    @tf.function
    def total() -> tf.Tensor:
        return tf.add_n([tf.reduce_sum(v.value) for v in variables])

    return lambda: math.isfinite(float(total()))


class Log(keras.callbacks.Callback):
    """Writes losses, speed and scores to a run's log and TensorBoard events.

    Args:
        state: State of the training.
        run: Run folder.
        batch_size: Frames in a step.
        tensorboard: Whether to write TensorBoard events.

    Attributes:
        error: Why the run folder could not be written to, which ends the training; None if it
            could.
    """

    def __init__(
        self, state: TrainingState, run: RunFolder, batch_size: int, tensorboard: bool = True
    ):
        super().__init__()
        self.state = state
        self.run = run
        self.batch_size = batch_size
        self.tensorboard = tensorboard
        self.error: Unwritable | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.logged_at = time.monotonic()
        self.steps = self.logged_steps = 0
        self.total_loss = self.logged_loss = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        # Keras reports the mean over the epoch so far; the log wants that since its last line.
        self.steps += 1
        self.total_loss = (logs or {})["loss"] * self.steps
        is_last = self.state.step % self.state.steps_per_epoch == 0
        if is_last or time.monotonic() - self.logged_at > LOG_SECONDS:
            self.write_steps()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        self.write({f"val_{name}": value for name, value in (logs or {}).items()})

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.write_steps()

    def write_steps(self) -> None:
        """Adds a line for the steps since the last one."""
        steps = self.steps - self.logged_steps
        if steps:
            seconds = time.monotonic() - self.logged_at
            self.write(
                {
                    "loss": (self.total_loss - self.logged_loss) / steps,
                    "learning_rate": self.state.learning_rate,
                    "images_per_second": steps * self.batch_size / seconds,
                }
            )
            self.logged_steps, self.logged_loss = self.steps, self.total_loss

    def write(self, values: dict[str, float]) -> None:
        """Adds one entry, with the seconds since the last."""
        now, step = time.monotonic(), self.state.step
        entry: dict[str, Any] = {
            "step": step,
            "epoch": step / self.state.steps_per_epoch,
            **values,
            "seconds": now - self.logged_at,
            "time": time.time(),
        }
        self.logged_at = now
        try:
            self.run.log(entry)
            if self.tensorboard:
                self.run.write_scalars(step, values)
        except Unwritable as error:
            self.error = error
            self.model.stop_training = True


class Progress(keras.callbacks.Callback):
    """Shows a bar of steps on a terminal, and prints a line an epoch.

    Args:
        state: State of the training.
    """

    def __init__(self, state: TrainingState):
        super().__init__()
        self.state = state

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.started = time.monotonic()
        self.first_step = self.state.step
        self.bar = ProgressBar(
            total=self.state.total_steps,
            initial=self.state.step,
            desc="train",
            unit="step",
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.bar.set_postfix_str(f"loss {(logs or {})['loss']:.3f}", refresh=False)
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        state, logs = self.state, logs or {}
        parts = [
            f"epoch {epoch + 1}/{state.epochs}",
            f"loss {logs['loss']:.3f}",
            f"lr {state.learning_rate:.2g}",
        ]
        if "val_miou" in logs:
            best = max(logs["val_miou"], state.best_miou or 0)
            parts.append(f"val mIoU {logs['val_miou']:.1%}  best {best:.1%}")
            further = {n: v for n, v in logs.items() if re.fullmatch("val_.+_miou", n)}
            parts += [f"{name[4:-5]} {value:.1%}" for name, value in further.items()]
        seconds = (time.monotonic() - self.started) / (state.step - self.first_step)
        parts.append(f"ETA {duration(seconds * (state.total_steps - state.step))}")
        self.bar.write("  ".join(parts))

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.bar.close()


def duration(seconds: float) -> str:
    """`"1 h 05 min"`, `"12 min"` or `"40 s"`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
