"""Feature Fusion with Different Norms, the paper's first contribution (Fig. 2)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from asap_tf.layers.tensor import Tensor

NORMS = {"both": ("layer", "instance"), "layer": ("layer",), "instance": ("instance",), "none": ()}
EPSILON = 1e-5


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every channel over its positions, in one pass over the map.

    Sums of `x` and of `x**2` alone lose all digits where the mean is large against the deviation.
    Both are therefore taken of the distance to a pivot near the mean: the mean of one position in
    64, which costs next to nothing. The result does not depend on the pivot, so neither does the
    gradient.

    Args:
        x: `(N, H, W, C)`, any float type.

    Returns:
        Two float32 tensors `(N, 1, 1, C)`.
    """
    x = ops.cast(x, "float32")
    pivot = ops.stop_gradient(ops.mean(x[:, ::8, ::8], axis=(1, 2), keepdims=True))
    distance = x - pivot
    mean = ops.mean(distance, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(distance), axis=(1, 2), keepdims=True) - ops.square(mean)
    return pivot + mean, ops.maximum(variance, 0.0)


@keras.saving.register_keras_serializable("asap_tf")
class FFDN(layers.Layer):
    """Fuses gathered levels by a 1 x 1 convolution and two parameter-free norms side by side.

    The convolution (no bias) gives half the output's channels; their LayerNorm, one mean and
    variance over C, H and W of a sample (as in AdaLIN), and their InstanceNorm, one over H and W
    of each channel, are concatenated. Neither norm learns anything. Both come from one pass of
    channel moments: the sample's moments follow from the channels'.

    Args:
        filters: Number of channels of the output; even for `norms="both"`.
        norms: Norms that are applied: `"both"` (the paper's module), or `"layer"`, `"instance"`
            or `"none"` (the rows of Table II), where the convolution gives all `filters` channels.

    Input `(N, H, W, C)`, output `(N, H, W, filters)` in the compute dtype; the statistics are
    float32 under every precision.

    Raises:
        ValueError: for unknown `norms`, or an odd number of filters with both norms.

    Examples:
        >>> FFDN(256)(keras.ops.ones((1, 64, 128, 256))).shape
        TensorShape([1, 64, 128, 256])

    Source: paper, section II, Fig. 2, Table II; widths deduced from Table III's 0.54 GFLOPs.
    """

    def __init__(self, filters: int = 256, norms: str = "both", **kwargs: Any):
        super().__init__(**kwargs)
        if norms not in NORMS:
            raise ValueError(f"norms must be one of {sorted(NORMS)}. Received: norms={norms!r}")
        if filters % max(1, len(NORMS[norms])):
            raise ValueError(f"two norms share an even number. Received: filters={filters}")
        self.filters = filters
        self.norms = norms

    def build(self, input_shape: tuple) -> None:
        width = self.filters // max(1, len(NORMS[self.norms]))
        self.conv = layers.Conv2D(width, 1, use_bias=False, dtype=self.dtype_policy, name="conv")
        self.conv.build(input_shape)
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = self.conv(inputs)
        norms = NORMS[self.norms]
        if not norms:
            return x
        mean, variance = channel_moments(x)
        moments = {"instance": (mean, variance)}
        if "layer" in norms:
            sample_mean = ops.mean(mean, axis=-1, keepdims=True)
            sample_variance = ops.mean(
                variance + ops.square(mean - sample_mean), axis=-1, keepdims=True
            )
            moments["layer"] = (
                ops.broadcast_to(sample_mean, ops.shape(mean)),
                ops.broadcast_to(sample_variance, ops.shape(mean)),
            )
        mean = ops.concatenate([moments[n][0] for n in norms], axis=-1)
        scale = ops.rsqrt(ops.concatenate([moments[n][1] for n in norms], axis=-1) + EPSILON)
        x = ops.cast(ops.concatenate([x] * len(norms), axis=-1), "float32")
        return ops.cast((x - mean) * scale, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict:
        return {**super().get_config(), "filters": self.filters, "norms": self.norms}
