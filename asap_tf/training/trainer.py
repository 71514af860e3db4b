"""The training loop: fit an epoch, validate, save, until the steps are done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from asap_tf.core.distributed import Hosts
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.files import Unwritable
from asap_tf.core.signals import stop_on_signals
from asap_tf.data.augment import Augmentation
from asap_tf.data.check import CheckReport
from asap_tf.data.images import BadFile
from asap_tf.data.pipeline import pair_reader, reader_error, steps_per_epoch, training_batches
from asap_tf.inference.evaluate import Evaluation, evaluate
from asap_tf.models import create_model
from asap_tf.runtime import Segmenter
from asap_tf.runtime.keras_network import KerasNetwork
from asap_tf.saving.keras_file import save_model
from asap_tf.saving.transfer import copy_matching
from asap_tf.training import UNLABELED
from asap_tf.training.callbacks import NON_FINITE_HINT, Monitor
from asap_tf.training.optimizers import build_optimizer
from asap_tf.training.precision import dtype_policy, resolve_precision
from asap_tf.training.recipe import Recipe
from asap_tf.training.run_folder import Checkpoint, RunFolder
from asap_tf.training.strategy import strategy_scope
from asap_tf.training.task import build_network, compile_model, resolve_class_weights

if TYPE_CHECKING:
    import tensorflow as tf

LOGGER = logging.getLogger("asap_tf")


class Interrupted(AsapError):
    """Somebody asked the training to stop; it has been saved."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Trainer:
    """One training, from a fresh or an interrupted run folder to its end.

    Args:
        run: Where it is recorded; training goes on from the last checkpoint in it.
        recipe: Says everything.
        report: From `check_data`; holds the dataset.
        hosts: That train together; None for this alone. Host 0's `run` is the one that counts, the
            others' may be a `RunElsewhere`.

    Raises:
        UsageError: if recipe, dataset and weights do not fit together.
        AsapError: if weights cannot be had.

    Example:
        >>> recipe = load_recipe("camvid_resnet18", ["data.root=CamVid"])
        >>> Trainer(RunFolder(Path("runs/camvid")), recipe, check_data(recipe)).train()
    """

    def __init__(
        self, run: RunFolder, recipe: Recipe, report: CheckReport, hosts: Hosts | None = None
    ):
        self.run = run
        self.hosts = hosts = hosts or Hosts()
        self.scope = strategy_scope(recipe.train.batch_size, hosts)
        self.recipe = recipe
        self.dataset = dataset = report.dataset
        self.pairs = dataset.pairs(recipe.data.train_split) + dataset.splits.get(UNLABELED, ())
        self.left_out: set[Path] = set()
        skip = self.leave_out if recipe.data.skip_bad else None
        self.read = pair_reader(dataset.encoding, recipe.data.cache, skip)
        self.steps_per_epoch = steps_per_epoch(len(self.pairs), recipe.train.batch_size)
        self.total_steps = self.steps_per_epoch * recipe.train.epochs

        keras.utils.set_random_seed(recipe.train.seed)
        class_weights = resolve_class_weights(
            recipe.loss.class_weights, report.class_pixels[recipe.data.train_split]
        )
        checkpoint = run.latest()
        progress = hosts.told(checkpoint and (checkpoint.step, checkpoint.best_miou))
        weights = None if progress else recipe.model.weights
        precision = hosts.told(resolve_precision(recipe.train.precision))
        with self.scope(), dtype_policy(precision):
            self.optimizer = build_optimizer(recipe.optimizer, self.total_steps)
            self.network = build_network(recipe, dataset, weights)
            self.model = compile_model(self.network, recipe, dataset, self.optimizer, class_weights)
        self.deployed = create_model(
            recipe.model.name, len(dataset.classes), (None, None, 3), **recipe.model.options()
        )
        self.segmenter = Segmenter(KerasNetwork(self.deployed), dataset.classes, recipe.eval.size)

        self.step = 0
        self.best_miou: float | None = None
        self.unwritten: dict[str, str] = {}
        if progress:
            blank = {name: np.zeros(v.shape, v.dtype) for name, v in self.variables().items()}
            step, best_miou = progress
            self.restore(checkpoint or Checkpoint(step, best_miou, blank))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint; of several hosts, to host 0's.

        Raises:
            UsageError: if it is one of another network or optimizer.
        """
        variables = self.variables()
        wanted = {name: tuple(v.shape) for name, v in variables.items()}
        if wanted != {name: array.shape for name, array in checkpoint.arrays.items()}:
            raise UsageError(
                f"{self.run.path}: its checkpoint does not fit its recipe and data, which have "
                f"{len(self.dataset.classes)} classes; was either changed since the start?"
            )
        arrays = {name: checkpoint.arrays[name].astype(v.dtype) for name, v in variables.items()}
        for name, array in self.hosts.broadcast(arrays).items():
            variables[name].assign(array)
        self.step = checkpoint.step
        self.best_miou = checkpoint.best_miou

    def save(self) -> None:
        """Writes a checkpoint of this very step."""
        arrays = {name: np.asarray(v) for name, v in self.variables().items()}
        self.run.save(Checkpoint(self.step, self.best_miou, arrays))

    def variables(self) -> dict[str, keras.Variable]:
        """All that steps change: weights, running statistics, optimizer state, averages."""
        groups = {"model": self.network.variables, "optimizer": self.model.optimizer.variables}
        if "features" in self.model.output:
            groups["features"] = self.model.get_layer("features").variables
        return {f"{group}/{i:04d}": v for group, vs in groups.items() for i, v in enumerate(vs)}

    def train(self) -> None:
        """Takes all steps that are left.

        Raises:
            Interrupted: after saving, on SIGINT or SIGTERM.
            Unwritable: if the run folder cannot be written to, after a last try to save.
            AsapError: if the loss is no number any more, or a file went bad under the training.
        """
        every = self.recipe.train.validate_every
        with self.run.started(self.recipe), stop_on_signals() as stop:
            if self.run.newest_step() > self.step:
                raise UsageError(f"{self.run.path}: was gone on with meanwhile; start this again")
            self.run.rewind_log(self.step)
            self.hosts.remedy = self.run.way_on
            monitor = Monitor(self, stop)
            while self.step < self.total_steps:
                epoch = self.step // self.steps_per_epoch + 1
                self.fit(epoch, monitor)
                self.require_finite()
                finished = self.step == self.total_steps
                due = finished or epoch % every == 0
                scored = due and self.step == epoch * self.steps_per_epoch
                # Saving may mend what could not be written before, and the recipe wants to stop.
                problems = [*self.unwritten.values()] if self.must_stop else []
                self.attempt("checkpoint", partial(self.keep, scored, monitor))
                # Any host may have been asked since the last step.
                asked = self.hosts.largest(stop.requested)
                if self.must_stop or asked or finished:
                    problems += self.unwritten.values()
                if problems:
                    self.unwritten.clear()
                    raise Unwritable(f"{problems[-1]}; {self.run.way_out()}")
                if asked and not finished:
                    self.hosts.exchange(None)  # Host 0 has saved.
                    raise Interrupted(
                        f"stopped at step {self.step} of {self.total_steps} and saved; "
                        f"{self.run.way_on}",
                        asked,
                    )

    def attempt(self, what: str, write: Callable[[], None]) -> None:
        """Writes something of the run; what cannot be written is told once and remembered."""
        before = self.unwritten.pop(what, None)
        try:
            write()
        except Unwritable as error:
            self.unwritten[what] = str(error)
            if before is None and not self.must_stop:
                LOGGER.warning("%s; training goes on, and will try again", error)

    @property
    def must_stop(self) -> bool:
        """Whether something could not be written, and the recipe wants to stop then."""
        return bool(self.unwritten) and self.recipe.train.unwritable == "stop"

    def keep(self, scored: bool, monitor: Monitor) -> None:
        """Makes this step safe; a step that is to be scored is so before it has a checkpoint."""
        # All hosts score, whatever becomes of the first one's disk.
        evaluation = self.validate() if scored else None
        self.run.make_again(self.recipe)
        if evaluation is not None:
            monitor.validated(evaluation)
            self.keep_best(evaluation)
        self.save()

    def fit(self, epoch: int, monitor: Monitor) -> None:
        """Takes the steps that are left of an epoch, counted from 1."""
        try:
            with self.scope():
                self.model.fit(
                    self.batches(epoch * self.steps_per_epoch),
                    initial_epoch=epoch - 1,
                    epochs=epoch,
                    shuffle=False,
                    verbose=0,
                    callbacks=[monitor],
                )
        except Exception as error:
            problem = reader_error(error)
            if problem is None:
                raise
            raise AsapError(f"{problem}; mend it, then {self.run.way_on}") from error

    def leave_out(self, error: BadFile) -> None:
        """Tells, once, of a file that went bad under the training."""
        if error.path not in self.left_out:
            self.left_out.add(error.path)
            LOGGER.warning("left out: %s", error)

    def require_finite(self) -> None:
        """Refuses to save or validate weights that are no numbers any more.

        The loss tells of them one step later or, where an activation makes zeros of them, never.

        Raises:
            AsapError: naming the first of them.
        """
        for name, variable in self.variables().items():
            if not np.isfinite(np.asarray(variable, "float32")).all():
                raise AsapError(
                    f"{variable.path} ({name}) is not finite after step {self.step}; "
                    f"{NON_FINITE_HINT}"
                )

    def batches(self, stop_step: int) -> tf.data.Dataset:
        """Batches of the steps from the next up to, not including, `stop_step`.

        Returns:
            Frames, uint8 RGB `(batch_size, *crop, 3)`, and for every head the train ids, uint8
            `(batch_size, *crop)`; of several hosts, the part of this one.
        """
        batches = training_batches(
            self.pairs,
            self.read,
            Augmentation(**self.recipe.augment.model_dump()),
            self.recipe.train.batch_size,
            self.recipe.train.seed,
            self.step,
            stop_step,
            self.hosts,
        )
        heads = list(self.model.output)
        return batches.map(lambda frames, labels: (frames, dict.fromkeys(heads, labels)))

    def validate(self) -> Evaluation:
        """Scores the run on its validation split."""
        self.deploy()
        split = self.recipe.data.val_split
        try:
            return evaluate(self.segmenter, self.dataset, split, hosts=self.hosts)
        except BadFile as error:
            raise AsapError(f"{error}; mend it, then {self.run.way_on}") from error

    def keep_best(self, evaluation: Evaluation) -> None:
        """Writes `model.keras` if the evaluation is the best so far, or there is none yet."""
        miou = evaluation.scores.miou
        if self.best_miou is None or miou > self.best_miou or not self.run.model.exists():
            if self.hosts.first:
                save_model(
                    self.deployed,
                    self.run.model,
                    self.dataset.classes,
                    self.recipe.eval.size,
                    recipe=self.recipe.model_dump(mode="json"),
                    step=self.step,
                    scores=evaluation.scores.to_dict(),
                )
            self.best_miou = miou

    def deploy(self) -> None:
        """Brings the weights, averaged if the recipe says so, into the float32 network."""
        # In the order of the optimizer's averages; a student's own order is another.
        variables = self.model.trainable_variables
        trained = [np.array(v) for v in variables]
        self.optimizer.apply_averages(variables)
        copy_matching(self.network, self.deployed)
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)
