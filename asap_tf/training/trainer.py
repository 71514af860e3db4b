"""The training loop: fit an epoch, validate, save, until the steps are done."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from asap_tf.core.distributed import Hosts
from asap_tf.core.errors import AsapError, Interrupted, UsageError
from asap_tf.core.files import Unwritable
from asap_tf.core.signals import Stop, stop_on_signals
from asap_tf.data.check import CheckReport
from asap_tf.data.images import BadFile
from asap_tf.data.pipeline import reader_error
from asap_tf.inference.evaluate import Evaluation
from asap_tf.training.callbacks import FiniteGuard, Log, Progress, TrainingState
from asap_tf.training.loggers import experiment_loggers
from asap_tf.training.recipe import Recipe
from asap_tf.training.run_folder import Checkpoint, RunFolder
from asap_tf.training.task import SegmentationTask

ENDED_BY_CALLBACK = 1
"""Reason for a training's end, beside the numbers of the signals SIGINT and SIGTERM."""


class Trainer:
    """One training, from a fresh or an interrupted run folder to its end.

    Args:
        run: Run folder; a training in it is resumed from its last checkpoint.
        recipe: Recipe of the training.
        reports: Reports of `check_data`, with the datasets.
        hosts: Hosts that train together; None for this one alone. Host 0's `run` is the one that
            is written, the others' may be a `RunElsewhere`.
        callbacks: Keras callbacks of your own. They get the hooks of one `fit` over all epochs;
            a run that is resumed continues the epochs' and batches' numbers. `logs` hold the
            validation's `val_miou` and `val_pixel_accuracy` at the end of an epoch that was
            validated, those of further datasets as `val_NAME_miou` and so on, and
            `model.stop_training` ends the training as if it were done.

    Attributes:
        task: What is learned.
        state: How far it is.

    Raises:
        UsageError: if recipe, dataset and weights do not fit together.
        AsapError: if weights cannot be loaded.

    Examples:
        >>> recipe = load_recipe("camvid_resnet18", ["data.root=CamVid"])
        >>> Trainer(RunFolder(Path("runs/camvid")), recipe, check_data(recipe)).train()
    """

    def __init__(
        self,
        run: RunFolder,
        recipe: Recipe,
        reports: Sequence[CheckReport],
        hosts: Hosts | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        self.run = run
        self.recipe = recipe
        self.hosts = hosts = hosts or Hosts()
        self.callbacks = callbacks
        checkpoint = run.latest()
        progress = hosts.broadcast(checkpoint and (checkpoint.step, checkpoint.best_miou))
        self.task = task = SegmentationTask(recipe, reports, hosts, initialize=not progress)
        schedule = task.optimizer.schedule
        self.state = TrainingState(task.steps_per_epoch, recipe.train.epochs, schedule)
        self.loggers = experiment_loggers(run, recipe, self.state) if hosts.is_main else []
        if progress:
            step, best_miou = progress
            blank = {name: np.zeros(v.shape, v.dtype) for name, v in task.variables().items()}
            self.restore(checkpoint or Checkpoint(step, best_miou, blank))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint; of several hosts, to host 0's.

        Raises:
            UsageError: if it is one of another network or optimizer.
        """
        variables = self.task.variables()
        wanted = {name: tuple(v.shape) for name, v in variables.items()}
        if wanted != {name: array.shape for name, array in checkpoint.arrays.items()}:
            raise UsageError(
                f"{self.run.path}: its checkpoint does not fit its recipe and data, which have "
                f"{len(self.task.classes)} classes; was either changed since the start?"
            )
        arrays = {name: checkpoint.arrays[name].astype(v.dtype) for name, v in variables.items()}
        for name, array in self.hosts.broadcast_arrays(arrays).items():
            variables[name].assign(array)
        self.state.step = checkpoint.step
        self.state.best_miou = checkpoint.best_miou

    def train(self) -> None:
        """Takes all steps that are left.

        Raises:
            Interrupted: on SIGINT or SIGTERM, after saving.
            Unwritable: if the run folder cannot be written to; its last checkpoint is whole.
            AsapError: if loss or weights are not finite, or a file was damaged meanwhile.
        """
        try:
            with self.run.started(self.recipe), stop_on_signals() as stop:
                if self.run.newest_step() > self.state.step:
                    raise UsageError(f"{self.run.path}: was resumed meanwhile; start this again")
                self.run.rewind_log(self.state.step)
                self.hosts.set_resume_hint(self.run.resume_hint)
                self.run_epochs(stop)
        except Unwritable as error:
            raise Unwritable(f"{error}; {self.run.recovery_hint}") from error
        except Exception as error:
            problem = str(error) if isinstance(error, BadFile) else reader_error(error)
            if problem is None:
                raise
            raise AsapError(f"{problem}; fix it, then {self.run.resume_hint}") from error

    def run_epochs(self, stop: Stop) -> None:
        """The loop over the epochs that are left."""
        task, state, train = self.task, self.state, self.recipe.train
        guard = FiniteGuard(state, [*task.variables().values()], task.model)
        log = Log(state, self.run, train.batch_size, "tensorboard" in train.loggers)
        shown = [Progress(state), *self.loggers] if self.hosts.is_main else []
        hooks = keras.callbacks.CallbackList(
            [guard, log, *shown, *self.callbacks],
            model=task.model,
            epochs=state.epochs,
            steps=state.steps_per_epoch,
            verbose=0,
        )
        steps = Steps(state, task.model, hooks, stop, self.hosts)
        reason = 0
        hooks.on_train_begin()
        while state.step < state.total_steps and not reason:
            epoch = state.step // state.steps_per_epoch
            hooks.on_epoch_begin(epoch)
            logs = self.fit(epoch, steps)
            guard.require_finite()
            self.run.recreate(self.recipe)

            due = state.step == state.total_steps or (epoch + 1) % train.validate_every == 0
            evaluations = None
            if due and state.step % state.steps_per_epoch == 0:
                evaluations = self.validate(hooks)
                scores = self.scores_of(evaluations)
                logs |= {f"val_{name}": value for name, value in scores.items()}
            hooks.on_epoch_end(epoch, logs)
            reason = steps.stop_reason()
            if reason == ENDED_BY_CALLBACK and not (evaluations or log.error):
                evaluations = self.validate(hooks)
            self.save(evaluations)
            if log.error:
                raise log.error
        hooks.on_train_end()
        if reason > ENDED_BY_CALLBACK and state.step < state.total_steps:
            self.hosts.all_gather(None)  # Host 0 has saved.
            raise Interrupted(
                f"stopped at step {state.step} of {state.total_steps} and saved; "
                f"{self.run.resume_hint}",
                reason,
            )

    def fit(self, epoch: int, steps: Steps) -> dict[str, float]:
        """Takes the steps that are left of an epoch, counted from 0; returns their mean losses."""
        stop_step = (epoch + 1) * self.state.steps_per_epoch
        with self.task.scope():
            history = self.task.model.fit(
                self.task.batches(self.state.step, stop_step),
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                verbose=0,
                callbacks=[steps],
            )
        return {name: values[-1] for name, values in history.history.items()}

    def validate(self, hooks: keras.callbacks.CallbackList) -> list[Evaluation]:
        """Scores the run on the validation split of each dataset."""
        hooks.on_test_begin()
        evaluations = self.task.validate()
        hooks.on_test_end(self.scores_of(evaluations))
        return evaluations

    def scores_of(self, evaluations: Sequence[Evaluation]) -> dict[str, float]:
        """What callbacks get of a validation: of further datasets with their names."""
        scores = {}
        for index, name in enumerate(self.recipe.dataset_names):
            prefix = f"{name}_" if index else ""
            scores[f"{prefix}miou"] = evaluations[index].scores.miou
            scores[f"{prefix}pixel_accuracy"] = evaluations[index].scores.pixel_accuracy
        return scores

    def save(self, evaluations: Sequence[Evaluation] | None) -> None:
        """Writes a checkpoint of this step and, if it scored best or first, `model.keras`.

        Of several datasets, the first says what is best.

        A step that is scored is so before it has a checkpoint: it will not be taken again.

        Raises:
            Unwritable: if either cannot be written.
        """
        state = self.state
        if evaluations:
            miou = evaluations[0].scores.miou
            is_best = state.best_miou is None or miou > state.best_miou
            if self.hosts.is_main and (is_best or not self.run.model.exists()):
                self.task.save(self.run.model, state.step, evaluations[0])
                state.best_miou = miou
        arrays = {name: np.asarray(v) for name, v in self.task.variables().items()}
        self.run.save(Checkpoint(state.step, state.best_miou, arrays))


class Steps(keras.callbacks.Callback):
    """Counts the steps of `fit`, and ends it on all hosts after the same one.

    Args:
        state: State of the training.
        model: Model whose steps they are.
        hooks: Callbacks of the training, which get the batch hooks.
        stop: Request to stop.
        hosts: Hosts that train together.
    """

    def __init__(
        self,
        state: TrainingState,
        model: keras.Model,
        hooks: keras.callbacks.CallbackList,
        stop: Stop,
        hosts: Hosts,
    ):
        super().__init__()
        self.state = state
        # On JAX, a callback's own `model` collects the weights from the devices every time.
        self.stepping = model
        self.hooks = hooks
        self.stop = stop
        self.hosts = hosts

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.batch = self.state.step % self.state.steps_per_epoch
        self.hooks.on_train_batch_begin(self.batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.state.step += 1
        self.hooks.on_train_batch_end(self.batch, logs)
        if self.stop_reason():
            self.stepping.stop_training = True

    def stop_reason(self) -> int:
        """Signal that asks any host to stop, `ENDED_BY_CALLBACK`, or 0; the same on all hosts."""
        return self.hosts.all_max(
            self.stop.requested or ENDED_BY_CALLBACK * int(self.stepping.stop_training)
        )
