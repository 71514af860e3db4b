"""Rewrites for what is run from an ONNX graph; see `asap_tf.export.rewrites`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from asap_tf.export.rewrites import StandIns
from asap_tf.layers.blocks import Tensor


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


class PaddedMaxPooling(layers.Layer):
    """See `pad_in_pooling`."""

    def __init__(self, padding: layers.ZeroPadding2D, pooling: layers.MaxPooling2D):
        super().__init__(name=pooling.name)
        self.padding = ((0, 0), *padding.padding, (0, 0))
        self.pool_size, self.strides = pooling.pool_size, pooling.strides

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        return tf.nn.max_pool2d(inputs, self.pool_size, self.strides, self.padding)


def _is_relu(layer: Any) -> bool:
    return isinstance(layer, layers.ReLU) or (
        isinstance(layer, layers.Activation) and layer.activation is keras.activations.relu
    )


def _consumer(layer: layers.Layer) -> Any:
    return layer._outbound_nodes[0].operation


def _producer(layer: layers.Layer) -> Any:
    return layer.input._keras_history.operation
