from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.export.rewrites.batch_norm import fold_batch_norms
from asap_tf.export.rewrites.pooling import (
    OddMapPooling,
    depthwise_pooling,
    pad_in_pooling,
    pool_odd_maps,
    pool_relus,
)
from asap_tf.export.rewrites.stem import fold_normalization, space_to_depth_stem
from asap_tf.layers.blocks import batch_norm, conv


@pytest.mark.parametrize(("pool", "strides"), [(2, 2), (3, 2), ((4, 2), 2), (3, 1)])
def test_depthwise_pooling_is_the_mean(network, both, pool, strides):
    plain, rewritten, twin = both(
        network(layers.AveragePooling2D(pool, strides)), depthwise_pooling
    )
    np.testing.assert_allclose(rewritten, plain, rtol=1e-5)
    assert layers.AveragePooling2D not in map(type, twin.layers)


@pytest.mark.parametrize("options", [{"strides": (2, 1)}, {"strides": 2, "padding": "same"}])
def test_other_mean_pooling_stays(network, options):
    assert depthwise_pooling(network(layers.AveragePooling2D(3, **options)), {}) == {}


@pytest.mark.parametrize("before", [layers.UpSampling2D(2), layers.Rescaling(1, -127)])
def test_relu_of_its_own_is_pooling(network, both, before):
    plain, rewritten, twin = both(network(before, layers.ReLU()), pool_relus)
    np.testing.assert_array_equal(rewritten, plain)
    assert plain.min() == 0 and layers.ReLU not in map(type, twin.layers)


def test_relu_of_a_map_that_is_needed_without_it_is_pooling(both):
    x = frames = keras.Input((None, None, 3))
    x = layers.Conv2D(2, 1, name="conv")(x)
    joined, alone = layers.Conv2D(2, 1, name="other")(frames), layers.ReLU(name="alone")(x)
    joined = layers.ReLU(name="joined")(joined)
    model = keras.Model(frames, layers.Add(name="logits")([x, alone, joined]))
    assert list(pool_relus(model, {})) == ["alone"]


@pytest.mark.parametrize("relu", [layers.ReLU(), layers.Activation("relu")])
def test_pad_in_pooling(network, both, relu):
    stack = (layers.Rescaling(1, -127), relu, layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2))
    plain, rewritten, twin = both(network(*stack), pad_in_pooling)
    np.testing.assert_array_equal(rewritten, plain)
    assert layers.ZeroPadding2D not in [type(layer) for layer in twin.layers]


def test_zeros_that_may_be_the_maximum_stay(network):
    model = network(layers.Rescaling(1, -300), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2))
    assert pad_in_pooling(model, {}) == {}


def test_pooling_and_something_else_behind_zeros_stay():
    x = frames = keras.Input((None, None, 3))
    x = layers.ZeroPadding2D(1)(layers.ReLU()(x))
    x = layers.Concatenate(name="logits")([layers.MaxPooling2D(3, 1)(x), layers.Conv2D(2, 3)(x)])
    assert pad_in_pooling(keras.Model(frames, x), {}) == {}


@pytest.mark.parametrize(
    "stack",
    [
        (layers.ReLU(negative_slope=0.1), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2)),
        (layers.ReLU(), layers.ZeroPadding2D(2), layers.MaxPooling2D(2)),
        (layers.ReLU(), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, 2, padding="same")),
    ],
    ids=["leaky", "windows of zeros alone", "padded twice"],
)
def test_pooling_that_cannot_pad_stays(network, stack):
    assert pad_in_pooling(network(*stack), {}) == {}


def stem_and_pooling(pool=3, strides=2, padding=1, aside=False, activation="relu"):
    """ResNet's first layers."""
    frames = keras.Input((None, None, 3), name="frames")
    x = conv(layers.Rescaling(1 / 64, -2)(frames), 8, 7, 2, "stem")
    x = layers.Activation(activation)(batch_norm("bn")(x))
    y = layers.MaxPooling2D(pool, strides)(layers.ZeroPadding2D(padding)(x))
    if aside:
        y = layers.Concatenate()([y, layers.AveragePooling2D(2)(x)])
    model = keras.Model(frames, layers.Identity(name="logits")(y))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        least = 0.1 if "variance" in variable.path else -1
        variable.assign(rng.uniform(least, 1, variable.shape))
    return model


STEM = (fold_batch_norms, fold_normalization, space_to_depth_stem, pool_odd_maps)


def test_pool_odd_maps(both):
    plain, rewritten, twin = both(stem_and_pooling(), *STEM)
    np.testing.assert_allclose(rewritten, plain, atol=1e-5 * abs(plain).max())
    kinds = [type(layer) for layer in twin.layers]
    assert OddMapPooling in kinds and layers.ZeroPadding2D not in kinds


@pytest.mark.parametrize(
    "options",
    [{"pool": 2}, {"strides": 1}, {"padding": 0}, {"aside": True}, {"activation": "tanh"}],
    ids=str,
)
def test_stems_that_are_followed_by_something_else(both, options):
    plain, rewritten, twin = both(stem_and_pooling(**options), *STEM)
    np.testing.assert_allclose(rewritten, plain, atol=1e-5 * abs(plain).max())
    assert OddMapPooling not in map(type, twin.layers)
