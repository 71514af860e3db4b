"""NaN and infinity in trainings are never saved.

In float32 and mixed float16: at a random step, into the loss, into the gradient of the logits, or
into one random element of a random weight, running statistic, or variable of the optimizer. The
training has to end with an error of one line, before that epoch is validated and saved at the
latest; or to recover by itself, as float16's loss scale does from an infinite gradient. Its last
checkpoint has to be whole and finite, and is what it is resumed from.
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.training.run_folder import RunFolder

pytestmark = pytest.mark.stress

PLACES = ("loss", "gradient", "weight", "statistic", "optimizer")
VALUES = (np.nan, np.inf, -np.inf)
STEPS = {"loss": 1, "gradient": 2, "weight": 2}
"""Steps, the fault's among them, after which training has to end; elsewhere a whole epoch."""


@pytest.fixture
def factors(monkeypatch) -> tuple[Any, Any]:
    """Variables that multiply the value of the loss and its gradient."""
    import tensorflow as tf

    from asap_tf.layers.losses import OhemCrossEntropy
    from asap_tf.training import task

    forward, backward = tf.Variable(1.0), tf.Variable(1.0)

    class Spoiled(OhemCrossEntropy):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            @tf.custom_gradient
            def spoil(logits: tf.Tensor) -> Any:
                return logits, lambda slope: slope * tf.cast(backward, slope.dtype)

            return super().call(y_true, spoil(y_pred)) * forward

    monkeypatch.setattr(task, "OhemCrossEntropy", Spoiled)
    return forward, backward


class Fault:
    """One fault, at one step of a training."""

    def __init__(self, trainer: Any, factors: tuple[Any, Any], rng: np.random.Generator):
        self.place = str(rng.choice(PLACES))
        self.value = float(rng.choice(VALUES))
        self.step = trainer.state.step + int(rng.integers(trainer.state.steps_per_epoch))
        network, optimizer = trainer.task.network, trainer.task.model.optimizer
        groups = {
            "loss": factors[:1],
            "gradient": factors[1:],
            "weight": network.trainable_variables,
            "statistic": [v for v in network.non_trainable_variables if "float" in str(v.dtype)],
            "optimizer": [v for v in optimizer.variables if "float" in str(v.dtype)],
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


def train_with(fault: Fault, trainer: Any, factors: tuple[Any, Any]) -> str:
    """Trains to the end of the fault's epoch; returns the outcome."""
    import keras

    state, happened = trainer.state, []

    def before(batch: int, logs: dict | None = None) -> None:
        if state.step == fault.step and not happened:
            happened.append(state.step)
            fault.happen()
        elif happened:
            for factor in factors:
                factor.assign(1.0)

    trainer.callbacks = [keras.callbacks.LambdaCallback(on_train_batch_begin=before)]
    state.epochs = fault.step // state.steps_per_epoch + 1
    error = None
    try:
        trainer.train()
    except AsapError as raised:
        error = str(raised)
        steps = state.step - fault.step
        assert steps <= STEPS.get(fault.place, state.steps_per_epoch), f"{fault}: {error}"
        assert "\n" not in error
    kept = trainer.run.latest()
    assert kept is not None and all(np.isfinite(a).all() for a in kept.arrays.values()), fault
    assert error is None or kept.step <= fault.step, fault
    trainer.restore(kept)
    for factor in factors:
        factor.assign(1.0)
    return "recovered by itself" if error is None else "ended"


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_what_is_not_finite_is_never_saved(precision, small_recipe, factors, times, rng, tmp_path):
    from asap_tf.training import check_data
    from asap_tf.training.recipe import load_recipe
    from asap_tf.training.trainer import Trainer

    # Far more epochs than there will be: the learning rate would end with the last one.
    settings = [f"train.precision={precision}", "train.epochs=100000"]
    recipe = load_recipe(small_recipe, settings)
    trainer = Trainer(RunFolder(tmp_path / "run"), recipe, check_data(recipe))
    trainer.state.epochs = 1
    trainer.train()
    outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
    for _ in range(times(50)):
        fault = Fault(trainer, factors, rng)
        outcomes[fault.place, train_with(fault, trainer, factors)] += 1
    for (place, outcome), count in sorted(outcomes.items()):
        print(f"{precision}, {place}: {count} times {outcome}")
