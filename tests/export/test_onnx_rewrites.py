from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.export.graph import deployed_network
from asap_tf.export.onnx_rewrites import CentredFrames, fold_normalization, pad_in_pooling


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
