"""Bilinear resizing of maps of any size."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from asap_tf.layers.tensor import Tensor


@keras.saving.register_keras_serializable("asap_tf")
class Upsample(layers.Layer):
    """Bilinear enlargement by a whole factor, of maps of any size.

    Same as bilinear `keras.layers.UpSampling2D`, which TensorFlow cannot trace (Keras 3.15) where
    the size is known only at run time.

    Args:
        factor: Ratio of the output's size to the input's, a whole number.

    Input `(N, H, W, C)`, output `(N, factor * H, factor * W, C)`, in the compute dtype.

    Example:
        >>> Upsample(8)(keras.ops.ones((1, 64, 128, 19))).shape
        TensorShape([1, 512, 1024, 19])
    """

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Tensor) -> Tensor:
        height, width = ops.shape(inputs)[1:3]
        return bilinear(inputs, (height * self.factor, width * self.factor))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        n, height, width, channels = input_shape
        return (n, height and height * self.factor, width and width * self.factor, channels)

    def get_config(self) -> dict:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("asap_tf")
class ResizeLike(layers.Layer):
    """Bilinear resizing of a map to the height and width of another.

    For maps whose sizes are in no whole ratio, such as those at stride 64 of a frame of 96 x 160.

    Input `[(N, H, W, C), (N, H', W', any)]`, output `(N, H', W', C)`, in the compute dtype.

    Example:
        >>> coarse, fine = keras.ops.ones((1, 2, 3, 128)), keras.ops.ones((1, 12, 20, 64))
        >>> ResizeLike()([coarse, fine]).shape
        TensorShape([1, 12, 20, 128])
    """

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, like = inputs
        return bilinear(x, ops.shape(like)[1:3])

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        (n, *_, channels), like = input_shape
        return (n, *like[1:3], channels)


def bilinear(x: Tensor, size: tuple) -> Tensor:
    """`x` at `size`, sampled between pixel centers, in its dtype."""
    if keras.backend.backend() != "tensorflow":
        return ops.image.resize(x, size)
    import tensorflow as tf

    # XLA has no gradient of it in half precision; TensorFlow resizes to float32 in any case.
    return ops.cast(tf.image.resize(ops.cast(x, "float32"), size), x.dtype)
