"""PIDNet-S: three branches, for detail, context and boundaries."""

from __future__ import annotations

from pathlib import Path

from keras import layers

from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import PixelDot, conv_bn
from asap_tf.layers.resize import ResizeLike, Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import (
    basic_block,
    bn_relu,
    bottleneck,
    pyramid_pooling,
    relu,
    stage,
    stem,
)
from asap_tf.models.interface import head, input_frames, normalize, segmentation_model
from asap_tf.models.registry import register


@register("pidnet_s")
def PIDNetS(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds PIDNet-S, a three-branch network, as a functional Keras model.

    Layers of the P branch are named `detail_...`, of the I branch `backbone_...` and
    `context_...`, of the D branch `boundary_...`. Trained here like ASAP, on the logits and two
    auxiliary heads of the I branch, without the publication's own extra heads on the P and D
    branches and their boundary losses.

    Args:
        num_classes: Number of classes.
        input_shape: `(H, W, 3)`, H and W multiples of 32 or None for any.
        weights: Initial weights: a run folder, a `.keras` file or a preset, from which every layer
            that fits is taken; None for random ones.
        aux_heads: Whether to add the two heads that only training needs.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)` to float32 logits `(N, H, W, num_classes)`;
        with `aux_heads` to a dict of three such tensors. See `ASAPNet`.

    Examples:
        >>> model = PIDNetS(num_classes=19, input_shape=(512, 1024, 3))
        >>> model(np.zeros((1, 512, 1024, 3), "uint8")).shape
        TensorShape([1, 512, 1024, 19])

    Source: Xu, Xiong and Bhattacharyya, "PIDNet: A Real-time Semantic Segmentation Network
    Inspired by PID Controllers", CVPR 2023, section 3 and Fig. 4; what these leave open is as
    in the authors' code. At 512 x 1024 and 19 classes its convolutions have 7.60 M parameters
    and take 11.80 G multiply-accumulates.
    """
    frames = input_frames(num_classes, input_shape)
    x = stem(normalize(frames), 32)
    x = relu(stage(x, 32, 1, 2, "backbone_layer1"), "backbone_layer1")
    x = relu(stage(x, 64, 2, 2, "backbone_layer2"), "backbone_layer2")

    i3 = relu(stage(x, 128, 2, 3, "backbone_layer3"), "backbone_layer3")
    p = stage(x, 64, 1, 2, "detail_layer3")
    p = relu(pixel_attention(p, i3, 2, "fusion_pag3"), "fusion_pag3")
    d = basic_block(x, 32, 1, "boundary_layer3")
    d = relu(add_upsampled(d, i3, 2, "boundary_diff3"), "boundary_diff3")

    i4 = relu(stage(i3, 256, 2, 3, "backbone_layer4"), "backbone_layer4")
    p = stage(p, 64, 1, 2, "detail_layer4")
    p = relu(pixel_attention(p, i4, 4, "fusion_pag4"), "fusion_pag4")
    d = bottleneck(d, 32, 1, "boundary_layer4")
    d = relu(add_upsampled(d, i4, 4, "boundary_diff4"), "boundary_diff4")

    p = bottleneck(p, 64, 1, "detail_layer5")
    d = bottleneck(d, 64, 1, "boundary_layer5")
    # Nothing is rectified between these two.
    i = bottleneck(i4, 256, 2, "backbone_layer5_0")
    i = bottleneck(i, 256, 1, "backbone_layer5_1")
    i = pyramid_pooling(i, 96, 128, cascaded=False)
    i = ResizeLike(name="context_up")([i, p])

    fused = boundary_attention(p, i, d)
    logits = head(bn_relu(fused, "logits"), num_classes, 8, "logits", filters=128)
    maps = {8: x, 16: i3, 32: i4}
    return segmentation_model("pidnet_s", frames, logits, maps, aux_heads, weights)


def pixel_attention(p: Tensor, i: Tensor, factor: int, name: str) -> Tensor:
    """Pag: each pixel of the P branch takes from the I branch as much as both agree (sec. 3.2).

    Args:
        p: The P branch, not rectified.
        i: The I branch, rectified.
        factor: How many times as large `p` is.
        name: Prefix of the layers.
    """
    i = conv_bn(i, p.shape[-1], 1, 1, f"{name}_compression")
    query = conv_bn(i, 32, 1, 1, f"{name}_query")
    query = Upsample(factor, name=f"{name}_query_up")(query)
    key = conv_bn(p, 32, 1, 1, f"{name}_key")
    share = PixelDot(name=f"{name}_dot")([key, query])
    share = layers.Activation("sigmoid", name=f"{name}_sigmoid")(share)
    i = Upsample(factor, name=f"{name}_up")(i)
    return blend(p, i, share, name)


def add_upsampled(d: Tensor, i: Tensor, factor: int, name: str) -> Tensor:
    """What the D branch learns from the I branch, added to it."""
    up = conv_bn(i, d.shape[-1], 3, 1, name)
    up = Upsample(factor, name=f"{name}_up")(up)
    return layers.Add(name=f"{name}_add")([d, up])


def boundary_attention(p: Tensor, i: Tensor, d: Tensor) -> Tensor:
    """Light-Bag: detail at boundaries and context elsewhere, either with both added (sec. 3.4)."""
    edge = layers.Activation("sigmoid", name="fusion_bag_sigmoid")(d)
    i_inside = layers.Multiply(name="fusion_bag_i_edge")([edge, i])
    i_inside = layers.Subtract(name="fusion_bag_i_inside")([i, i_inside])
    p_edge = layers.Multiply(name="fusion_bag_p_edge")([edge, p])
    p = layers.Add(name="fusion_bag_p")([i_inside, p])
    i = layers.Add(name="fusion_bag_i")([i, p_edge])
    p = conv_bn(p, 128, 1, 1, "fusion_bag_p")
    i = conv_bn(i, 128, 1, 1, "fusion_bag_i")
    return layers.Add(name="fusion_bag_add")([p, i])


def blend(x: Tensor, y: Tensor, share: Tensor, name: str) -> Tensor:
    """`x` where `share` is 0, `y` where it is 1."""
    change = layers.Subtract(name=f"{name}_change")([y, x])
    change = layers.Multiply(name=f"{name}_share")([share, change])
    return layers.Add(name=f"{name}_add")([x, change])
