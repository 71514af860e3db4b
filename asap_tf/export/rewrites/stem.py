"""What a frame goes through first, otherwise than in training: normalization, stem and pooling.

Rewrites as in `rewrites`: exact but for the rounding of float32.
"""

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
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor


def fold_normalization(model: keras.Model, replaced: Replacements) -> Replacements:
    """Normalization's scale goes into the first kernels; its mean is one subtraction.

    Padding is zeros as before, so this is exact at the border as well.
    """
    replacements: Replacements = {}
    for rescaling in _normalizations(model):
        convs = _where_scale_ends(rescaling, model)
        if convs and all(type(conv) is layers.Conv2D and conv.groups == 1 for conv in convs):
            scale = np.broadcast_to(np.float32(rescaling.scale), rescaling.output.shape[-1])
            mean = -np.float32(rescaling.offset) / scale
            replacements[rescaling.name] = CenteredFrames(mean, name=rescaling.name)
            for conv in convs:
                replacements[conv.name] = _scaled_conv(replaced.get(conv.name, conv), scale)
    return replacements


def space_to_depth_stem(model: keras.Model, replaced: Replacements) -> Replacements:
    """The first convolutions on 2 x 2 blocks of pixels: 12 channels at half the size.

    Processors work on many channels at once; three leave most of that idle.
    """
    replacements: Replacements = {}
    for rescaling in _normalizations(model):
        for padding in consumers(rescaling, model):
            convs = consumers(padding, model)
            if convs and all(_halves(padding, conv) for conv in convs):
                replacements[padding.name] = layers.Identity()
                for conv in convs:
                    known = replaced.get(conv.name, conv)
                    replacements[conv.name] = SpaceToDepthStem(known, padding.padding[0][0])
    return replacements


def pad_in_pooling(model: keras.Model, replaced: Replacements) -> Replacements:
    """Max pooling that pads by itself; after a ReLU its -inf gives what zeros give."""
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
    """
    replacements: Replacements = {}
    for padding in model.layers:
        if not isinstance(padding, layers.ZeroPadding2D):
            continue
        stem = _stem_before(padding, model, replaced)
        poolings = consumers(padding, model)
        if stem and poolings and all(_is_common_pooling(padding, p) for p in poolings):
            # No copy: the stand-in is this deployment's own.
            stem.after += 1
            replacements[padding.name] = layers.Identity(name=padding.name)
            for pooling in poolings:
                replacements[pooling.name] = OddMapPooling(name=pooling.name)
    return replacements


class CenteredFrames(layers.Layer):
    """Subtracts each channel's mean."""

    def __init__(self, mean: np.ndarray, name: str):
        super().__init__(name=name)
        self.mean = mean

    def call(self, frames: Tensor) -> Tensor:
        import tensorflow as tf

        batch, height, width, channels = frames.shape
        # Whole rows: a constant of three numbers would be subtracted three numbers at a time.
        rows = tf.reshape(frames, (batch, height, width * channels))
        return tf.reshape(rows - np.tile(self.mean, width), frames.shape)


class SpaceToDepthStem(layers.Layer):
    """See `space_to_depth_stem`."""

    def __init__(self, conv: layers.Conv2D, padding: int):
        super().__init__(name=conv.name)
        kernel = np.array(conv.kernel)
        side, _, channels, filters = kernel.shape
        self.before = -(-padding // 2)
        blocks = self.before + (side - 1 - padding) // 2 + 1
        self.after = blocks - 1 - self.before
        self.kernel = np.zeros((blocks, blocks, 2, 2, channels, filters), np.float32)
        for row in range(side):
            for column in range(side):
                block_row, y = divmod(row - padding, 2)
                block_column, x = divmod(column - padding, 2)
                place = (self.before + block_row, self.before + block_column, y, x)
                self.kernel[place] = kernel[row, column]
        self.kernel = self.kernel.reshape(blocks, blocks, 4 * channels, filters)
        self.bias = np.array(conv.bias) if conv.use_bias else np.zeros(filters, np.float32)

    def call(self, frames: Tensor) -> Tensor:
        import tensorflow as tf

        x = tf.nn.space_to_depth(frames, 2)
        around = (self.before, self.after)
        x = tf.pad(x, ((0, 0), around, around, (0, 0)))
        return tf.nn.conv2d(x, self.kernel, 1, "VALID") + self.bias


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


def _scaled_conv(conv: layers.Conv2D, scale: np.ndarray) -> layers.Conv2D:
    """What gives `conv(scale * x)`, from x."""
    scaled = layers.Conv2D.from_config(conv.get_config())
    scaled.build((None, None, None, len(scale)))
    kernel, *bias = conv.get_weights()
    scaled.set_weights([kernel * scale[:, np.newaxis], *bias])
    return scaled


def _normalizations(model: keras.Model) -> list[layers.Rescaling]:
    frames = model.inputs[0]._keras_history.operation
    return [layer for layer in consumers(frames, model) if isinstance(layer, layers.Rescaling)]


def _where_scale_ends(layer: layers.Layer, model: keras.Model) -> list[Any]:
    """The layers that see `layer`'s scale, past those that keep channels apart and zeros zero."""
    ends = []
    for consumer in consumers(layer, model):
        passes = isinstance(consumer, (layers.ZeroPadding2D, layers.AveragePooling2D, Upsample))
        ends += _where_scale_ends(consumer, model) if passes else [consumer]
    return ends


def _halves(padding: Any, conv: Any) -> bool:
    """Whether the two are a convolution as `blocks.conv` builds it, at stride 2."""
    if not isinstance(padding, layers.ZeroPadding2D) or not is_linear_conv(conv):
        return False
    side = 2 * padding.padding[0][0] + 1
    return (
        type(conv) is layers.Conv2D
        and (conv.kernel_size, conv.strides, conv.padding) == ((side, side), (2, 2), "valid")
        and {*padding.padding[0], *padding.padding[1]} == {side // 2}
        and (conv.dilation_rate, conv.groups) == ((1, 1), 1)
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
