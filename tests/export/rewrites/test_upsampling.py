from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from asap_tf.export.graph import deployed_network
from asap_tf.export.rewrites.blocks import decided_at
from asap_tf.export.rewrites.upsampling import (
    MatmulUpsample,
    PlanarUpsample,
    interpolation,
    planar_logits,
)
from asap_tf.layers.resize import Upsample


@pytest.mark.parametrize("kind", [MatmulUpsample, PlanarUpsample])
@pytest.mark.parametrize("factor", [2, 3, 8])
@pytest.mark.parametrize("size", [(1, 4), (5, 3)])
def test_upsampling_is_tensorflows(kind, size, factor):
    maps = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = tf.image.resize(maps, [factor * side for side in size])
    np.testing.assert_allclose(kind(factor)(tf.constant(maps)), expected, atol=1e-5)
    assert interpolation(size[0], factor).shape == (factor * size[0], size[0])


def network(end):
    frames = keras.Input((32, 64, 3), name="frames")
    return keras.Model(frames, end(Upsample(2, name="half")(frames)))


@pytest.mark.parametrize(("stride", "factor"), [(1, 8), (2, 4), (8, None)])
def test_only_the_last_resizing_goes_channel_by_channel(stride, factor):
    model = network(Upsample(8, name="logits"))
    twin = deployed_network(model, (32, 64), 1, (decided_at(stride), planar_logits))
    found = [layer.factor for layer in twin.layers if isinstance(layer, PlanarUpsample)]
    assert found == ([factor] if factor else [])
    assert type(twin.get_layer("half")) is Upsample


def test_logits_that_are_not_resized_stay():
    assert planar_logits(network(layers.Identity(name="logits")), {}) == {}
