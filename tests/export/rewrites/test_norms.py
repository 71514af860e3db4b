from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.export.rewrites.batch_norm import fold_batch_norms
from asap_tf.export.rewrites.norms import (
    NormsWithAttention,
    norms_with_attention,
    two_pass_norms,
)
from asap_tf.layers import FFDN, StripAttention


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
