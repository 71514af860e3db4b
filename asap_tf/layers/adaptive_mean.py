"""Adaptive mean pooling, for maps of any size."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from asap_tf.layers.tensor import Tensor


@keras.saving.register_keras_serializable("asap_tf")
class AdaptiveMean(layers.Layer):
    """Means over a grid of windows that cover a map of any size.

    Windows overlap where the map's size is no multiple of `bins`, and repeat where it is smaller.
    Same as `keras.layers.AdaptiveAveragePooling2D`, which (Keras 3.15) needs the map's size when
    the model is built. Two products with small matrices are used, since converters refuse windows
    of unequal sizes.

    Args:
        bins: Number of windows along either axis, 1 to 64.
        square: Whether `bins` is the number down the map only, and as many go across it as make the
            windows square, or nearly so: 2 x 4 for a map of 16 x 32.

    Raises:
        ValueError: for another number.

    Input `(N, H, W, C)`, output `(N, bins, bins, C)`, or `(N, bins, ceil(bins * W / H), C)` if
    square.

    Examples:
        >>> AdaptiveMean(3)(keras.ops.ones((1, 8, 16, 64))).shape
        TensorShape([1, 3, 3, 64])
    """

    def __init__(self, bins: int, square: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        # The matrices have a row for each: a file's number must not ask for any amount of memory.
        if not 1 <= bins <= 64:
            raise ValueError(f"bins must be 1 to 64. Received: bins={bins}")
        self.bins, self.square = bins, square

    def call(self, inputs: Tensor) -> Tensor:
        height, width, channels = ops.shape(inputs)[1:]
        columns = self.columns(height, width)
        x = ops.reshape(inputs, (-1, height, width * channels))
        x = ops.matmul(self.windows(self.bins, height), x)
        x = ops.reshape(x, (-1, self.bins, width, channels))
        return ops.matmul(self.windows(columns, width), x)

    def columns(self, height: Any, width: Any) -> Any:
        """The number of windows across a map."""
        return -(-self.bins * width // height) if self.square else self.bins

    def windows(self, bins: Any, size: Any) -> Tensor:
        """The weights of all positions in each window's mean, `(bins, size)`."""
        # Computed by NumPy where the size is known: exported graphs then hold constants.
        lib: Any = np if isinstance(size, int) and isinstance(bins, int) else ops
        starts = lib.arange(bins)[:, None] * size
        at = lib.arange(size)[None]
        inside = (at >= starts // bins) & (at < -(-(starts + size) // bins))
        ones = lib.where(inside, 1.0, 0.0)
        return ops.cast(ones / lib.sum(ones, axis=1, keepdims=True), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        n, height, width, channels = input_shape
        known = not self.square or (height and width)
        return (n, self.bins, self.columns(height, width) if known else None, channels)

    def get_config(self) -> dict:
        return {**super().get_config(), "bins": self.bins, "square": self.square}
