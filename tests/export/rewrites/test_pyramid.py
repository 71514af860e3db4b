from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from asap_tf.export.rewrites.pyramid import pooled_pyramid
from asap_tf.layers import SimplePyramid


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
