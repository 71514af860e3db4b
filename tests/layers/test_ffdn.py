from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf.layers import FFDN
from asap_tf.layers.ffdn import channel_moments


def identity_ffdn(channels: int, norms: str, dtype: str = "float32") -> FFDN:
    """An FFDN whose convolution changes nothing, so that only the norms are seen."""
    layer = FFDN(channels * (2 if norms == "both" else 1), norms, dtype=dtype)
    layer.build((None, None, None, channels))
    layer.conv.set_weights([np.eye(channels, dtype="float32")[None, None]])
    return layer


def naive(x: np.ndarray, norm: str) -> np.ndarray:
    axes = {"layer": (1, 2, 3), "instance": (1, 2), "none": ()}[norm]
    if not axes:
        return x
    x = x.astype(np.float64)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5)


@pytest.mark.parametrize("norms", ["both", "layer", "instance", "none"])
def test_norms_equal_naive_ones(norms):
    x = np.random.default_rng(0).normal(3, 2, (2, 17, 9, 5)).astype("float32")
    parts = ["layer", "instance"] if norms == "both" else [norms]
    expected = np.concatenate([naive(x, part) for part in parts], -1)
    np.testing.assert_allclose(identity_ffdn(5, norms)(x), expected, atol=1e-4)


def test_norms_agree_with_keras_group_normalization():
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 6)).astype("float32")
    expected = np.concatenate(
        [
            keras.layers.GroupNormalization(1, epsilon=1e-5, center=False, scale=False)(x),
            keras.layers.GroupNormalization(-1, epsilon=1e-5, center=False, scale=False)(x),
        ],
        -1,
    )
    np.testing.assert_allclose(identity_ffdn(6, "both")(x), expected, atol=1e-4)


@pytest.mark.parametrize("outlier", [False, True])
def test_mean_of_a_thousand_deviations(outlier):
    x = np.random.default_rng(2).normal(1000, 1, (1, 64, 64, 4)).astype("float32")
    if outlier:
        x[0, 0, 0] = 0
    expected = np.concatenate([naive(x, "layer"), naive(x, "instance")], -1)
    np.testing.assert_allclose(identity_ffdn(4, "both")(x), expected, atol=1e-3, rtol=1e-3)


def test_gradient_equals_that_of_the_two_pass_norms():
    import tensorflow as tf

    rng = np.random.default_rng(3)
    x = tf.constant(rng.normal(size=(1, 16, 16, 3)), tf.float32)
    weights = rng.normal(size=(1, 16, 16, 6)).astype("float32")
    layer = identity_ffdn(3, "both")

    def two_pass(x):
        layer_norm = (x - tf.reduce_mean(x)) / tf.sqrt(tf.math.reduce_variance(x) + 1e-5)
        mean, variance = tf.nn.moments(x, (1, 2), keepdims=True)
        return tf.concat([layer_norm, (x - mean) / tf.sqrt(variance + 1e-5)], -1)

    gradients = []
    for function in (layer, two_pass):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(function(x) * weights)
        gradients.append(tape.gradient(loss, x))
    np.testing.assert_allclose(*gradients, atol=1e-4)


def test_bfloat16_statistics_are_float32():
    mean, variance = channel_moments(keras.ops.ones((1, 8, 8, 2), "bfloat16"))
    assert mean.dtype == variance.dtype == "float32"


def test_norms_of_float16s_largest_numbers():
    layer = identity_ffdn(4, "both", "mixed_float16")
    x = np.random.default_rng(0).uniform(-65504, 65504, (1, 8, 8, 4)).astype("float16")
    expected = np.concatenate([naive(x, "layer"), naive(x, "instance")], -1)
    y = layer(x)
    assert y.dtype == "float16"
    np.testing.assert_allclose(y, expected, rtol=1e-2, atol=1e-2)


def test_norms_learn_nothing():
    layer = FFDN(256)
    layer.build((None, None, None, 256))
    assert [tuple(w.shape) for w in layer.weights] == [(1, 1, 256, 128)]


def test_loads_with_keras(round_trip):
    np.testing.assert_array_equal(*round_trip(FFDN(8), (8, 8, 4)))


@pytest.mark.parametrize("arguments", [{"norms": "batch"}, {"filters": 7}])
def test_refuses(arguments):
    with pytest.raises(ValueError, match="Received"):
        FFDN(**arguments)
