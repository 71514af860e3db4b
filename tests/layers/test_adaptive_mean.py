from __future__ import annotations

import keras
import numpy as np
import pytest

from asap_tf.layers.adaptive_mean import AdaptiveMean


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(12, 18), (7, 10), (2, 4), (1, 1)])
def test_means_of_windows_that_cover_the_map(bins, size):
    x = np.random.default_rng(0).normal(size=(2, *size, 5)).astype("float32")
    windows = [
        [
            x[:, i * h // bins : -(-(i + 1) * h // bins), j * w // bins : -(-(j + 1) * w // bins)]
            for j in range(bins)
        ]
        for i in range(bins)
        for h, w in [size]
    ]
    expected = np.stack([np.stack([w.mean((1, 2)) for w in row], 1) for row in windows], 1)
    np.testing.assert_allclose(AdaptiveMean(bins)(x), expected, atol=1e-5)


def test_unknown_sizes_and_saving(round_trip):
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, AdaptiveMean(3)(inputs))
    x = np.random.default_rng(0).normal(size=(2, 7, 10, 4)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), AdaptiveMean(3)(x), atol=1e-6)
    for square in (False, True):
        before, after = round_trip(AdaptiveMean(3, square), (7, 10, 4))
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("shape", [(4, 8), (8, 4), (3, 5), (1, 2), (8, 1)])
@pytest.mark.parametrize("bins", [1, 2, 4])
def test_square_windows(shape, bins):
    x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype("float32")
    layer = AdaptiveMean(bins, square=True)
    height, width = shape
    y = np.asarray(layer(x))
    assert y.shape == layer.compute_output_shape(x.shape)
    side = height / bins
    assert side / 2 <= width / y.shape[2] <= side or width < side
    if height % bins == 0 and width % (height // bins) == 0:
        side = height // bins
        expected = x.reshape(2, bins, side, width // side, side, 3).mean((2, 4))
        np.testing.assert_allclose(y, expected, atol=1e-6)
    unknown = keras.Input((None, None, 3))
    model = keras.Model(unknown, layer(unknown))
    assert model.output.shape == (None, bins, None, 3)
    np.testing.assert_allclose(model.predict(x, verbose=0), y, atol=1e-6)
