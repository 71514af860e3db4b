"""What the deployed graph does otherwise than the trained one, to the same result.

Each rewrite finds layers of a trained model and gives a stand-in for each, by the layer's name,
knowing the stand-ins that there are already; `graph.deployed_network` puts them into a copy. All
but `decided_at` are exact but for the rounding of float32, whatever functional model calls its
layers once each: what a rewrite does not know it leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import keras
import numpy as np
from keras import layers, ops

from asap_tf.errors import UsageError
from asap_tf.layers import FFDN, StripAttention
from asap_tf.layers.blocks import Tensor, Upsample
from asap_tf.layers.ffdn import EPSILON, NORMS

Convolution = TypeVar("Convolution", layers.Conv2D, layers.DepthwiseConv2D)
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
            if _is_linear_conv(before) and _consumers(before, model) == [layer]:
                stand_ins[before.name] = folded_conv(before, layer)
                stand_ins[layer.name] = layers.Identity(name=layer.name)
    return stand_ins


def decided_at(stride: int) -> Rewrite:
    """Logits at a stride of the frame instead of at its size: the one rewrite that is not exact."""

    def rewrite(model: keras.Model, so_far: StandIns) -> StandIns:
        logits = model.get_layer("logits")
        if not isinstance(logits, Upsample) or stride < 1 or logits.factor % stride:
            strides = [n for n in (1, 2, 4, 8, 16, 32) if getattr(logits, "factor", 1) % n == 0]
            raise UsageError(
                f"label stride {stride}: this network has {', '.join(map(str, strides))}"
            )
        factor = logits.factor // stride
        return {"logits": Upsample(factor, name="logits") if factor > 1 else layers.Identity()}

    return rewrite


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
    """Normalisation's scale goes into the first kernels; its mean is one subtraction.

    Padding is zeros as before, so this is exact at the border as well.
    """
    stand_ins: StandIns = {}
    for rescaling in _normalizations(model):
        convs = _where_scale_ends(rescaling, model)
        if convs and all(type(conv) is layers.Conv2D and conv.groups == 1 for conv in convs):
            scale = np.broadcast_to(np.float32(rescaling.scale), rescaling.output.shape[-1])
            mean = -np.float32(rescaling.offset) / scale
            stand_ins[rescaling.name] = CentredFrames(mean, name=rescaling.name)
            for conv in convs:
                stand_ins[conv.name] = _scaled_conv(so_far.get(conv.name, conv), scale)
    return stand_ins


def space_to_depth_stem(model: keras.Model, so_far: StandIns) -> StandIns:
    """The first convolutions on 2 x 2 blocks of pixels: 12 channels at half the size.

    Processors work on many channels at once; three leave most of that idle.
    """
    stand_ins: StandIns = {}
    for rescaling in _normalizations(model):
        for padding in _consumers(rescaling, model):
            convs = _consumers(padding, model)
            if convs and all(_halves(padding, conv) for conv in convs):
                stand_ins[padding.name] = layers.Identity()
                for conv in convs:
                    known = so_far.get(conv.name, conv)
                    stand_ins[conv.name] = SpaceToDepthStem(known, padding.padding[0][0])
    return stand_ins


def pad_in_pooling(model: keras.Model, so_far: StandIns) -> StandIns:
    """Max pooling that pads by itself; after a ReLU its -inf gives what zeros give."""
    stand_ins: StandIns = {}
    for padding in model.layers:
        if isinstance(padding, layers.ZeroPadding2D) and _is_relu(_producer(padding)):
            poolings = _consumers(padding, model)
            if poolings and all(_pads(padding, pooling) for pooling in poolings):
                stand_ins[padding.name] = layers.Identity(name=padding.name)
                for pooling in poolings:
                    stand_ins[pooling.name] = PaddedMaxPooling(padding, pooling)
    return stand_ins


def depthwise_pooling(model: keras.Model, so_far: StandIns) -> StandIns:
    """Mean pooling as a depthwise convolution, which XNNPACK has in int8; it has no pooling."""
    return {
        layer.name: DepthwiseMean(layer.pool_size, layer.strides, name=layer.name)
        for layer in model.layers
        if type(layer) is layers.AveragePooling2D
        # Padding of its own is left out of means, and a depthwise convolution has one stride.
        and layer.padding == "valid"
        and layer.strides[0] == layer.strides[1]
    }


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

    def __init__(self, pool_size: tuple[int, int], strides: tuple[int, int], name: str):
        super().__init__(name=name)
        self.pool_size, self.strides = pool_size, strides

    def call(self, inputs: Tensor) -> Tensor:
        import tensorflow as tf

        share = 1 / np.prod(self.pool_size)
        kernel = np.full((*self.pool_size, inputs.shape[-1], 1), share, np.float32)
        return tf.nn.depthwise_conv2d(inputs, kernel, (1, *self.strides, 1), "VALID")


def _without_batch_norm(layer: StripAttention) -> StripAttention:
    twin = StripAttention.from_config(layer.get_config())
    twin.projections = {
        name: (folded_conv(conv, norm), layers.Identity())
        for name, (conv, norm) in layer.projections.items()
    }
    twin.built = True
    return twin


def _scaled_conv(conv: layers.Conv2D, scale: np.ndarray) -> layers.Conv2D:
    """What gives `conv(scale * x)`, from x."""
    scaled = layers.Conv2D.from_config(conv.get_config())
    scaled.build((None, None, None, len(scale)))
    kernel, *bias = conv.get_weights()
    scaled.set_weights([kernel * scale[:, np.newaxis], *bias])
    return scaled


def _normalizations(model: keras.Model) -> list[layers.Rescaling]:
    frames = model.inputs[0]._keras_history.operation
    return [layer for layer in _consumers(frames, model) if isinstance(layer, layers.Rescaling)]


def _where_scale_ends(layer: layers.Layer, model: keras.Model) -> list[Any]:
    """The layers that see `layer`'s scale, past those that keep channels apart and zeros zero."""
    ends = []
    for consumer in _consumers(layer, model):
        passes = isinstance(consumer, (layers.ZeroPadding2D, layers.AveragePooling2D, Upsample))
        ends += _where_scale_ends(consumer, model) if passes else [consumer]
    return ends


def _is_linear_conv(layer: Any) -> bool:
    return (
        type(layer) in (layers.Conv2D, layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
    )


def _halves(padding: Any, conv: Any) -> bool:
    """Whether the two are a convolution as `blocks.conv` builds it, at stride 2."""
    if not isinstance(padding, layers.ZeroPadding2D) or not _is_linear_conv(conv):
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


def _is_relu(layer: Any) -> bool:
    if isinstance(layer, layers.ReLU):
        return not layer.negative_slope
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.relu


def _consumers(layer: Any, model: keras.Model) -> list[Any]:
    """The layers of `model` that take what `layer` gives; not those of a training head."""
    consumers = [node.operation for node in layer._outbound_nodes]
    return [consumer for consumer in consumers if consumer in model.operations]


def _producer(layer: layers.Layer) -> Any:
    """The layer that gives what `layer` takes."""
    return layer.input._keras_history.operation
