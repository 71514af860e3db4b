"""Puts NaN and infinity into trainings, and holds that none of it is ever saved.

    python benchmarks/faults/not_numbers.py [--times 200] [--seed 0]

Half of the times in float32, half in mixed float16: at a random step, into the loss, into the
gradient of the logits, or into one random element of a random weight, running statistic, or
variable of the optimizer. The training has to end with an error in one line, at the latest before
that epoch is validated and saved; or it has to get over it by itself, as float16's loss scale does
with an infinite gradient. Its last checkpoint has to be whole and finite, and is what it then goes
on from. Ends with 1 if there is a fault.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from small import RECIPE, put_network, write_dataset
from tqdm import tqdm

from asap_tf.core.errors import AsapError
from asap_tf.layers.losses import OhemCrossEntropy
from asap_tf.training import check_data, task
from asap_tf.training.recipe import load_recipe
from asap_tf.training.run_folder import RunFolder
from asap_tf.training.trainer import Trainer

PLACES = ("loss", "gradient", "weight", "statistic", "optimizer")
VALUES = (np.nan, np.inf, -np.inf)
LATE = {"loss": 0, "gradient": 1, "weight": 1}
"""Steps after the fault's own until it has to be told of; others have until the epoch's end."""


class Spoilt(OhemCrossEntropy):
    """The loss, with a factor on its value and one on its gradient."""

    forward = backward = tf.Variable(1.0)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        @tf.custom_gradient
        def spoil(logits: tf.Tensor) -> Any:
            return logits, lambda slope: slope * tf.cast(self.backward, slope.dtype)

        return super().call(y_true, spoil(y_pred)) * self.forward


class Fault:
    """One fault, at one step of a training."""

    def __init__(self, training: Trainer, rng: np.random.Generator):
        self.place = str(rng.choice(PLACES))
        self.value = float(rng.choice(VALUES))
        self.step = training.state.step + int(rng.integers(training.state.steps_per_epoch))
        model = training.task.network
        groups = {
            "loss": [Spoilt.forward],
            "gradient": [Spoilt.backward],
            "weight": model.trainable_variables,
            "statistic": [v for v in model.non_trainable_variables if is_float(v)],
            "optimizer": [v for v in training.task.model.optimizer.variables if is_float(v)],
        }
        group = groups[self.place]
        self.variable = group[rng.integers(len(group))]
        self.at = int(rng.integers(np.prod(self.variable.shape, dtype=int)))

    def happen(self) -> None:
        array = np.array(np.asarray(self.variable))
        array.reshape(-1)[self.at] = self.value
        self.variable.assign(array)

    def __str__(self) -> str:
        name = getattr(self.variable, "path", self.place)
        return f"{self.value} in {self.place} {name} at step {self.step}"


def is_float(variable: keras.Variable) -> bool:
    return "float" in keras.backend.standardize_dtype(variable.dtype)


def outcome(training: Trainer, fault: Fault) -> tuple[str, list[str]]:
    """What became of a fault, and what is wrong with that."""
    happened: list[int] = []
    state = training.state

    def before(batch: int, logs: dict | None = None) -> None:
        if state.step == fault.step and not happened:
            happened.append(state.step)
            fault.happen()
        elif happened:
            Spoilt.forward.assign(1.0)
            Spoilt.backward.assign(1.0)

    training.callbacks = [keras.callbacks.LambdaCallback(on_train_batch_begin=before)]
    state.epochs = fault.step // state.steps_per_epoch + 1
    wrong = []
    try:
        training.train()
        result = "got over"
    except AsapError as error:
        result = "told"
        late = state.step - fault.step
        if late > LATE.get(fault.place, state.steps_per_epoch):
            wrong.append(f"{fault}: told {late} steps later: {error}")
        if "\n" in str(error):
            wrong.append(f"{fault}: {error}")
    kept = training.run.latest()
    if kept is None or not all(np.isfinite(a).all() for a in kept.arrays.values()):
        wrong.append(f"{fault}: saved")
    elif result == "told" and kept.step > fault.step:
        wrong.append(f"{fault}: told after the checkpoint of step {kept.step}")
    if kept is not None:
        training.restore(kept)
    return result, wrong


def campaign(precision: str, times: int, home: Path, rng: np.random.Generator) -> list[str]:
    """Prints a line for each place; returns the faults."""
    recipe = load_recipe(home / "recipe.yaml", [f"train.precision={precision}"])
    Spoilt.forward, Spoilt.backward = tf.Variable(1.0), tf.Variable(1.0)
    training = Trainer(RunFolder(home / precision), recipe, check_data(recipe))
    training.state.epochs = 1
    training.train()
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    wrong = []
    for _ in tqdm(range(times), precision, unit="fault", disable=None):
        fault = Fault(training, rng)
        result, found = outcome(training, fault)
        counts[fault.place, result] += 1
        wrong += found
        Spoilt.forward.assign(1.0)
        Spoilt.backward.assign(1.0)
    for place in PLACES:
        told, over = counts[place, "told"], counts[place, "got over"]
        print(f"{precision}, {place}: {told} times told, {over} times got over by itself")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    put_network()
    task.OhemCrossEntropy = Spoilt  # type: ignore[misc]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_dataset(home / "data")
        # Far more epochs than there will be: the schedule ends with the last one.
        text = RECIPE.format(root=home / "data").replace("epochs: 6", "epochs: 100000")
        (home / "recipe.yaml").write_text(text)
        for precision in ("float32", "mixed_float16"):
            wrong += campaign(precision, options.times // 2, home, rng)
    print(f"faults: {len(wrong)}", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
