from __future__ import annotations

import cv2
import numpy as np
import pytest

from asap_tf.layers import SimplePyramid

SHAPES = [(32, 64, 3), (16, 32, 4), (8, 16, 5), (4, 8, 6)]


def test_top_down_sums_equal_opencv():
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(1, *shape)).astype("float32") for shape in SHAPES]
    layer = SimplePyramid(2)
    levels = layer(maps)
    above = None
    for x, lateral, level in reversed(list(zip(maps, layer.laterals, levels, strict=True))):
        expected = x[0] @ np.asarray(lateral.kernel)[0, 0]
        if above is not None:
            size = expected.shape[1::-1]
            expected = expected + cv2.resize(above, size, interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(level[0], expected, atol=1e-5)
        above = expected


def test_loads_with_keras(round_trip):
    for one, other in zip(*round_trip(SimplePyramid(4), *SHAPES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_refuses_a_single_map():
    with pytest.raises(ValueError, match="takes a list of maps"):
        SimplePyramid()(np.zeros((1, 8, 8, 3), "float32"))
