"""Backbones: functions from a normalised frame to four feature maps at strides 4, 8, 16, 32."""

from __future__ import annotations

from keras import layers

from asap_tf.layers.blocks import Tensor, batch_norm, conv


def resnet18(x: Tensor) -> list[Tensor]:
    """ResNet18 without its classifier.

    Layers are named as in torchvision, `layer2.0.conv1` being `backbone_layer2_0_conv1`, so that
    its weights need no table to be found.

    Args:
        x: `(N, H, W, 3)`, normalised; H and W multiples of 32.

    Returns:
        P1 to P4: 64, 128, 256 and 512 channels at 1/4, 1/8, 1/16 and 1/32 of the size.
        11,176,512 trainable parameters.

    Source: He et al. 2016, as shipped by torchvision and timm.
    """
    x = conv(x, 64, 7, 2, "backbone_conv1")
    x = layers.ReLU(name="backbone_relu")(batch_norm("backbone_bn1")(x))
    x = layers.ZeroPadding2D(1, name="backbone_maxpool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="backbone_maxpool")(x)
    pyramid = []
    for stage, filters in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            stride = 2 if stage > 1 and block == 0 else 1
            x = basic_block(x, filters, stride, f"backbone_layer{stage}_{block}")
        pyramid.append(x)
    return pyramid


def basic_block(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Two 3 x 3 convolutions and a shortcut, which is a strided 1 x 1 where the size changes."""
    shortcut = x
    if stride > 1:
        shortcut = conv(x, filters, 1, stride, f"{name}_downsample_0")
        shortcut = batch_norm(f"{name}_downsample_1")(shortcut)
    x = conv(x, filters, 3, stride, f"{name}_conv1")
    x = layers.ReLU(name=f"{name}_relu1")(batch_norm(f"{name}_bn1")(x))
    x = batch_norm(f"{name}_bn2")(conv(x, filters, 3, 1, f"{name}_conv2"))
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


BACKBONES = {"resnet18": resnet18}
