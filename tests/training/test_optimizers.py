from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf.training import sections
from asap_tf.training.optimizers import PolyDecay, build_optimizer


def test_schedule_by_its_formula():
    schedule = PolyDecay(0.01, steps=100, power=0.9, warmup_steps=10)
    for step in (0, 5, 9, 10, 50, 99, 100, 120):
        expected = 0.01 * min((step + 1) / 10, 1) * max(0, 1 - step / 100) ** 0.9
        np.testing.assert_allclose(schedule(step), expected, rtol=1e-5, atol=1e-9)


def steps(optimizer, values, gradients):
    """The variable named `kernel` (decayed) and `gamma` (not) after each gradient."""
    variables = [keras.Variable(np.array(values, "float32"), name=n) for n in ("kernel", "gamma")]
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)] * 2, variables)
    return [np.array(v) for v in variables]


def test_sgd_couples_weight_decay_into_the_momentum():
    settings = sections.Optimizer(learning_rate=0.1, weight_decay=0.5, power=1e-9)
    gradients = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    kernel, gamma = steps(build_optimizer(settings, 1000), [1, 2, 3], gradients)
    for value, decay in ((kernel, 0.5), (gamma, 0.0)):
        expected, velocity = np.array([1.0, 2, 3]), 0.0
        for gradient in gradients:
            velocity = 0.9 * velocity + gradient + decay * expected
            expected = expected - 0.1 * velocity
        np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_adamw_decays_kernels_only():
    settings = sections.Optimizer(name="adamw", learning_rate=0.1, weight_decay=0.5, power=1e-9)
    kernel, gamma = steps(build_optimizer(settings, 1000), [1, 2, 3], np.zeros((1, 3), "float32"))
    np.testing.assert_allclose(kernel, np.array([1, 2, 3]) * 0.95, rtol=1e-5)
    np.testing.assert_array_equal(gamma, [1, 2, 3])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_averages_replace_weights_only_when_asked(name):
    settings = sections.Optimizer(name=name, learning_rate=0.1, ema=0.5)
    optimizer = build_optimizer(settings, 1000)
    variable = keras.Variable(np.ones(2, "float32"), name="kernel")
    seen = []
    for _ in range(3):
        optimizer.apply([keras.ops.ones(2)], [variable])
        seen.append(np.array(variable))
    optimizer.finalize_variable_values([variable])
    np.testing.assert_array_equal(variable, seen[-1])
    optimizer.apply_averages([variable])
    average = seen[0]
    for value in seen[1:]:
        average = (average + value) / 2
    np.testing.assert_allclose(variable, average, rtol=1e-6)


def test_gradient_clipping():
    settings = sections.Optimizer(learning_rate=1.0, momentum=0, weight_decay=0, clip_norm=1.0)
    kernel, gamma = steps(
        build_optimizer(settings, 10**9), [0, 0], np.array([[30, 40.0]], "float32")
    )
    np.testing.assert_allclose(np.linalg.norm([kernel, gamma]), 1, rtol=1e-5)
