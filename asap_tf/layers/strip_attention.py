"""Self-attention on pooled strips, the paper's second contribution (Fig. 3)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from asap_tf.layers.blocks import batch_norm
from asap_tf.layers.tensor import Tensor

POOLED_AXES = {"vertical": 1, "horizontal": 2, "full": None}


@keras.saving.register_keras_serializable("asap_tf")
class StripAttention(layers.Layer):
    """Self-attention between the columns of a map, each averaged over its height first.

    Columns `(N, 1, W, C)` give queries, keys (`key_filters`) and values (C) by 1 x 1 convolution
    and BatchNorm; softmax of Q K^T over the W positions weighs the values (Eq. 3, no scaling by
    the width of the keys); the resulting strip is added to every row of the input (Eq. 4: the
    resize R is a broadcast). Attention costs O(W^2) instead of O((H W)^2).

    Args:
        axis: Strips that are pooled: `"vertical"` for columns (the paper's module), `"horizontal"`
            for rows, `"full"` for none: conventional self-attention over all H x W positions
            (Table III).
        key_filters: Number of channels of queries and keys.

    Input and output `(N, H, W, C)`. The softmax is float32 under every precision.

    Raises:
        ValueError: for an unknown axis.

    Examples:
        >>> StripAttention("vertical")(keras.ops.ones((1, 64, 128, 256))).shape
        TensorShape([1, 64, 128, 256])

    Source: paper, Eq. 3 and 4; widths deduced from Table III's 87.52 GFLOPs.
    """

    def __init__(self, axis: str = "vertical", key_filters: int = 64, **kwargs: Any):
        super().__init__(**kwargs)
        if axis not in POOLED_AXES:
            raise ValueError(f"axis must be one of {sorted(POOLED_AXES)}. Received: axis={axis!r}")
        self.axis = axis
        self.key_filters = key_filters

    def build(self, input_shape: tuple) -> None:
        channels = input_shape[-1]
        widths = {"query": self.key_filters, "key": self.key_filters, "value": channels}
        self.projections = {}
        for name, width in widths.items():
            conv = layers.Conv2D(width, 1, use_bias=False, dtype=self.dtype_policy, name=name)
            norm = batch_norm(f"{name}_bn", dtype=self.dtype_policy)
            conv.build((None, None, None, channels))
            norm.build((None, None, None, width))
            self.projections[name] = (conv, norm)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return inputs + self.context(self.strip(inputs), training)

    def context(self, strip: Tensor, training: bool | None = None) -> Tensor:
        """Attention between the positions of a strip, in the strip's shape."""

        def project(name: str) -> Tensor:
            conv, norm = self.projections[name]
            x = norm(conv(strip), training=training)
            return ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))

        scores = ops.matmul(project("query"), ops.transpose(project("key"), (0, 2, 1)))
        weights = ops.cast(ops.softmax(ops.cast(scores, "float32")), self.compute_dtype)
        return ops.reshape(ops.matmul(weights, project("value")), ops.shape(strip))

    def strip(self, inputs: Tensor) -> Tensor:
        """The strip that attends: means along one axis, or the map itself."""
        pooled = POOLED_AXES[self.axis]
        return inputs if pooled is None else ops.mean(inputs, axis=pooled, keepdims=True)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "axis": self.axis, "key_filters": self.key_filters}
