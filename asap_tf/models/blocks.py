"""Blocks that two or more of the rivals have in common."""

from __future__ import annotations

from keras import layers

from asap_tf.layers.blocks import batch_norm, conv, conv_bn
from asap_tf.layers.resize import ResizeLike
from asap_tf.layers.tensor import Tensor

# Kernels and strides of the pyramid's mean poolings; the fourth is over the whole map.
POOLINGS = ((5, 2), (9, 4), (17, 8))


def gated(x: Tensor, gate: Tensor, name: str) -> Tensor:
    """`x` times the sigmoid of `gate`."""
    gate = layers.Activation("sigmoid", name=f"{name}_sigmoid")(gate)
    return layers.Multiply(name=f"{name}_gated")([x, gate])


def depthwise_bn(x: Tensor, stride: int, name: str, multiplier: int = 1) -> Tensor:
    """3 x 3 of each channel on its own, `multiplier` times over, and BatchNorm."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    depthwise = layers.DepthwiseConv2D(
        3, stride, depth_multiplier=multiplier, use_bias=False, name=name
    )
    return batch_norm(f"{name}_bn")(depthwise(x))


def stem(x: Tensor, filters: int) -> Tensor:
    """Two strided 3 x 3 convolutions, to stride 4."""
    for i in (1, 2):
        x = relu(conv_bn(x, filters, 3, 2, f"backbone_stem{i}"), f"backbone_stem{i}")
    return x


def stage(x: Tensor, filters: int, stride: int, blocks: int, name: str) -> Tensor:
    """Basic blocks, the first of them strided; what the last returns is not rectified."""
    for i in range(blocks):
        x = relu(x, f"{name}_{i - 1}") if i else x
        x = basic_block(x, filters, 1 if i else stride, f"{name}_{i}")
    return x


def basic_block(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Two 3 x 3 convolutions and a shortcut; the sum is not rectified, for others to add to."""
    y = relu(conv_bn(x, filters, 3, stride, f"{name}_1"), f"{name}_1")
    y = conv_bn(y, filters, 3, 1, f"{name}_2")
    return layers.Add(name=f"{name}_add")([y, shortcut(x, filters, stride, name)])


def bottleneck(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """1 x 1, 3 x 3 and 1 x 1 to twice `filters`, and a shortcut; the sum is not rectified."""
    y = relu(conv_bn(x, filters, 1, 1, f"{name}_1"), f"{name}_1")
    y = relu(conv_bn(y, filters, 3, stride, f"{name}_2"), f"{name}_2")
    y = conv_bn(y, 2 * filters, 1, 1, f"{name}_3")
    return layers.Add(name=f"{name}_add")([y, shortcut(x, 2 * filters, stride, name)])


def shortcut(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """The map itself, or a 1 x 1 of it where size or channels change."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    return conv_bn(x, filters, 1, stride, f"{name}_shortcut")


def bn_relu(x: Tensor, name: str) -> Tensor:
    """BatchNorm and ReLU."""
    return relu(batch_norm(f"{name}_bn")(x), name)


def bn_relu_conv(x: Tensor, filters: int, kernel: int, name: str) -> Tensor:
    """BatchNorm, ReLU and convolution, in this order."""
    return conv(bn_relu(x, name), filters, kernel, 1, f"{name}_conv")


def relu(x: Tensor, name: str) -> Tensor:
    """ReLU."""
    return layers.ReLU(name=f"{name}_relu")(x)


def pyramid_pooling(x: Tensor, width: int, filters: int, cascaded: bool) -> Tensor:
    """Means over ever larger regions of a map, each refined and all gathered.

    Args:
        x: The coarsest map, not rectified.
        width: Channels of each scale.
        filters: Channels that are returned.
        cascaded: Whether each scale refines the one before, in turn (DDRNet's DAPPM),
            or all refine the map itself, side by side (PIDNet's PAPPM).
    """
    pooled = [
        # Zeros of the padding count into the mean.
        layers.AveragePooling2D(kernel, stride, name=f"context_pool{i}")(
            layers.ZeroPadding2D(kernel // 2, name=f"context_pool{i}_pad")(x)
        )
        for i, (kernel, stride) in enumerate(POOLINGS, 1)
    ]
    pooled.append(layers.GlobalAveragePooling2D(keepdims=True, name="context_pool4")(x))

    scales = [bn_relu_conv(x, width, 1, "context_scale0")]
    for i, mean in enumerate(pooled, 1):
        y = bn_relu_conv(mean, width, 1, f"context_scale{i}")
        y = ResizeLike(name=f"context_scale{i}_up")([y, x])
        y = layers.Add(name=f"context_scale{i}_add")([y, scales[-1 if cascaded else 0]])
        # PAPPM's grouped convolution is this too: one group to each scale.
        scales.append(bn_relu_conv(y, width, 3, f"context_process{i}"))
    y = layers.Concatenate(name="context_gather")(scales)
    y = bn_relu_conv(y, filters, 1, "context_compression")
    return layers.Add(name="context_add")([y, bn_relu_conv(x, filters, 1, "context_shortcut")])
