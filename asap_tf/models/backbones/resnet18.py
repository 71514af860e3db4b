"""ResNet18, the paper's backbone, and its variant vd."""

from __future__ import annotations

from keras import layers

from asap_tf.layers.blocks import batch_norm, conv
from asap_tf.layers.tensor import Tensor


def resnet18(x: Tensor, width: float = 1.0) -> list[Tensor]:
    """ResNet18 without its classifier.

    Layers are named as in torchvision, `layer2.0.conv1` being `backbone_layer2_0_conv1`, so that
    its weights need no table to be found.

    Args:
        x: `(N, H, W, 3)`, normalized; H and W multiples of 32.
        width: Channels over ResNet18's.

    Returns:
        P1 to P4: 64, 128, 256 and 512 channels (times `width`) at 1/4, 1/8, 1/16 and 1/32 of the
        size. 11,176,512 trainable parameters at width 1.

    Source: He et al. 2016, as shipped by torchvision and timm.
    """
    x = stem_conv(x, round(64 * width), 7, 2, 1)
    return stages(x, width, vd=False)


def resnet18_vd(x: Tensor, width: float = 1.0) -> list[Tensor]:
    """ResNet18-vd: three 3 x 3 convolutions for the 7 x 7, means before the shortcuts.

    Args:
        x: `(N, H, W, 3)`, normalized; H and W multiples of 32.
        width: Channels over ResNet18's.

    Returns:
        P1 to P4, as of `resnet18`.

    Source: He et al. 2018 ("Bag of tricks"), ResNet-D; projections as in PaddleClas and keras-hub.
    """
    for index, (filters, stride) in enumerate(((32, 2), (32, 1), (64, 1)), 1):
        x = stem_conv(x, round(filters * width), 3, stride, index)
    return stages(x, width, vd=True)


def stem_conv(x: Tensor, filters: int, kernel: int, stride: int, index: int) -> Tensor:
    """One of the convolutions before the stages, with BatchNorm and ReLU."""
    x = batch_norm(f"backbone_bn{index}")(conv(x, filters, kernel, stride, f"backbone_conv{index}"))
    return layers.ReLU(name=f"backbone_relu{index}")(x)


def stages(x: Tensor, width: float, vd: bool) -> list[Tensor]:
    """Max pooling and the four stages of two basic blocks each."""
    x = layers.ZeroPadding2D(1, name="backbone_maxpool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="backbone_maxpool")(x)
    pyramid = []
    for stage, filters in enumerate((64, 128, 256, 512), 1):
        filters, name = round(filters * width), f"backbone_layer{stage}"
        stride = 1 if stage == 1 else 2
        shortcut = projection(x, filters, stride, vd, name) if vd or stage > 1 else x
        x = basic_block(x, shortcut, filters, stride, f"{name}_0")
        x = basic_block(x, x, filters, 1, f"{name}_1")
        pyramid.append(x)
    return pyramid


def projection(x: Tensor, filters: int, stride: int, vd: bool, name: str) -> Tensor:
    """The shortcut where channels or size change: 1 x 1, of every other pixel or of means."""
    if vd and stride > 1:
        x = layers.AveragePooling2D(stride, name=f"{name}_0_downsample_mean")(x)
        stride = 1
    return batch_norm(f"{name}_0_downsample_1")(
        conv(x, filters, 1, stride, f"{name}_0_downsample_0")
    )


def basic_block(x: Tensor, shortcut: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Two 3 x 3 convolutions, added to a shortcut."""
    x = conv(x, filters, 3, stride, f"{name}_conv1")
    x = layers.ReLU(name=f"{name}_relu1")(batch_norm(f"{name}_bn1")(x))
    x = batch_norm(f"{name}_bn2")(conv(x, filters, 3, 1, f"{name}_conv2"))
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)
