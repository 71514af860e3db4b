"""Labels of a stride: logits that are not resized to the frame's size, and labels that repeat.

Gain, of stride 2 (docs/performance.md has the price in mIoU): LiteRT int8 26.5 ms instead of 30.0,
OpenVINO int8 24.2 instead of 27.6, ONNX Runtime fp32 87.9 instead of 95.4.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

from asap_tf.core.errors import UsageError
from asap_tf.export.rewrites.graph_utils import Replacements, Rewrite, logits_layer
from asap_tf.layers.resize import AlignedResize, Upsample
from asap_tf.layers.tensor import Tensor

Repeat = Callable[[Tensor, int], Tensor]
"""From int32 labels `(N, H, W)` and a stride to `(N, stride * H, stride * W)`, each repeated."""


def logits_of_stride(stride: int) -> Rewrite:
    """The rewrite that is not exact: logits at a stride of the frame instead of at its size.

    Raises:
        UsageError: when it is applied, for a stride that the network does not have.
    """

    def rewrite(model: keras.Model, replaced: Replacements) -> Replacements:
        last = logits_layer(model)
        factor = last.factor if isinstance(last, Upsample | AlignedResize) else 1
        if stride < 1 or factor % stride:
            strides = ", ".join(str(n) for n in range(1, factor + 1) if factor % n == 0)
            raise UsageError(f"`label_stride` {stride}: this network has {strides}")
        if factor == stride:
            return {last.name: layers.Identity()}
        return {last.name: type(last)(factor // stride, name=last.name)}

    return rewrite


def repeat_by_joining(labels: Tensor, stride: int) -> Tensor:
    """Labels repeated by concatenation: the fastest in ONNX Runtime."""
    batch, height, width = labels.shape
    x = ops.concatenate([ops.reshape(labels, (batch, height, width, 1))] * stride, axis=3)
    x = ops.concatenate([ops.reshape(x, (batch, height, 1, width * stride))] * stride, axis=2)
    return ops.reshape(x, (batch, height * stride, width * stride))


def repeat_as_bytes(labels: Tensor, stride: int) -> Tensor:
    """Labels repeated by one product and a look at its bytes, as uint8; for LiteRT.

    Gain: 3.6 ms instead of 5.5, the argmax included, in LiteRT int8 at stride 2: LiteRT joins
    single bytes one by one.
    """
    import tensorflow as tf

    if stride not in (2, 4):
        return repeat_by_joining(labels, stride)
    batch, height, width = labels.shape
    if stride == 2:
        rows = tf.bitcast(tf.cast(labels * 0x0101, tf.int16), tf.uint8)
    else:
        rows = tf.bitcast(labels * 0x01010101, tf.uint8)
    rows = tf.reshape(rows, (batch, height, 1, width * stride))
    return tf.reshape(tf.concat([rows] * stride, axis=2), (batch, height * stride, width * stride))


def repeat_by_maximum(labels: Tensor, stride: int) -> Tensor:
    """Labels repeated by a maximum with zeros of the larger size; for OpenVINO.

    Gain: 0.2 ms, 1 %, in OpenVINO int8 at stride 2. It would cost ONNX Runtime 2 ms.
    """
    batch, height, width = labels.shape
    x = ops.reshape(ops.cast(labels, "float32"), (batch, height, 1, width, 1))
    x = ops.maximum(x, np.zeros((1, 1, stride, 1, stride), np.float32))
    return ops.reshape(x, (batch, height * stride, width * stride))
