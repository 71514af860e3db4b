"""Pooling: means as convolutions, maxima that pad by themselves, ReLUs as maxima of one pixel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from asap_tf.export.rewrites.graph_utils import (
    Replacements,
    consumers,
    is_linear_conv,
    is_relu,
    producer,
)
from asap_tf.export.rewrites.stem import SpaceToDepthStem
from asap_tf.layers.tensor import Tensor


def depthwise_pooling(model: keras.Model, replaced: Replacements) -> Replacements:
    """Mean pooling as a depthwise convolution, which XNNPACK has in int8; it has no pooling.

    Gain: 5 % in ONNX Runtime int8, for ASAP at half width; in LiteRT not measured.
    """
    return {
        layer.name: DepthwiseMean(layer.pool_size, layer.strides, name=layer.name)
        for layer in model.layers
        if type(layer) is layers.AveragePooling2D
        # Padding of its own is left out of means, and a depthwise convolution has one stride.
        and layer.padding == "valid"
        and layer.strides[0] == layer.strides[1]
    }


def pad_in_pooling(model: keras.Model, replaced: Replacements) -> Replacements:
    """Max pooling that pads by itself; after a ReLU its -inf gives what zeros give.

    Gain: 2.9 ms of 106, a padding's time, in ONNX Runtime fp32; 0.4 ms of 32 in OpenVINO int8.
    """
    replacements: Replacements = {}
    for padding in model.layers:
        if isinstance(padding, layers.ZeroPadding2D) and is_relu(producer(padding)):
            poolings = consumers(padding, model)
            if poolings and all(_pads(padding, pooling) for pooling in poolings):
                replacements[padding.name] = layers.Identity(name=padding.name)
                for pooling in poolings:
                    replacements[pooling.name] = PaddedMaxPooling(padding, pooling)
    return replacements


def pool_odd_maps(model: keras.Model, replaced: Replacements) -> Replacements:
    """Max pooling that pads by itself, of a stem's map with a row and a column more.

    TensorFlow's "same" pads maps of odd sizes on both sides, as the network does, and those of even
    sizes at the end alone. Padding on its own costs LiteRT a copy of the network's largest map.

    Gain: 3 to 6 % in LiteRT int8.
    """
    replacements: Replacements = {}
    for padding in model.layers:
        if not isinstance(padding, layers.ZeroPadding2D):
            continue
        stem = _stem_before(padding, model, replaced)
        poolings = consumers(padding, model)
        if stem and poolings and all(_is_common_pooling(padding, p) for p in poolings):
            # No copy: the replacement is this deployment's own.
            stem.after += 1
            replacements[padding.name] = layers.Identity(name=padding.name)
            for pooling in poolings:
                replacements[pooling.name] = OddMapPooling(name=pooling.name)
    return replacements


def pool_relus(model: keras.Model, replaced: Replacements) -> Replacements:
    """ReLUs that belong to no convolution, sum or product, as max pooling of 1 x 1 pixels.

    In int8 XNNPACK has no ReLU of its own, but takes such pooling, and the ReLU with it, for a
    clamp. What it does not take costs a slow operator and cuts the network in two.

    Gain: in LiteRT int8 DFANet A takes 0.11 of the time, FasterSeg 0.72, DDRNet-23-slim 0.79; ASAP
    has no such ReLU.
    """
    return {
        layer.name: PooledReLU(name=layer.name)
        for layer in model.layers
        if is_relu(layer) and not _is_joined(layer, model)
    }


class PooledReLU(layers.Layer):
    """See `pool_relus`."""

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        return tf.nn.relu(tf.nn.max_pool2d(inputs, 1, 1, "VALID"))


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


class PaddedMaxPooling(layers.Layer):
    """See `pad_in_pooling`."""

    def __init__(self, padding: layers.ZeroPadding2D, pooling: layers.MaxPooling2D):
        super().__init__(name=pooling.name)
        self.padding = ((0, 0), *padding.padding, (0, 0))
        self.pool_size, self.strides = pooling.pool_size, pooling.strides

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        return tf.nn.max_pool2d(inputs, self.pool_size, self.strides, self.padding)


class OddMapPooling(layers.Layer):
    """See `pool_odd_maps`."""

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        height, width = inputs.shape[1] // 2, inputs.shape[2] // 2
        return tf.nn.max_pool2d(inputs, 3, 2, "SAME")[:, :height, :width]


def _is_joined(relu: Any, model: keras.Model) -> bool:
    """Whether TensorFlow's converter makes a ReLU a part of the operator before it."""
    before = producer(relu)
    kinds = (layers.Add, layers.BatchNormalization, layers.Multiply)
    return consumers(before, model) == [relu] and (
        is_linear_conv(before) or isinstance(before, kinds)
    )


def _pads(padding: layers.ZeroPadding2D, pooling: Any) -> bool:
    """Whether pooling can do the padding, with a pixel of the map in every window."""
    return (
        type(pooling) is layers.MaxPooling2D
        and pooling.padding == "valid"
        and all(max(p) < size for p, size in zip(padding.padding, pooling.pool_size, strict=True))
    )


def _stem_before(
    padding: Any, model: keras.Model, replaced: Replacements
) -> SpaceToDepthStem | None:
    """The stem of which nothing but a ReLU, and a BatchNorm that is folded, is before padding."""
    layer = producer(padding)
    if not is_relu(layer):
        return None
    after = padding
    while consumers(layer, model) == [after]:
        replacement = replaced.get(layer.name)
        if isinstance(replacement, SpaceToDepthStem):
            return replacement
        if not (is_relu(layer) or isinstance(replacement, layers.Identity)):
            return None
        layer, after = producer(layer), layer
    return None


def _is_common_pooling(padding: layers.ZeroPadding2D, pooling: Any) -> bool:
    """Whether the two are ResNet's: 3 x 3, stride 2, one pixel around."""
    return (
        _pads(padding, pooling)
        and padding.padding == ((1, 1), (1, 1))
        and (pooling.pool_size, pooling.strides) == ((3, 3), (2, 2))
    )
