from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from asap_tf.export.graph import rewritten_network
from asap_tf.export.rewrites.batch_norm import fold_batch_norms, folded_conv
from asap_tf.export.rewrites.stem import fold_normalization
from asap_tf.export.writers import litert


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


def test_all_rewrites_together_keep_the_logits(network, model, frames, logits):
    rewrites = litert.REWRITES
    network = rewritten_network(model, (64, 128), 3, rewrites)
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
