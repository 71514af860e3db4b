"""Stem rewrites: normalization and the first convolutions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from asap_tf.export.rewrites.graph_utils import (
    Replacements,
    consumers,
    is_linear_conv,
)
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor


def fold_normalization(model: keras.Model, replaced: Replacements) -> Replacements:
    """Normalization's scale goes into the first kernels; its mean is one subtraction.

    Padding is zeros as before, so this is exact at the border as well.

    Gain: not measured alone; `space_to_depth_stem` needs it.
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

    Gain: 8.8 ms instead of 15.5 for ResNet18's stem and pooling in LiteRT int8. In OpenVINO the
    stem takes 9 to 12 % longer so.
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
