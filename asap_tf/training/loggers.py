"""Loggers of experiments: Keras callbacks that send a run's recipe and figures to MLflow or W&B."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.optional import require
from asap_tf.training.callbacks import TrainingState
from asap_tf.training.recipe import Recipe
from asap_tf.training.run_folder import RunFolder, write_text


class ExperimentLogger(keras.callbacks.Callback):
    """Logs a run's recipe at its start, and its losses and scores after every epoch.

    Where to is the service's own matter, by its environment variables (`MLFLOW_TRACKING_URI`,
    `WANDB_PROJECT` and so on). A run that is resumed goes on in the same entry of the service,
    whose id is kept in the run folder.

    Args:
        run: Run folder.
        recipe: Recipe of the training.
        state: State of the training.

    Raises:
        AsapError: if its package is not installed, or the service cannot be reached at the start.
    """

    name: str
    """Of the package, its extra, and the file of the id."""

    def __init__(self, run: RunFolder, recipe: Recipe, state: TrainingState):
        super().__init__()
        self.run, self.recipe, self.state = run, recipe, state
        self.package = require(self.name, self.name)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        file = self.run.path / f"{self.name}.id"
        known = file.read_text().strip() if file.is_file() else None
        try:
            entry = self.start(known)
        except Exception as error:
            raise AsapError(f"train.loggers: {self.name}: {first_line(error)}") from error
        write_text(file, f"{entry}\n")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = {**(logs or {}), "learning_rate": self.state.learning_rate}
        self.log({name: float(value) for name, value in values.items()})

    def start(self, known: str | None) -> str:
        """Opens the service's entry of the run, `known` if that is one; returns its id."""
        raise NotImplementedError

    def log(self, values: dict[str, float]) -> None:
        """Adds values of the step that the training has come to."""
        raise NotImplementedError


class MLflow(ExperimentLogger):
    """MLflow: fields of the recipe as parameters, figures as metrics by step."""

    name = "mlflow"

    def start(self, known: str | None) -> str:
        entry = self.package.start_run(run_id=known, run_name=None if known else self.recipe.name)
        if known is None:
            self.package.log_params(flat(self.recipe.model_dump(mode="json")))
        return entry.info.run_id

    def log(self, values: dict[str, float]) -> None:
        self.package.log_metrics(values, step=self.state.step)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.package.end_run()


class WeightsAndBiases(ExperimentLogger):
    """Weights & Biases: the recipe as configuration, figures as history by step."""

    name = "wandb"

    def start(self, known: str | None) -> str:
        self.entry = self.package.init(
            id=known,
            resume="allow" if known else None,
            name=self.recipe.name,
            config=self.recipe.model_dump(mode="json"),
            dir=str(self.run.path),
        )
        return self.entry.id

    def log(self, values: dict[str, float]) -> None:
        self.entry.log(values, step=self.state.step)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.entry.finish()


LOGGERS = {logger.name: logger for logger in (MLflow, WeightsAndBiases)}


def experiment_loggers(
    run: RunFolder, recipe: Recipe, state: TrainingState
) -> Sequence[ExperimentLogger]:
    """The loggers that a recipe names beside TensorBoard, which the run folder writes itself."""
    return [LOGGERS[name](run, recipe, state) for name in recipe.train.loggers if name in LOGGERS]


def flat(fields: Any, prefix: str = "") -> dict[str, str]:
    """Fields of a recipe by their dotted names.

    Examples:
        >>> flat({"train": {"epochs": 3}, "data": [{"root": None}]})
        {'train.epochs': '3', 'data.0.root': 'None'}
    """
    if isinstance(fields, list) and any(isinstance(item, dict) for item in fields):
        fields = dict(enumerate(fields))
    if not isinstance(fields, dict):
        return {prefix: str(fields)[:500]}
    found: dict[str, str] = {}
    for name, value in fields.items():
        found |= flat(value, f"{prefix}.{name}" if prefix else str(name))
    return found
