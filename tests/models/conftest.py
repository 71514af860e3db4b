from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers


@pytest.fixture(scope="session")
def convolutions():
    """Parameters and multiply-accumulates of a model's convolutions.

    Counted by layer: `asap_tf.models.operations` counts by operator of the graph.
    """

    def count(model, size=None):
        found = [
            layer
            for layer in model.layers
            if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)
        ]
        outputs = keras.Model(model.inputs[0], [layer.output for layer in found])
        shapes = outputs.compute_output_shape((1, *(size or model.input_shape[1:3]), 3))
        products = sum(
            int(np.prod(layer.kernel.shape)) * shape[1] * shape[2]
            for layer, shape in zip(found, shapes, strict=True)
        )
        return sum(layer.count_params() for layer in found), products

    return count
