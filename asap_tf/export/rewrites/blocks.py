"""What the deployed graph does otherwise than the trained one, to the same result.

Each rewrite finds layers of a trained model and gives a stand-in for each, by the layer's name,
knowing the stand-ins that there are already; `graph.deployed_network` puts them into a copy. All
but `decided_at` are exact but for the rounding of float32, whatever functional model calls its
layers once each: what a rewrite does not know it leaves alone. What comes before the first block is
in `entrance`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import keras
import numpy as np
from keras import layers, ops

from asap_tf.core.errors import UsageError
from asap_tf.export.rewrites.graph_utils import (
    Replacements,
    Rewrite,
    consumers,
    is_linear_conv,
    logits_layer,
    producer,
)
from asap_tf.layers import FFDN, SimplePyramid, StripAttention
from asap_tf.layers.ffdn import EPSILON, NORMS
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor

Convolution = TypeVar("Convolution", layers.Conv2D, layers.DepthwiseConv2D)


def fold_batch_norms(model: keras.Model, replaced: Replacements) -> Replacements:
    """Every BatchNorm disappears into the convolution before it."""
    replacements: Replacements = {}
    for layer in model.layers:
        if isinstance(layer, StripAttention):
            replacements[layer.name] = _without_batch_norm(layer)
        elif isinstance(layer, layers.BatchNormalization):
            before = producer(layer)
            if is_linear_conv(before) and consumers(before, model) == [layer]:
                replacements[before.name] = folded_conv(before, layer)
                replacements[layer.name] = layers.Identity(name=layer.name)
    return replacements


def decided_at(stride: int) -> Rewrite:
    """Logits at a stride of the frame instead of at its size: the one rewrite that is not exact."""

    def rewrite(model: keras.Model, replaced: Replacements) -> Replacements:
        logits = logits_layer(model)
        if not isinstance(logits, Upsample) or stride < 1 or logits.factor % stride:
            strides = [n for n in (1, 2, 4, 8, 16, 32) if getattr(logits, "factor", 1) % n == 0]
            raise UsageError(
                f"label stride {stride}: this network has {', '.join(map(str, strides))}"
            )
        factor = logits.factor // stride
        return {logits.name: Upsample(factor) if factor > 1 else layers.Identity()}

    return rewrite


def two_pass_norms(model: keras.Model, replaced: Replacements) -> Replacements:
    """FFDN's moments mean first, then variance, without the pivot that one pass needs.

    No slice and no broadcast of statistics is left, which converters split graphs at.
    """
    replacements: Replacements = {}
    for layer in model.layers:
        if isinstance(layer, FFDN):
            twin = TwoPassFFDN.from_config(layer.get_config())
            twin.conv = layer.conv
            twin.built = True
            replacements[layer.name] = twin
    return replacements


def depthwise_pooling(model: keras.Model, replaced: Replacements) -> Replacements:
    """Mean pooling as a depthwise convolution, which XNNPACK has in int8; it has no pooling."""
    return {
        layer.name: DepthwiseMean(layer.pool_size, layer.strides, name=layer.name)
        for layer in model.layers
        if type(layer) is layers.AveragePooling2D
        # Padding of its own is left out of means, and a depthwise convolution has one stride.
        and layer.padding == "valid"
        and layer.strides[0] == layer.strides[1]
    }


def pooled_pyramid(model: keras.Model, replaced: Replacements) -> Replacements:
    """The finest level of a pyramid at half its size, at which alone it is gathered."""
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


def norms_with_attention(model: keras.Model, replaced: Replacements) -> Replacements:
    """FFDN's norms and the attention after them as one multiply-add of the map.

    Both change a column's channels by numbers of their own, and the strip that attends is the norm
    of the columns' means: the normalized map itself is never needed.
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


def folded_conv(conv: Convolution, norm: layers.BatchNormalization) -> Convolution:
    """One convolution that gives what `norm(conv(x))` gives at inference."""
    scale = np.array(norm.gamma) / np.sqrt(np.array(norm.moving_variance) + norm.epsilon)
    bias = np.array(conv.bias) if conv.use_bias else 0
    folded = type(conv).from_config({**conv.get_config(), "use_bias": True})
    kernel = np.array(conv.kernel)
    folded.build((None, None, None, kernel.shape[2] * getattr(conv, "groups", 1)))
    # A depthwise kernel's last two axes are the output's channels, another's last one is.
    axes = kernel.shape[2:] if isinstance(conv, layers.DepthwiseConv2D) else (-1,)
    shift = np.array(norm.beta) + (bias - np.array(norm.moving_mean)) * scale
    folded.set_weights([kernel * scale.reshape(axes), shift])
    return folded


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


def multiply_adds(x: Tensor, mean: Tensor, norms: tuple[str, ...]) -> list[tuple[Tensor, Tensor]]:
    """What each norm multiplies a map by, and then adds to it.

    Args:
        x: The map, `(N, H, W, C)`.
        mean: Of every channel, `(N, 1, 1, C)`.
        norms: Their names; see `NORMS`.

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


class DepthwiseMean(layers.Layer):
    """See `depthwise_pooling`."""

    def __init__(self, pool_size: tuple[int, int], strides: tuple[int, int], name: str):
        super().__init__(name=name)
        self.pool_size, self.strides = pool_size, strides

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        share = 1 / np.prod(self.pool_size)
        kernel = np.full((*self.pool_size, inputs.shape[-1], 1), share, np.float32)
        return tf.nn.depthwise_conv2d(inputs, kernel, (1, *self.strides, 1), "VALID")


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


def _without_batch_norm(layer: StripAttention) -> StripAttention:
    twin = StripAttention.from_config(layer.get_config())
    twin.projections = {
        name: (folded_conv(conv, norm), layers.Identity())
        for name, (conv, norm) in layer.projections.items()
    }
    twin.built = True
    return twin


def _is_mean_of_four(pooling: Any) -> bool:
    """Whether a layer is the mean of 2 x 2 pixels, each in one mean."""
    return (
        type(pooling) is layers.AveragePooling2D
        and (pooling.pool_size, pooling.strides) == ((2, 2), (2, 2))
        and all(size % 2 == 0 for size in pooling.input.shape[1:3] if size)
    )
