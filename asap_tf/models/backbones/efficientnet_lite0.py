"""EfficientNet-Lite0: inverted residuals without squeeze-and-excite, ReLU6: made for int8."""

from __future__ import annotations

from keras import layers

from asap_tf.layers.blocks import batch_norm
from asap_tf.layers.tensor import Tensor

# (x - 127) / 128 on frames of 0..255.
MEAN = (127 / 255,) * 3
DEVIATION = (128 / 255,) * 3

EPSILON = 1e-3

STAGES = (
    # factor of expansion, kernel, stride, filters, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Table 1 of EfficientNet, as Lite0 has it. A level of the pyramid ends before each stride of 2."""


def efficientnet_lite0(x: Tensor, width: float = 1.0) -> list[Tensor]:
    """EfficientNet-Lite0 without its last 1 x 1 convolution and classifier.

    Layers are named as in its PyTorch port, `_blocks.3._depthwise_conv` being
    `backbone_blocks_3_depthwise_conv`.

    Args:
        x: `(N, H, W, 3)`, normalized by `MEAN` and `DEVIATION`; H and W multiples of 32.
        width: Channels over EfficientNet-Lite0's.

    Returns:
        P1 to P4: 24, 40, 112 and 320 channels (times `width`) at 1/4, 1/8, 1/16 and 1/32 of the
        size. 2,958,848 trainable parameters at width 1.

    Source: Tan and Le 2019, Table 1; Liu 2020 ("Higher accuracy on vision models with
    EfficientNet-Lite").
    """
    x = layers.Conv2D(round(32 * width), 3, 2, "same", use_bias=False, name="backbone_conv_stem")(x)
    x = norm_relu6(x, "backbone_bn0")
    levels, block = [], 0
    for factor, kernel, stride, filters, repeats in STAGES:
        if stride == 2:
            levels.append(x)
        for _ in range(repeats):
            name = f"backbone_blocks_{block}"
            x = inverted_residual(x, factor, kernel, stride, round(filters * width), name)
            stride, block = 1, block + 1
    return [*levels[1:], x]


def inverted_residual(
    x: Tensor, factor: int, kernel: int, stride: int, filters: int, name: str
) -> Tensor:
    """Expanded by 1 x 1, filtered within channels, projected by 1 x 1; added where shapes agree."""
    inputs, channels = x, x.shape[-1]
    if factor > 1:
        x = layers.Conv2D(channels * factor, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = norm_relu6(x, f"{name}_bn0")
    # "same" is what these weights were trained with: a strided window starts at the first pixel.
    x = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = norm_relu6(x, f"{name}_bn1")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = batch_norm(f"{name}_bn2", EPSILON)(x)
    return layers.Add(name=f"{name}_add")([x, inputs]) if x.shape == inputs.shape else x


def norm_relu6(x: Tensor, name: str) -> Tensor:
    """BatchNorm and ReLU6."""
    return layers.ReLU(6, name=f"{name}_relu6")(batch_norm(name, EPSILON)(x))
