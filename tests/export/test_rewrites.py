from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.export import litert
from asap_tf.export.graph import deployed_network
from asap_tf.export.rewrites import (
    CentredFrames,
    depthwise_pooling,
    fold_normalization,
    folded_conv,
    pad_in_pooling,
    space_to_depth_stem,
    two_pass_norms,
)
from asap_tf.layers import FFDN
from asap_tf.layers.blocks import conv


def randomized(layer, seed=0):
    rng = np.random.default_rng(seed)
    for variable in layer.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return layer


@pytest.mark.parametrize("use_bias", [False, True])
def test_folded_conv(use_bias):
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    before, norm = layers.Conv2D(4, 3, use_bias=use_bias), layers.BatchNormalization()
    norm(before(x))
    randomized(before), randomized(norm, 1)
    expected = norm(before(x), training=False)
    np.testing.assert_allclose(folded_conv(before, norm)(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kernel", "padding"), [(7, 3), (3, 1), (5, 2)])
def test_space_to_depth_stem_is_the_same_function(kernel, padding):
    frames = keras.Input((32, 64, 3), batch_size=1)
    x = layers.Rescaling([0.01, 0.02, 0.03], [-1.0, -2.0, -0.5])(frames)
    x = conv(x, 8, kernel, 2, "stem")
    model = randomized(keras.Model(frames, layers.Activation("linear", name="logits")(x)))
    rewritten = deployed_network(model, (32, 64), 1, (fold_normalization, space_to_depth_stem))
    assert any(type(layer).__name__ == "SpaceToDepthStem" for layer in rewritten.layers)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 64, 3)).astype("float32")
    expected = np.asarray(model(pixels))
    # The frame's edge above all: padding means black there, but the mean after normalisation.
    np.testing.assert_allclose(rewritten(pixels), expected, atol=1e-5 * abs(expected).max())


def test_depthwise_pooling_is_the_mean():
    inputs = keras.Input((16, 16, 6), batch_size=1)
    x = layers.AveragePooling2D(2, name="pool")(inputs)
    model = keras.Model(inputs, layers.Activation("linear", name="logits")(x))
    (stand_in,) = depthwise_pooling(model, {}).values()
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 6)).astype("float32")
    expected = x.reshape(1, 8, 2, 8, 2, 6).mean((2, 4))
    np.testing.assert_allclose(stand_in(x), expected, atol=1e-6)


@pytest.mark.parametrize("norms", ["both", "layer", "instance", "none"])
def test_two_pass_norms_where_the_mean_is_large(norms):
    rng = np.random.default_rng(0)
    x = (1000 + rng.normal(size=(2, 16, 32, 8))).astype("float32")
    inputs = keras.Input((16, 32, 8))
    x_out = FFDN(8, norms, name="logits")(inputs)
    model = keras.Model(inputs, x_out)
    (stand_in,) = two_pass_norms(model, {}).values()
    y = np.asarray(model.get_layer("logits").conv(x), np.float64)
    halves = {
        "layer": (y - y.mean((1, 2, 3), keepdims=True))
        / np.sqrt(y.var((1, 2, 3), keepdims=True) + 1e-5),
        "instance": (y - y.mean((1, 2), keepdims=True))
        / np.sqrt(y.var((1, 2), keepdims=True) + 1e-5),
    }
    wanted = {"both": ("layer", "instance"), "none": ()}.get(norms, (norms,))
    expected = np.concatenate([halves[n] for n in wanted], -1) if wanted else y
    np.testing.assert_allclose(stand_in(x), expected, rtol=1e-2, atol=1e-2)


def test_all_rewrites_together_keep_the_logits(model, frames, logits):
    rewrites = litert.REWRITES
    network = deployed_network(model, (64, 128), 3, rewrites)
    result = network(frames[:3].astype("float32"))
    np.testing.assert_allclose(result, logits[:3], atol=1e-4 * abs(logits).max())


def network(*stack):
    frames = x = keras.Input((None, None, 3), name="frames")
    for layer in stack:
        x = layer(x)
    model = keras.Model(frames, layers.Identity(name="logits")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def both(model, rewrite):
    """The answers of a model and of its rewritten twin, and the twin."""
    frames = np.random.default_rng(1).integers(0, 256, (2, 32, 64, 3)).astype("float32")
    twin = deployed_network(model, (32, 64), 2, [rewrite])
    return np.asarray(model(frames)), np.asarray(twin(frames)), twin


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("padding", [None, 3])
def test_fold_normalization(use_bias, padding):
    scale, offset = [1 / 58, 1 / 57, 1 / 55], [-2.1, -2.0, -1.8]
    model = network(
        layers.Rescaling(scale, offset),
        *([layers.ZeroPadding2D(padding)] if padding else []),
        layers.Conv2D(4, 7, 2, padding="valid" if padding else "same", use_bias=use_bias),
    )
    plain, rewritten, twin = both(model, fold_normalization)
    np.testing.assert_allclose(rewritten, plain, atol=1e-4)
    kinds = [type(layer) for layer in twin.layers]
    assert CentredFrames in kinds and layers.Rescaling not in kinds


def test_one_scale_for_all_channels_and_no_convolution():
    plain, rewritten, _ = both(
        network(layers.Rescaling(1 / 64, -2), layers.Conv2D(4, 3)), fold_normalization
    )
    np.testing.assert_allclose(rewritten, plain, atol=1e-4)
    model = network(layers.Rescaling(1 / 64, -2), layers.DepthwiseConv2D(3))
    assert fold_normalization(model, {}) == {}


@pytest.mark.parametrize("relu", [layers.ReLU(), layers.Activation("relu")])
def test_pad_in_pooling(relu):
    stack = (layers.Rescaling(1, -127), relu, layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2))
    plain, rewritten, twin = both(network(*stack), pad_in_pooling)
    np.testing.assert_array_equal(rewritten, plain)
    assert layers.ZeroPadding2D not in [type(layer) for layer in twin.layers]


def test_zeros_that_may_be_the_maximum_stay():
    model = network(layers.Rescaling(1, -300), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2))
    assert pad_in_pooling(model, {}) == {}
