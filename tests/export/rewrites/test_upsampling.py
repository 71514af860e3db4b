from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from asap_tf.export.rewrites.upsampling import (
    MatmulUpsample,
    interpolation,
    repeat_by_resize,
)


@pytest.mark.parametrize("factor", [2, 3, 8])
@pytest.mark.parametrize("size", [(1, 4), (5, 3)])
def test_upsampling_is_tensorflows(size, factor):
    maps = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = tf.image.resize(maps, [factor * side for side in size])
    np.testing.assert_allclose(MatmulUpsample(factor)(tf.constant(maps)), expected, atol=1e-5)
    assert interpolation(size[0], factor).shape == (factor * size[0], size[0])


def test_repeating_is_numpys():
    inputs = keras.Input((3, 4, 2))
    repeated = layers.UpSampling2D((4, 2), name="repeated")(inputs)
    smooth = layers.UpSampling2D(2, interpolation="bilinear")(repeated)
    replacements = repeat_by_resize(keras.Model(inputs, smooth), {})
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype("float32")
    expected = maps.repeat(4, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(replacements.pop("repeated")(tf.constant(maps)), expected)
    assert not replacements
