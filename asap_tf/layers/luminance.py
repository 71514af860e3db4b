"""What LDFNet sees beside color."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from asap_tf.layers.tensor import Tensor

LUMINANCE = (0.299, 0.587, 0.114)
"""Of R, G and B, by ITU-R BT.601."""


@keras.saving.register_keras_serializable("asap_tf")
class DepthAndLuminance(layers.Layer):
    """Depth, which is 0 everywhere, and luminance of a frame.

    Input RGB `(N, H, W, 3)`, output `(N, H, W, 2)`.

    Examples:
        >>> DepthAndLuminance()(keras.ops.ones((1, 512, 1024, 3))).shape
        TensorShape([1, 512, 1024, 2])
    """

    def call(self, frames: Tensor) -> Tensor:
        kernel = ops.cast(np.reshape(LUMINANCE, (1, 1, 3, 1)), frames.dtype)
        return ops.pad(ops.conv(frames, kernel), ((0, 0), (0, 0), (0, 0), (1, 0)))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:3], 2)
