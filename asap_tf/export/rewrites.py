"""What the deployed graph does otherwise than the trained one, to the same result.

Each rewrite finds layers of a trained model and gives a stand-in for each, by the layer's name,
knowing the stand-ins that there are already; `graph.deployed_network` puts them into a copy. All
are exact but for the rounding of float32.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

from asap_tf.layers import FFDN, StripAttention
from asap_tf.layers.blocks import Tensor
from asap_tf.layers.ffdn import EPSILON, NORMS

StandIns = dict[str, layers.Layer]
Rewrite = Callable[[keras.Model, StandIns], StandIns]


def fold_batch_norms(model: keras.Model, so_far: StandIns) -> StandIns:
    """Every BatchNorm disappears into the convolution before it."""
    stand_ins: StandIns = {}
    for layer in model.layers:
        if isinstance(layer, StripAttention):
            stand_ins[layer.name] = _without_batch_norm(layer)
        elif isinstance(layer, layers.BatchNormalization):
            before = layer.input._keras_history.operation
            if type(before) is layers.Conv2D and len(before._outbound_nodes) == 1:
                stand_ins[before.name] = folded_conv(before, layer)
                stand_ins[layer.name] = layers.Identity(name=layer.name)
    return stand_ins


def two_pass_norms(model: keras.Model, so_far: StandIns) -> StandIns:
    """FFDN's moments mean first, then variance, without the pivot that one pass needs.

    No slice and no broadcast of statistics is left, which converters split graphs at.
    """
    stand_ins: StandIns = {}
    for layer in model.layers:
        if isinstance(layer, FFDN):
            twin = TwoPassFFDN.from_config(layer.get_config())
            twin.conv = layer.conv
            twin.built = True
            stand_ins[layer.name] = twin
    return stand_ins


def space_to_depth_stem(model: keras.Model, so_far: StandIns) -> StandIns:
    """The first convolution on 2 x 2 blocks of pixels: 12 channels at half the size.

    Processors work on many channels at once; three leave most of that idle. Normalisation goes
    with it: its scale into the kernel, its mean into one subtraction.
    """
    for rescaling in model.layers:
        if not isinstance(rescaling, layers.Rescaling):
            continue
        padding = _consumer(rescaling)
        conv = _consumer(padding)
        if isinstance(padding, layers.ZeroPadding2D) and conv.strides == (2, 2):
            folded = so_far.get(conv.name, conv)
            stem = SpaceToDepthStem(rescaling, folded, padding.padding[0][0], conv.name)
            skipped = {layer.name: layers.Identity() for layer in (rescaling, padding)}
            return {**skipped, conv.name: stem}
    return {}


def depthwise_pooling(model: keras.Model, so_far: StandIns) -> StandIns:
    """Mean pooling as a depthwise convolution, which XNNPACK has in int8; it has no pooling."""
    return {
        layer.name: DepthwiseMean(layer.pool_size[0], name=layer.name)
        for layer in model.layers
        if type(layer) is layers.AveragePooling2D
    }


def folded_conv(conv: layers.Conv2D, norm: layers.BatchNormalization) -> layers.Conv2D:
    """One convolution that gives what `norm(conv(x))` gives at inference."""
    scale = np.array(norm.gamma) / np.sqrt(np.array(norm.moving_variance) + norm.epsilon)
    bias = np.array(conv.bias) if conv.use_bias else 0
    folded = layers.Conv2D.from_config({**conv.get_config(), "use_bias": True})
    folded.build((None, None, None, conv.kernel.shape[2]))
    folded.set_weights(
        [
            np.array(conv.kernel) * scale,
            np.array(norm.beta) + (bias - np.array(norm.moving_mean)) * scale,
        ]
    )
    return folded


class TwoPassFFDN(FFDN):
    """See `two_pass_norms`."""

    def call(self, inputs: Tensor) -> Tensor:
        x = self.conv(inputs)
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(x - mean), axis=(1, 2), keepdims=True)
        halves = []
        for norm in NORMS[self.norms]:
            center, spread = mean, variance
            if norm == "layer":
                center = ops.mean(mean, axis=-1, keepdims=True)
                spread = ops.mean(variance + ops.square(mean - center), axis=-1, keepdims=True)
            scale = ops.rsqrt(spread + EPSILON)
            halves.append(x * scale - center * scale)
        return ops.concatenate(halves, axis=-1) if halves else x


class SpaceToDepthStem(layers.Layer):
    """See `space_to_depth_stem`."""

    def __init__(self, rescaling: layers.Rescaling, conv: layers.Conv2D, padding: int, name: str):
        super().__init__(name=name)
        scale = np.array(rescaling.scale, np.float32)
        self.mean = -np.array(rescaling.offset, np.float32) / scale
        kernel = np.array(conv.kernel) * scale[:, None]
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

        batch, height, width, channels = frames.shape
        # Whole rows: a constant of three numbers would be added three numbers at a time.
        rows = tf.reshape(frames, (batch, 1, height, width * channels))
        x = tf.reshape(rows - np.tile(self.mean, width), frames.shape)
        x = tf.nn.space_to_depth(x, 2)
        around = (self.before, self.after)
        x = tf.pad(x, ((0, 0), around, around, (0, 0)))
        return tf.nn.conv2d(x, self.kernel, 1, "VALID") + self.bias


class DepthwiseMean(layers.Layer):
    """See `depthwise_pooling`."""

    def __init__(self, factor: int, name: str):
        super().__init__(name=name)
        self.factor = factor

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        side = self.factor
        kernel = np.full((side, side, inputs.shape[-1], 1), 1 / side**2, np.float32)
        return tf.nn.depthwise_conv2d(inputs, kernel, (1, side, side, 1), "VALID")


def _without_batch_norm(layer: StripAttention) -> StripAttention:
    twin = StripAttention.from_config(layer.get_config())
    twin.projections = {
        name: (folded_conv(conv, norm), layers.Identity())
        for name, (conv, norm) in layer.projections.items()
    }
    twin.built = True
    return twin


def _consumer(layer: layers.Layer) -> layers.Layer:
    """The layer that takes what `layer` gives."""
    return layer._outbound_nodes[0].operation
