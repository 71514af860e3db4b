"""What a person sees of a training, what its log keeps, and what ends it early."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
from tqdm import tqdm

from asap_tf.core.errors import AsapError
from asap_tf.core.signals import Stop

if TYPE_CHECKING:
    from asap_tf.inference.evaluate import Evaluation
    from asap_tf.training.trainer import Trainer

LOG_SECONDS = 5.0

NON_FINITE_HINT = (
    "the run is kept as it was at its last checkpoint. Try a lower optimizer.learning_rate, "
    "optimizer.clip_norm=1, optimizer.warmup_steps=500 or train.precision=float32"
)
"""What became of a run whose numbers are none any more, and what to do."""


class Monitor(keras.callbacks.Callback):
    """Counts steps, shows progress, writes the log, and stops on a wish or on a loss gone bad.

    Args:
        trainer: The training to watch; its `step` is kept up to date.
        stop: The wish to stop.
    """

    def __init__(self, trainer: Trainer, stop: Stop):
        super().__init__()
        self.trainer = trainer
        self.stop = stop
        self.started = self.logged = time.monotonic()
        self.first_step = trainer.step
        self.loss = math.nan
        self.is_finite = finite_check(trainer.network.trainable_variables)
        self.bar = tqdm(
            total=trainer.total_steps,
            initial=trainer.step,
            desc="train",
            disable=None if trainer.hosts.first else True,
            unit="step",
        )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.batches = 0
        self.total_loss = self.logged_loss = 0.0
        self.logged_batches = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        trainer = self.trainer
        # Keras reports the mean over the epoch so far; the log wants the loss since its last line.
        self.batches += 1
        mean = float(logs["loss"]) if logs else math.nan
        self.total_loss = mean * self.batches
        if not math.isfinite(mean):
            raise AsapError(
                f"loss is {mean} at step {trainer.step}, learning rate {self.rate:.3g}; "
                f"{NON_FINITE_HINT}"
            )
        trainer.step += 1
        if keras.backend.backend() == "tensorflow":
            # JAX's trainer holds what it changes itself until the epoch's end.
            if not self.is_finite():
                trainer.require_finite()
            self.require_scale()
        self.bar.update()
        if time.monotonic() - self.logged > LOG_SECONDS:
            self.write_log()
        # All hosts stop after the same step, whichever of them was asked, or cannot write.
        if trainer.hosts.largest(self.stop.requested or int(trainer.must_stop)):
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.write_log()
        self.require_scale()

    def require_scale(self) -> None:
        """Refuses to go on where each gradient overflows float16, and no step changes anything.

        Raises:
            AsapError: if the loss's factor, which each of them halves, is under 1.
        """
        optimizer = self.trainer.model.optimizer
        if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            return
        if float(optimizer.dynamic_scale) < 1:
            raise AsapError(
                f"gradients overflow float16 at step {self.trainer.step}, with a loss scale under "
                f"1; {NON_FINITE_HINT}"
            )

    @property
    def rate(self) -> float:
        """Learning rate of the step that comes next."""
        return float(self.trainer.optimizer.schedule(self.trainer.step))

    def write_log(self) -> None:
        """Adds a line for the steps since the last one."""
        steps = self.batches - self.logged_batches
        if not steps:
            return
        now = time.monotonic()
        images = steps * self.trainer.recipe.train.batch_size
        self.loss = (self.total_loss - self.logged_loss) / steps
        self.bar.set_postfix_str(f"loss {self.loss:.3f} lr {self.rate:.2g}")
        self.log_entry(
            loss=self.loss,
            learning_rate=self.rate,
            images_per_second=images / (now - self.logged),
            seconds=now - self.logged,
        )
        self.logged = now
        self.logged_batches, self.logged_loss = self.batches, self.total_loss

    def validated(self, evaluation: Evaluation) -> None:
        """Logs and prints the result of a validation."""
        scores = evaluation.scores
        self.log_entry(
            val_miou=scores.miou,
            val_pixel_accuracy=scores.pixel_accuracy,
            seconds=time.monotonic() - self.logged,
        )
        trainer = self.trainer
        self.logged = time.monotonic()
        if not trainer.hosts.first:
            return
        done = trainer.step - self.first_step
        left = (time.monotonic() - self.started) / done * (trainer.total_steps - trainer.step)
        self.bar.write(
            f"epoch {trainer.step // trainer.steps_per_epoch}/{trainer.recipe.train.epochs}  "
            f"loss {self.loss:.3f}  lr {self.rate:.2g}  val mIoU {scores.miou:.1%}  "
            f"best {max(scores.miou, trainer.best_miou or 0):.1%}  ETA {duration(left)}"
        )

    def log_entry(self, **values: float) -> None:
        """One entry, to the log and to TensorBoard."""
        trainer = self.trainer
        entry: dict[str, Any] = {
            "step": trainer.step,
            "epoch": trainer.step / trainer.steps_per_epoch,
            **values,
            "time": time.time(),
        }

        def write() -> None:
            trainer.run.log(entry)
            trainer.run.write_scalars(trainer.step, values)

        trainer.attempt("log", write)


def finite_check(variables: list[keras.Variable]) -> Callable[[], bool]:
    """A function that tells in a few milliseconds whether all of some variables are finite."""
    import tensorflow as tf

    @tf.function
    def total() -> tf.Tensor:
        return tf.add_n([tf.reduce_sum(v.value) for v in variables])

    return lambda: math.isfinite(float(total()))


def duration(seconds: float) -> str:
    """`"1 h 05 min"`, `"12 min"` or `"40 s"`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
