"""The few building blocks that every part of the network shares, as functions on tensors."""

from __future__ import annotations

from typing import Any

from keras import layers

Tensor = Any
"""A Keras tensor, symbolic or of any backend."""


def batch_norm(name: str, **kwargs: Any) -> layers.BatchNormalization:
    """BatchNorm with the constants of the ImageNet weights (torchvision's, momentum inverted)."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name, **kwargs)


def conv(x: Tensor, filters: int, kernel: int, stride: int, name: str) -> Tensor:
    """Convolution without bias, padded alike on both sides.

    Keras's `"same"` pads a strided convolution on the right and bottom only; weights trained
    elsewhere (torchvision, timm) expect symmetric padding.
    """
    if kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    return layers.Conv2D(filters, kernel, stride, use_bias=False, name=name)(x)


def conv_block(
    x: Tensor, filters: int, kernel: int, name: str, activation: str = "relu"
) -> Tensor:
    """The paper's "Conv Block" (Fig. 1): convolution, BatchNorm, ReLU."""
    x = batch_norm(f"{name}_bn")(conv(x, filters, kernel, 1, f"{name}_conv"))
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def resample(x: Tensor, stride: int, new_stride: int, name: str) -> Tensor:
    """Brings a map from one stride to another.

    Up is bilinear. Down by 2 is a 2 x 2 mean, which is what bilinear sampling of half the
    positions amounts to.
    """
    if stride > new_stride:
        return layers.UpSampling2D(stride // new_stride, interpolation="bilinear", name=name)(x)
    if stride < new_stride:
        return layers.AveragePooling2D(new_stride // stride, name=name)(x)
    return x
