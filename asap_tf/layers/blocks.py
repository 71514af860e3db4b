"""Building blocks of all networks, as functions on tensors, and the layers they need."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from asap_tf.layers.replicas import joint_moments, replica_context
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor


@keras.saving.register_keras_serializable("asap_tf")
class PixelDot(layers.Layer):
    """Scalar product of two maps at every position.

    Input `[(N, H, W, C), (N, H, W, C)]`, output `(N, H, W, 1)`.

    Examples:
        >>> x = keras.ops.ones((1, 2, 3, 32))
        >>> PixelDot()([x, x])[0, 0, 0]
        <tf.Tensor: shape=(1,), dtype=float32, numpy=array([32.], dtype=float32)>
    """

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, y = inputs
        return ops.sum(x * y, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return (*input_shape[0][:3], 1)


@keras.saving.register_keras_serializable("asap_tf")
class BatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of the last axis, by one operation in training.

    Keras (3.15) computes it by a dozen operations on the whole map, in float32 under every
    precision; TensorFlow's fused operation takes a quarter of the time. Output, gradients and
    running statistics are the same up to rounding. The class's name is Keras's as well, since
    files store the variables of layers within layers by it. Where several devices share a batch,
    the statistics are those of the whole batch.

    Input and output `(N, H, W, C)`.

    Examples:
        >>> BatchNormalization()(keras.ops.ones((1, 64, 128, 256)), training=True).shape
        TensorShape([1, 64, 128, 256])
    """

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        fused = keras.backend.backend() == "tensorflow" and replica_context() is None
        if not (training and self.trainable and fused):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        # The raw operation: TensorFlow's function around it raises small epsilons.
        result = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.convert_to_tensor(self.gamma),
            offset=ops.convert_to_tensor(self.beta),
            mean=ops.zeros(0),
            variance=ops.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation gives the unbiased variance; Keras keeps the batch's own.
        count = ops.cast(ops.size(inputs) // inputs.shape[-1], "float32")
        variance = result.batch_variance * (ops.maximum(count - 1, 1) / count)
        for kept, new in ((self.moving_mean, result.batch_mean), (self.moving_variance, variance)):
            kept.assign(kept * self.momentum + new * (1 - self.momentum))
        return result.y

    def _moments(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return joint_moments(*super()._moments(inputs, mask))


@keras.saving.register_keras_serializable("asap_tf")
class Conv2D(layers.Conv2D):
    """`keras.layers.Conv2D`, safe to train at 1 x 1 with a stride.

    The gradient of such a kernel with few channels, as TensorFlow 2.21 computes it on processors,
    writes past the end of its memory: the process dies. In training the stride is therefore taken
    first, which is the same convolution. The class's name is Keras's, as that of
    `BatchNormalization`.

    Input `(N, H, W, C)`, output `(N, ceil(H / stride), ceil(W / stride), filters)` at 1 x 1.

    Examples:
        >>> Conv2D(128, 1, 2)(keras.ops.ones((1, 128, 256, 64)), training=True).shape
        TensorShape([1, 64, 128, 128])
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training or self.kernel_size != (1, 1):
            return super().call(inputs)
        rows, columns = self.strides
        outputs = ops.conv(inputs[:, ::rows, ::columns], self.kernel)
        return self.activation(ops.add(outputs, self.bias) if self.use_bias else outputs)


def batch_norm(name: str, epsilon: float = 1e-5, **kwargs: Any) -> BatchNormalization:
    """BatchNorm with the constants of the ImageNet weights (torchvision's, momentum inverted)."""
    return BatchNormalization(momentum=0.9, epsilon=epsilon, name=name, **kwargs)


def conv(x: Tensor, filters: int, kernel: int, stride: int, name: str) -> Tensor:
    """Convolution without bias, padded equally on both sides.

    Keras's `"same"` pads a strided convolution on the right and bottom only; weights trained
    elsewhere (torchvision, timm) expect symmetric padding. `kernel` is odd.
    """
    padding = "same" if stride == 1 else "valid"
    if kernel > 1 and stride > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    kind = Conv2D if kernel == 1 and stride > 1 else layers.Conv2D
    return kind(filters, kernel, stride, padding, use_bias=False, name=name)(x)


def conv_bn(x: Tensor, filters: int, kernel: int, stride: int, name: str) -> Tensor:
    """Convolution and BatchNorm."""
    return batch_norm(f"{name}_bn")(conv(x, filters, kernel, stride, f"{name}_conv"))


def conv_block(
    x: Tensor, filters: int, kernel: int, name: str, stride: int = 1, activation: str = "relu"
) -> Tensor:
    """The paper's "Conv Block" (Fig. 1): convolution, BatchNorm, ReLU."""
    x = conv_bn(x, filters, kernel, stride, name)
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def resample(x: Tensor, stride: int, new_stride: int, name: str) -> Tensor:
    """A map resampled from one stride to another.

    Bilinear where it grows. Where it is halved, the mean of 2 x 2 positions, which equals bilinear
    sampling.
    """
    if stride > new_stride:
        return Upsample(stride // new_stride, name=name)(x)
    if stride < new_stride:
        return layers.AveragePooling2D(new_stride // stride, name=name)(x)
    return x
