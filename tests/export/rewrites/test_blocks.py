from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from asap_tf.export.graph import deployed_network
from asap_tf.export.rewrites.blocks import (
    NormsWithAttention,
    depthwise_pooling,
    fold_batch_norms,
    folded_conv,
    norms_with_attention,
    pooled_pyramid,
    two_pass_norms,
)
from asap_tf.export.rewrites.stem import fold_normalization
from asap_tf.export.writers import litert
from asap_tf.layers import FFDN, SimplePyramid, StripAttention


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        lambda use_bias: layers.Conv2D(6, 3, use_bias=use_bias),
        lambda use_bias: layers.Conv2D(6, 3, groups=2, use_bias=use_bias),
        lambda use_bias: layers.DepthwiseConv2D(3, depth_multiplier=3, use_bias=use_bias),
    ],
    ids=["conv", "grouped", "depthwise"],
)
def test_folded_conv(randomized, kind, use_bias):
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 4)).astype("float32")
    before, norm = kind(use_bias), layers.BatchNormalization()
    norm(before(x))
    randomized(before), randomized(norm, 1)
    expected = norm(before(x), training=False)
    np.testing.assert_allclose(folded_conv(before, norm)(x), expected, rtol=1e-4, atol=1e-4)


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


def pyramid_network(*pooling):
    """A pyramid on three maps, the finest of which goes through `pooling`."""
    frames = keras.Input((None, None, 3), name="frames")
    maps = [layers.Conv2D(4 + i, 1, 2**i)(frames) for i in range(3)]
    levels = SimplePyramid(6, name="pyramid")(maps)
    for layer in pooling:
        levels[0] = layer(levels[0])
    means = [layers.GlobalAveragePooling2D(keepdims=True)(level) for level in levels[1:]]
    model = keras.Model(frames, layers.Add(name="logits")([levels[0], *means]))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def test_pooled_pyramid(both):
    plain, rewritten, twin = both(pyramid_network(layers.AveragePooling2D(2)), pooled_pyramid)
    # Borders above all: what is doubled in size repeats its edge there.
    np.testing.assert_allclose(rewritten, plain, rtol=1e-4, atol=1e-5 * abs(plain).max())
    assert layers.AveragePooling2D not in map(type, twin.layers)


@pytest.mark.parametrize(
    "pooling", [(), (layers.MaxPooling2D(2),), (layers.AveragePooling2D(2, 1, "same"),)], ids=len
)
def test_other_pyramids_stay(pooling):
    assert pooled_pyramid(pyramid_network(*pooling), {}) == {}


@pytest.mark.parametrize("axis", ["vertical", "horizontal"])
@pytest.mark.parametrize("norms", ["both", "layer", "instance"])
def test_norms_with_attention(network, both, axis, norms):
    model = network(layers.Conv2D(8, 3), FFDN(8, norms), StripAttention(axis, 4))
    model.set_weights([abs(w) for w in model.get_weights()])
    plain, rewritten, twin = both(model, fold_batch_norms, norms_with_attention)
    np.testing.assert_allclose(rewritten, plain, rtol=1e-3, atol=1e-4 * abs(plain).max())
    assert NormsWithAttention in map(type, twin.layers)


@pytest.mark.parametrize(
    "stack",
    [
        (FFDN(8), StripAttention("full", 4)),
        (FFDN(8, "none"), StripAttention("vertical", 4)),
        (FFDN(8), layers.ReLU(), StripAttention("vertical", 4)),
    ],
    ids=["full", "no norm", "something between"],
)
def test_other_attention_stays(network, stack):
    assert norms_with_attention(network(*stack), {}) == {}


def test_attention_stays_where_the_normalized_map_is_wanted_elsewhere():
    frames = keras.Input((None, None, 3), name="frames")
    x = FFDN(8)(frames)
    logits = layers.Add(name="logits")([x, StripAttention("vertical", 4)(x)])
    assert norms_with_attention(keras.Model(frames, logits), {}) == {}


@pytest.mark.parametrize("norms", ["both", "layer", "instance", "none"])
def test_two_pass_norms_where_the_mean_is_large(norms):
    rng = np.random.default_rng(0)
    x = (1000 + rng.normal(size=(2, 16, 32, 8))).astype("float32")
    inputs = keras.Input((16, 32, 8))
    x_out = FFDN(8, norms, name="logits")(inputs)
    model = keras.Model(inputs, x_out)
    (replacement,) = two_pass_norms(model, {}).values()
    y = np.asarray(model.get_layer("logits").conv(x), np.float64)
    halves = {
        "layer": (y - y.mean((1, 2, 3), keepdims=True))
        / np.sqrt(y.var((1, 2, 3), keepdims=True) + 1e-5),
        "instance": (y - y.mean((1, 2), keepdims=True))
        / np.sqrt(y.var((1, 2), keepdims=True) + 1e-5),
    }
    wanted = {"both": ("layer", "instance"), "none": ()}.get(norms, (norms,))
    expected = np.concatenate([halves[n] for n in wanted], -1) if wanted else y
    np.testing.assert_allclose(replacement(x), expected, rtol=1e-2, atol=1e-2)


def test_all_rewrites_together_keep_the_logits(network, model, frames, logits):
    rewrites = litert.REWRITES
    network = deployed_network(model, (64, 128), 3, rewrites)
    result = network(frames[:3].astype("float32"))
    np.testing.assert_allclose(result, logits[:3], atol=1e-4 * abs(logits).max())


def test_a_convolution_with_an_activation_keeps_its_batch_norm(network):
    model = network(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization())
    assert fold_batch_norms(model, {}) == {}


def test_a_convolution_that_others_need_as_well_keeps_its_batch_norm():
    frames = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3)(frames)
    model = keras.Model(frames, layers.Add(name="logits")([x, layers.BatchNormalization()(x)]))
    assert fold_batch_norms(model, {}) == {}


def test_heads_that_only_training_needs_hold_nothing_up():
    frames = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 64, -2)(frames)
    features = layers.Conv2D(4, 3, name="features")(x)
    logits = layers.BatchNormalization(name="logits")(features)
    training = keras.Model(frames, [logits, layers.Conv2D(2, 1)(features), layers.ReLU()(x)])
    model = keras.Model(frames, logits)
    assert fold_batch_norms(training, {}) == {} == fold_normalization(training, {})
    assert {*fold_batch_norms(model, {})} == {"features", "logits"}
    assert "features" in fold_normalization(model, {})


def test_operations_between_layers_are_kept(both):
    frames = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same")(frames)
    x = ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)) * x + x[..., :1]
    model = keras.Model(frames, layers.Identity(name="logits")(x))
    plain, rewritten, _ = both(model, *litert.REWRITES)
    np.testing.assert_allclose(rewritten, plain, rtol=1e-5)
