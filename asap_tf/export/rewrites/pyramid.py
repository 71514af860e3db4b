"""The feature pyramid, its finest level at half size."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from asap_tf.export.rewrites.graph_utils import Replacements, consumers
from asap_tf.layers import SimplePyramid
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor


def pooled_pyramid(model: keras.Model, replaced: Replacements) -> Replacements:
    """The finest level of a pyramid at half its size, where all that follows takes it so.

    Gain: 1.4 % in LiteRT int8, 1 % in OpenVINO int8; none in ONNX Runtime, which keeps the plain
    form.
    """
    replacements: Replacements = {}
    for layer in model.layers:
        if isinstance(layer, SimplePyramid):
            finest, *coarser = layer.output
            takers = [
                taker
                for taker in consumers(layer, model)
                if any(tensor is finest for tensor in keras.tree.flatten(taker.input))
            ]
            if len(takers) == 1 and coarser and _is_mean_of_four(takers[0]):
                replacements[layer.name] = PooledPyramid(layer)
                replacements[takers[0].name] = layers.Identity(name=takers[0].name)
    return replacements


class PooledPyramid(layers.Layer):
    """See `pooled_pyramid`: the mean of 2 x 2 pixels goes before sums and convolutions.

    The mean of a level's own lateral convolution is one convolution of 2 x 2 pixels; that of the
    level above, doubled in size, is a weighted mean of 3 x 3 of its pixels.
    """

    def __init__(self, pyramid: SimplePyramid):
        super().__init__(name=pyramid.name)
        finest, *self.kernels = (np.array(lateral.kernel) for lateral in pyramid.laterals)
        self.finest = np.tile(finest, (2, 2, 1, 1)) / 4
        self.double = Upsample(2)

    def call(self, inputs: list[Tensor]) -> list[Tensor]:
        import tensorflow as tf

        levels = [
            tf.nn.conv2d(x, kernel, 1, "VALID")
            for x, kernel in zip(inputs[1:], self.kernels, strict=True)
        ]
        for i in reversed(range(len(levels) - 1)):
            levels[i] = levels[i] + self.double(levels[i + 1])
        x = levels[0]
        x = tf.concat([x[:, :1], x, x[:, -1:]], axis=1)
        x = tf.concat([x[:, :, :1], x, x[:, :, -1:]], axis=2)
        taps = np.outer([1, 6, 1], [1, 6, 1]).astype("float32") / 64
        kernel = np.tile(taps[..., np.newaxis, np.newaxis], (1, 1, x.shape[-1], 1))
        above = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "VALID")
        return [tf.nn.conv2d(inputs[0], self.finest, 2, "VALID") + above, *levels]


def _is_mean_of_four(pooling: Any) -> bool:
    """Whether a layer is the mean of 2 x 2 pixels, each in one mean."""
    return (
        type(pooling) is layers.AveragePooling2D
        and (pooling.pool_size, pooling.strides) == ((2, 2), (2, 2))
        and all(size % 2 == 0 for size in pooling.input.shape[1:3] if size)
    )
