"""Bilinear resizing of maps of any size, between pixel centers or with corners aligned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
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

    Examples:
        >>> Upsample(8)(keras.ops.ones((1, 64, 128, 19))).shape
        TensorShape([1, 512, 1024, 19])
    """

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor
        self.built = True  # Keras refuses to quantize a part of a layer that was not called yet.

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        height, width = ops.shape(inputs)[1:3]
        size = height * self.factor, width * self.factor
        if training and keras.backend.backend() == "tensorflow" and None not in inputs.shape[1:]:
            return with_quick_gradient(inputs, size, self.factor)
        return bilinear(inputs, size)

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

    Examples:
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


@keras.saving.register_keras_serializable("asap_tf")
class AlignedResize(layers.Layer):
    """Bilinear resizing with corners aligned, by a factor or to the size of another map.

    The corner pixels keep their values and all others lie evenly between them: position `i` of
    `n` is at `i * (m - 1) / (n - 1)` of the `m` of the input.

    Args:
        factor: Number that the input's size is multiplied by.
        divisor: Number that it is divided by afterwards, rounded down, to at least 1.

    Input `(N, H, W, C)`, output `(N, H * factor // divisor, W * factor // divisor, C)`; or input
    `[(N, H, W, C), (N, H', W', any)]`, output `(N, H', W', C)`. In the compute dtype.

    Examples:
        >>> AlignedResize(divisor=2)(keras.ops.ones((1, 64, 128, 32))).shape
        TensorShape([1, 32, 64, 32])
    """

    def __init__(self, factor: int = 1, divisor: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor, self.divisor = factor, divisor

    def call(self, inputs: Tensor | list[Tensor]) -> Tensor:
        x, like = inputs if isinstance(inputs, list | tuple) else (inputs, inputs)
        return corners_aligned(x, [self._scaled(n) for n in ops.shape(like)[1:3]])

    def _scaled(self, length: Any) -> Any:
        length = length * self.factor // self.divisor
        return max(length, 1) if isinstance(length, int) else ops.maximum(length, 1)

    def compute_output_shape(self, input_shape: tuple | list[tuple]) -> tuple:
        of_two = isinstance(input_shape[0], list | tuple)
        x, like = input_shape if of_two else (input_shape, input_shape)
        return (x[0], *(n and self._scaled(n) for n in like[1:3]), x[-1])

    def get_config(self) -> dict:
        return {**super().get_config(), "factor": self.factor, "divisor": self.divisor}


def corners_aligned(x: Tensor, size: Sequence[Any]) -> Tensor:
    """`x` at `size`, its corner pixels at the corners, in its dtype."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # In float32, as `bilinear`; the raw operation, since others that align corners are
        # deprecated, which they say each time.
        resized = tf.raw_ops.ResizeBilinear(
            images=ops.cast(x, "float32"), size=size, align_corners=True
        )
        return ops.cast(resized, x.dtype)
    rows, columns = (
        ops.cast(aligned_weights(n, m), x.dtype) for n, m in zip(size, x.shape[1:3], strict=True)
    )
    return ops.einsum("yh,xw,nhwc->nyxc", rows, columns, x)


def aligned_weights(length: int, of: int) -> np.ndarray:
    """Weights of the `of` positions of an axis in each of the `length` ones, `(length, of)`."""
    places = np.arange(length) * ((of - 1) / max(length - 1, 1))
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(of)))


def bilinear(x: Tensor, size: tuple) -> Tensor:
    """`x` at `size`, sampled between pixel centers, in its dtype."""
    if keras.backend.backend() != "tensorflow":
        return ops.image.resize(x, size)
    import tensorflow as tf

    # XLA has no gradient of it in half precision; TensorFlow resizes to float32 in any case.
    return ops.cast(tf.image.resize(ops.cast(x, "float32"), size), x.dtype)


def with_quick_gradient(x: Tensor, size: tuple[int, int], factor: int) -> Tensor:
    """`bilinear` by a whole factor, of a map of known size, its gradient by a convolution.

    TensorFlow's gradient of resizing has one thread, and takes three times as long with it.
    """
    import tensorflow as tf

    # The share of a pixel of `x` in each of the enlarged map's, along an axis.
    shares = 1 - np.abs(np.arange(2 * factor) - factor // 2 - (factor - 1) / 2) / factor
    kernel = np.broadcast_to(
        np.outer(shares, shares)[..., None, None], (*2 * [len(shares)], x.shape[-1], 1)
    )
    pad = (factor + factor // 2, 2 * factor - factor // 2)

    @tf.custom_gradient
    def resized(x: Tensor) -> tuple[Tensor, Callable]:
        def gradient(upstream: Tensor) -> Tensor:
            shrunk = tf.raw_ops.DepthwiseConv2dNative(
                input=tf.cast(upstream, "float32"),
                filter=tf.constant(kernel, "float32"),
                strides=(1, factor, factor, 1),
                padding="EXPLICIT",
                explicit_paddings=(0, 0, *pad, *pad, 0, 0),
            )
            # Beyond each edge is a pixel like the one at the edge, whose gradient is that one's.
            rows, columns = (
                np.pad(np.eye(n, dtype="float32"), ((0, 0), (1, 1)), "edge") for n in x.shape[1:3]
            )
            return tf.cast(tf.einsum("hy,wx,nyxc->nhwc", rows, columns, shrunk), x.dtype)

        return bilinear(x, size), gradient

    return resized(x)
