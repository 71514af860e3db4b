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
    before, after = round_trip(AdaptiveMean(3), (7, 10, 4))
    np.testing.assert_array_equal(before, after)
