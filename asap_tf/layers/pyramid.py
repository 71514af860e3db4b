"""*FPN, the simplified feature pyramid of Fig. 1."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor


@keras.saving.register_keras_serializable("asap_tf")
class SimplePyramid(layers.Layer):
    """Top-down feature pyramid without the 3 x 3 convolutions of the original FPN.

    Every level gets a 1 x 1 lateral convolution; from the top down, the level above is doubled
    in size (bilinear) and added. The paper names it "simply modified FPN" and fixes no width;
    64 channels make the gathered map the 256 channels that its Table III needs.

    Args:
        filters: Number of channels of every level of the output.

    Input: list of maps `(N, H / 2**i, W / 2**i, C_i)`, finest first, each half the size of the
    one before. Output: a list of the same sizes with `filters` channels each.

    Raises:
        ValueError: if the input is not a list of at least two maps.

    Examples:
        >>> maps = [keras.ops.ones((1, 32 // 2**i, 64 // 2**i, 16)) for i in range(4)]
        >>> [tuple(level.shape) for level in SimplePyramid(64)(maps)]
        [(1, 32, 64, 64), (1, 16, 32, 64), (1, 8, 16, 64), (1, 4, 8, 64)]

    Source: paper, section II and Fig. 1.
    """

    def __init__(self, filters: int = 64, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: list[tuple]) -> None:
        if not isinstance(input_shape, list | tuple) or not isinstance(
            input_shape[0], list | tuple
        ):
            raise ValueError(f"SimplePyramid takes a list of maps. Received shape: {input_shape}")
        self.laterals = []
        for level, shape in enumerate(input_shape, 1):
            lateral = layers.Conv2D(
                self.filters, 1, use_bias=False, dtype=self.dtype_policy, name=f"lateral{level}"
            )
            lateral.build(shape)
            self.laterals.append(lateral)
        self.double = Upsample(2, dtype=self.dtype_policy)
        super().build(input_shape)

    def call(self, inputs: list[Tensor]) -> list[Tensor]:
        levels = [lateral(x) for lateral, x in zip(self.laterals, inputs, strict=True)]
        for i in reversed(range(len(levels) - 1)):
            levels[i] = levels[i] + self.double(levels[i + 1])
        return levels

    def compute_output_shape(self, input_shape: list[tuple]) -> list[tuple]:
        return [(*shape[:-1], self.filters) for shape in input_shape]

    def get_config(self) -> dict:
        return {**super().get_config(), "filters": self.filters}
