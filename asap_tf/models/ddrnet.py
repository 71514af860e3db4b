"""DDRNet-23-slim: two resolutions side by side, and the parts that PIDNet shares with it."""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

from asap_tf.layers.blocks import batch_norm, conv, conv_bn
from asap_tf.layers.resize import ResizeLike, Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.interface import head, input_frames, normalize, segmentation_model

# Kernels and strides of the pyramid's mean poolings; the fourth is over the whole map.
POOLINGS = ((5, 2), (9, 4), (17, 8))


def DDRNet23Slim(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> keras.Model:
    """Builds DDRNet-23-slim, a dual-resolution network, as a functional Keras model.

    Trained here like ASAP, on the logits and two auxiliary heads of the low-resolution branch,
    without the publication's own extra head on the high-resolution branch.

    Args:
        num_classes: Classes to tell apart.
        input_shape: `(H, W, 3)`, H and W multiples of 32 or None for any.
        weights: See `ASAPNet`.
        aux_heads: Whether to add the two training heads.

    Returns:
        A model from RGB frames 0..255 to float32 logits of their size; see `ASAPNet`.

    Example:
        >>> model = DDRNet23Slim(num_classes=19, input_shape=(512, 1024, 3))
        >>> model(np.zeros((1, 512, 1024, 3), "uint8")).shape
        TensorShape([1, 512, 1024, 19])

    Source: Pan, Hong, Sun and Jia, "Deep Dual-Resolution Networks for Real-Time and Accurate
    Semantic Segmentation of Traffic Scenes", IEEE T-ITS, 2023, section III; what it leaves open
    is as in the authors' code. At 512 x 1024 and 19 classes its convolutions have 5.68 M
    parameters and take 9.07 G multiply-accumulates.
    """
    frames = input_frames(num_classes, input_shape)
    x = stem(normalize(frames), 32)
    x = relu(stage(x, 32, 1, 2, "backbone_layer1"), "backbone_layer1")
    x = relu(stage(x, 64, 2, 2, "backbone_layer2"), "backbone_layer2")

    low = stage(x, 128, 2, 2, "backbone_layer3")
    high = stage(x, 64, 1, 2, "detail_layer3")
    p3, high = bilateral_fusion(low, high, (128,), "fusion_3")

    low = stage(p3, 256, 2, 2, "backbone_layer4")
    high = stage(high, 64, 1, 2, "detail_layer4")
    p4, high = bilateral_fusion(low, high, (128, 256), "fusion_4")

    high = bottleneck(high, 64, 1, "detail_layer5")
    low = bottleneck(p4, 256, 2, "backbone_layer5")
    context = pyramid_pooling(low, 128, 128, cascaded=True)
    x = layers.Add(name="fusion_add")([high, ResizeLike(name="fusion_up")([context, high])])
    logits = head(bn_relu(x, "logits"), num_classes, 8, "logits", filters=64)
    return segmentation_model("ddrnet23_slim", frames, logits, {16: p3, 32: p4}, aux_heads, weights)


def bilateral_fusion(
    low: Tensor, high: Tensor, widths: tuple[int, ...], name: str
) -> tuple[Tensor, Tensor]:
    """What each branch learns from the other is added to it; both sums are rectified.

    Args:
        low: The low-resolution branch, not rectified.
        high: The high-resolution branch, not rectified.
        widths: Channels after each halving of `high` on its way to `low`.
        name: Prefix of the layers.
    """
    down = high
    for i, filters in enumerate(widths, 1):
        down = conv_bn(relu(down, f"{name}_down{i}"), filters, 3, 2, f"{name}_down{i}")
    up = conv_bn(relu(low, f"{name}_up"), high.shape[-1], 1, 1, f"{name}_up")
    up = Upsample(2 ** len(widths), name=f"{name}_up")(up)
    low = layers.Add(name=f"{name}_low_add")([low, down])
    high = layers.Add(name=f"{name}_high_add")([high, up])
    return relu(low, f"{name}_low"), relu(high, f"{name}_high")


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
