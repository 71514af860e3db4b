"""Enlarging: bilinear as products of matrices, repeating as one operator."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from asap_tf.export.rewrites.graph_utils import Replacements
from asap_tf.layers import SimplePyramid
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor


def matmul_upsampling(model: keras.Model, replaced: Replacements) -> Replacements:
    """Bilinear resizing as two products of matrices.

    TF-TRT leaves `ResizeBilinear` to TensorFlow unless it aligns corners, which gives something
    else, and each one left out would cut the network in two.

    Gain: one engine instead of four in TF-TRT; its time is not measured.
    """
    replacements: Replacements = {}
    for layer in model.layers:
        known = replaced.get(layer.name, layer)
        if isinstance(known, Upsample):
            replacements[layer.name] = MatmulUpsample(known.factor, name=layer.name)
        elif isinstance(layer, SimplePyramid):
            twin = SimplePyramid.from_config(layer.get_config())
            twin.laterals, twin.double, twin.built = layer.laterals, MatmulUpsample(2), True
            replacements[layer.name] = twin
    return replacements


def repeat_by_resize(model: keras.Model, replaced: Replacements) -> Replacements:
    """Repeated positions as one resize to the nearest.

    Keras repeats along one axis, then the other, each by a tiling of five dimensions.

    Gain: not measured.
    """
    return {
        layer.name: NearestUpsample(layer.size, name=layer.name)
        for layer in model.layers
        if isinstance(layer, layers.UpSampling2D) and layer.interpolation == "nearest"
    }


class NearestUpsample(layers.Layer):
    """See `repeat_by_resize`."""

    def __init__(self, size: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        size = np.multiply(inputs.shape[1:3], self.size)
        return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=size)


class MatmulUpsample(layers.Layer):
    """See `matmul_upsampling`."""

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        batch, height, width, channels = inputs.shape
        # Columns first: it is half the work where frames are twice as wide as high.
        x = tf.matmul(interpolation(width, self.factor)[None, None], inputs)
        x = tf.reshape(x, (batch, height, -1))
        x = tf.matmul(interpolation(height, self.factor)[None], x)
        return tf.reshape(x, (batch, height * self.factor, width * self.factor, channels))


def interpolation(length: int, factor: int) -> np.ndarray:
    """Bilinear weights with half-pixel centers, float32 `(length * factor, length)`.

    Examples:
        >>> interpolation(2, 2).tolist()
        [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    places = np.clip((np.arange(length * factor) + 0.5) / factor - 0.5, 0, length - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(length))).astype(np.float32)
