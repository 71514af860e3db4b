from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from asap_tf.export.rewrites.upsampling import MatmulUpsample, PlanarUpsample, interpolation


@pytest.mark.parametrize("kind", [MatmulUpsample, PlanarUpsample])
@pytest.mark.parametrize("factor", [2, 3, 8])
@pytest.mark.parametrize("size", [(1, 4), (5, 3)])
def test_upsampling_is_tensorflows(kind, size, factor):
    maps = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = tf.image.resize(maps, [factor * side for side in size])
    np.testing.assert_allclose(kind(factor)(tf.constant(maps)), expected, atol=1e-5)
    assert interpolation(size[0], factor).shape == (factor * size[0], size[0])
