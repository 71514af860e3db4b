"""What the deployed graph does otherwise than the trained one, to the same result.

Each rewrite finds layers of a trained model and gives a stand-in for each, by the layer's name,
knowing the stand-ins that there are already; `graph.deployed_network` puts them into a copy. All
are exact but for the rounding of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
            before = _producer(layer)
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


def fold_normalization(model: keras.Model, so_far: StandIns) -> StandIns:
    """Normalisation's scale goes into the first kernel; its mean is one subtraction.

    Padding is zeros as before, so this is exact at the border as well.
    """
    for rescaling in model.layers:
        if not isinstance(rescaling, layers.Rescaling):
            continue
        following = [_consumer(rescaling)]
        if isinstance(following[0], layers.ZeroPadding2D):
            following.append(_consumer(following[0]))
        conv = so_far.get(following[-1].name, following[-1])
        if type(conv) is layers.Conv2D:
            scale = np.broadcast_to(np.float32(rescaling.scale), conv.kernel.shape[2])
            mean = -np.float32(rescaling.offset) / scale
            folded = layers.Conv2D.from_config(conv.get_config())
            folded.build((None, None, None, len(scale)))
            kernel, *bias = conv.get_weights()
            folded.set_weights([kernel * scale[:, np.newaxis], *bias])
            centred = CentredFrames(mean, name=rescaling.name)
            return {rescaling.name: centred, following[-1].name: folded}
    return {}


def space_to_depth_stem(model: keras.Model, so_far: StandIns) -> StandIns:
    """The first convolution on 2 x 2 blocks of pixels: 12 channels at half the size.

    Processors work on many channels at once; three leave most of that idle.
    """
    for rescaling in model.layers:
        if not isinstance(rescaling, layers.Rescaling):
            continue
        padding = _consumer(rescaling)
        conv = _consumer(padding)
        if isinstance(padding, layers.ZeroPadding2D) and conv.strides == (2, 2):
            stem = SpaceToDepthStem(so_far.get(conv.name, conv), padding.padding[0][0])
            return {padding.name: layers.Identity(), conv.name: stem}
    return {}


def pad_in_pooling(model: keras.Model, so_far: StandIns) -> StandIns:
    """Max pooling that pads by itself; after a ReLU its -inf gives what zeros give."""
    stand_ins: StandIns = {}
    for padding in model.layers:
        if isinstance(padding, layers.ZeroPadding2D) and _is_relu(_producer(padding)):
            pooling = _consumer(padding)
            if isinstance(pooling, layers.MaxPooling2D):
                stand_ins[padding.name] = layers.Identity(name=padding.name)
                stand_ins[pooling.name] = PaddedMaxPooling(padding, pooling)
    return stand_ins


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


class CentredFrames(layers.Layer):
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


def _is_relu(layer: Any) -> bool:
    return isinstance(layer, layers.ReLU) or (
        isinstance(layer, layers.Activation) and layer.activation is keras.activations.relu
    )


def _consumer(layer: layers.Layer) -> Any:
    """The layer that takes what `layer` gives."""
    return layer._outbound_nodes[0].operation


def _producer(layer: layers.Layer) -> Any:
    """The layer that gives what `layer` takes."""
    return layer.input._keras_history.operation
