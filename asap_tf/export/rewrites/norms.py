"""FFDN's norms in two passes, alone or together with the attention after them."""

from __future__ import annotations

import keras
from keras import layers, ops

from asap_tf.export.rewrites.graph_utils import Replacements, consumers, producer
from asap_tf.layers import FFDN, StripAttention
from asap_tf.layers.ffdn import EPSILON, NORMS
from asap_tf.layers.tensor import Tensor


def two_pass_norms(model: keras.Model, replaced: Replacements) -> Replacements:
    """FFDN's mean first, then its variance, without the pivot that one pass needs.

    No slice and no broadcast of statistics is left, at which converters would split the graph.

    Gain: not measured.
    """
    replacements: Replacements = {}
    for layer in model.layers:
        if isinstance(layer, FFDN):
            twin = TwoPassFFDN.from_config(layer.get_config())
            twin.conv = layer.conv
            twin.built = True
            replacements[layer.name] = twin
    return replacements


def norms_with_attention(model: keras.Model, replaced: Replacements) -> Replacements:
    """FFDN's norms and the attention after them as one multiply-add of the map.

    Both change a column's channels by numbers of their own, and the strip that attends is the norm
    of the columns' means: the normalized map itself is never needed.

    Gain: 0.4 % in OpenVINO int8, and 2 % more since it takes the means by pooling; none in ONNX
    Runtime.
    """
    replacements: Replacements = {}
    for layer in model.layers:
        if not isinstance(layer, StripAttention) or layer.axis == "full":
            continue
        fusion = producer(layer)
        normed = isinstance(fusion, FFDN) and NORMS[fusion.norms]
        if normed and consumers(fusion, model) == [layer]:
            plain = FFDN(fusion.conv.filters, "none", name=fusion.name)
            plain.conv, plain.built = fusion.conv, True
            replacements[fusion.name] = plain
            replacements[layer.name] = NormsWithAttention(fusion, replaced.get(layer.name, layer))
    return replacements


class TwoPassFFDN(FFDN):
    """See `two_pass_norms`."""

    def call(self, inputs: Tensor) -> Tensor:
        x = self.conv(inputs)
        norms = NORMS[self.norms]
        if not norms:
            return x
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        halves = [x * scale + shift for scale, shift in multiply_adds(x, mean, norms)]
        return ops.concatenate(halves, axis=-1)


class NormsWithAttention(layers.Layer):
    """See `norms_with_attention`: from what FFDN's convolution gives."""

    def __init__(self, fusion: FFDN, attention: StripAttention):
        super().__init__(name=attention.name)
        self.norms = NORMS[fusion.norms]
        self.attention = attention

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        height, width = inputs.shape[1:3]
        # OpenVINO takes eight times as long for the mean along one axis of a map.
        window = (height, 1) if self.attention.axis == "vertical" else (1, width)
        strip = tf.nn.avg_pool2d(inputs, window, 1, "VALID")
        mean = ops.mean(strip, axis=(1, 2), keepdims=True)
        pairs = multiply_adds(inputs, mean, self.norms)
        one = ops.ones_like(mean)
        scale, shift = (
            ops.concatenate([x * one for x in xs], axis=-1) for xs in zip(*pairs, strict=True)
        )

        def scaled(x: Tensor) -> Tensor:
            return ops.concatenate([x] * len(self.norms), axis=-1) * scale

        context = self.attention.context(scaled(strip) + shift)
        return scaled(inputs) + (shift + context)


def multiply_adds(x: Tensor, mean: Tensor, norms: tuple[str, ...]) -> list[tuple[Tensor, Tensor]]:
    """What each norm multiplies a map by, and then adds to it.

    Args:
        x: Map, `(N, H, W, C)`.
        mean: Mean of every channel, `(N, 1, 1, C)`.
        norms: Names of the norms; see `NORMS`.

    Returns:
        For every norm, two tensors `(N, 1, 1, C)`, or `(N, 1, 1, 1)` of a layer norm.
    """
    variance = ops.mean(ops.square(x - mean), axis=(1, 2), keepdims=True)
    found = []
    for norm in norms:
        center, spread = mean, variance
        if norm == "layer":
            center = ops.mean(mean, axis=-1, keepdims=True)
            spread = ops.mean(variance + ops.square(mean - center), axis=-1, keepdims=True)
        scale = ops.rsqrt(spread + EPSILON)
        found.append((scale, -center * scale))
    return found
