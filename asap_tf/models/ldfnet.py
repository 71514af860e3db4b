"""LDFNet: ERFNet for color, and a dense network for depth and luminance that it is fused with."""

from __future__ import annotations

from pathlib import Path

from keras import layers

from asap_tf.layers import DepthAndLuminance, SegmentationModel
from asap_tf.layers.blocks import batch_norm, conv
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import relu
from asap_tf.models.interface import input_frames, normalize, segmentation_model
from asap_tf.models.registry import register

EPSILON = 1e-3
GROWTH = 42


@register("ldfnet")
def LDFNet(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds LDFNet as a functional Keras model from frames alone.

    The publication feeds a depth map beside the frame. There is none here: the depth channel is
    0, luminance comes from the frame, and every layer stays, so that speed and size are the
    publication's, and accuracy is that of a network without depth. Trained here like ASAP, in
    one stage, without dropout; auxiliary heads are on the fused color maps at 1/4 and 1/8, its
    coarsest.

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
        >>> LDFNet(19, (512, 1024, 3)).output_shape
        (None, 512, 1024, 19)

    Source: Hung, Lo, Hang, "Incorporating Luminance, Depth and Color Information by a
    Fusion-based Network for Semantic Segmentation", ICIP 2019, and its authors' code.

    Size: 2.40 M parameters and, at 512 x 1024, 44.0 G multiply-accumulates, both of convolutions.
    """
    frames = input_frames(num_classes, input_shape)
    color = normalize(frames, (0, 0, 0), (1, 1, 1))
    x = DepthAndLuminance(name="luminance")(color)

    color = down(color, 16, "color_1")
    x = down(x, 16, "depth_1")
    x = dense_block(x, (1, 1, 2, 2), "depth_1")
    color = fused(color, x, "fusion_1")

    color = down(color, 64, "color_2")
    x = transition(x, "depth_2")
    color = fused(color, x, "fusion_2")
    for i in range(1, 6):
        color = non_bottleneck(color, 1, f"color_2_{i}")
    x = dense_block(x, (1, 1, 1), "depth_2")
    quarter = color = fused(color, x, "fusion_3")

    color = down(color, 128, "color_3")
    x = transition(x, "depth_3")
    color = fused(color, x, "fusion_4")
    for i, dilation in enumerate((2, 4, 8, 16) * 2, 1):
        color = non_bottleneck(color, dilation, f"color_3_{i}")
    x = dense_block(x, (2, 4, 8, 16), "depth_3")
    eighth = color = fused(color, x, "fusion_5")

    for i, filters in enumerate((64, 16), 1):
        color = up(color, filters, f"decoder_{i}")
        for j in (1, 2):
            color = non_bottleneck(color, 1, f"decoder_{i}_{j}")
    logits = layers.Conv2DTranspose(num_classes, 2, 2, dtype="float32", name="logits_classes")(
        color
    )
    maps = {4: quarter, 8: eighth}
    return segmentation_model("ldfnet", frames, logits, maps, aux_heads, weights)


def down(x: Tensor, filters: int, name: str) -> Tensor:
    """Half the size: a strided 3 x 3 and the maxima, each with BatchNorm and ReLU, gathered.

    Published with one BatchNorm of the gathered map, which gives the same; so it folds into the
    convolution, and 8-bit exports need no common range for both.
    """
    new = layers.ZeroPadding2D(1, name=f"{name}_down_pad")(x)
    new = layers.Conv2D(filters - x.shape[-1], 3, 2, name=f"{name}_down_conv")(new)
    kept = layers.MaxPooling2D(2, name=f"{name}_kept_pool")(x)
    parts = [
        relu(batch_norm(f"{name}_{part}_bn", EPSILON)(y), f"{name}_{part}")
        for part, y in (("down", new), ("kept", kept))
    ]
    return layers.Concatenate(name=f"{name}_gather")(parts)


def up(x: Tensor, filters: int, name: str) -> Tensor:
    """Twice the size: a transposed 3 x 3, BatchNorm, ReLU."""
    # Strided, "same" would keep the first row and column and leave out the last.
    x = layers.Conv2DTranspose(filters, 3, 2, name=f"{name}_up_conv")(x)
    x = layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_up_crop")(x)
    return relu(batch_norm(f"{name}_up_bn", EPSILON)(x), f"{name}_up")


def non_bottleneck(x: Tensor, dilation: int, name: str) -> Tensor:
    """ERFNet's block: two pairs of 3 x 1 and 1 x 3, the second with holes, and a shortcut."""
    y = pair(x, 1, f"{name}_1")
    y = pair(relu(y, f"{name}_1"), dilation, f"{name}_2")
    return relu(layers.Add(name=f"{name}_add")([y, x]), name)


def pair(x: Tensor, dilation: int, name: str) -> Tensor:
    """3 x 1, ReLU, 1 x 3, BatchNorm."""
    x = same(x, x.shape[-1], (3, 1), (dilation, 1), f"{name}_vertical")
    x = relu(x, f"{name}_vertical")
    x = same(x, x.shape[-1], (1, 3), (1, dilation), f"{name}_horizontal")
    return batch_norm(f"{name}_bn", EPSILON)(x)


def same(
    x: Tensor,
    filters: int,
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    name: str,
    use_bias: bool = True,
) -> Tensor:
    """Convolution that keeps the size of the map."""
    return layers.Conv2D(
        filters, kernel, padding="same", dilation_rate=dilation, use_bias=use_bias, name=name
    )(x)


def dense_block(x: Tensor, dilations: tuple[int, ...], name: str) -> Tensor:
    """Each layer adds 42 channels to all before it."""
    for i, dilation in enumerate(dilations, 1):
        y = conv(x, GROWTH, 1, 1, f"{name}_{i}_reduce")
        y = relu(batch_norm(f"{name}_{i}_reduce_bn", EPSILON)(y), f"{name}_{i}_reduce")
        y = same(y, GROWTH, (3, 3), (dilation, dilation), f"{name}_{i}_conv", use_bias=False)
        y = relu(batch_norm(f"{name}_{i}_bn", EPSILON)(y), f"{name}_{i}")
        x = layers.Concatenate(name=f"{name}_{i}_gather")([x, y])
    return x


def transition(x: Tensor, name: str) -> Tensor:
    """Half the channels, by 1 x 1, and half the size, by means."""
    x = conv(x, x.shape[-1] // 2, 1, 1, f"{name}_transition_conv")
    x = relu(batch_norm(f"{name}_transition_bn", EPSILON)(x), f"{name}_transition")
    return layers.AveragePooling2D(2, name=f"{name}_transition_pool")(x)


def fused(color: Tensor, x: Tensor, name: str) -> Tensor:
    """What depth and luminance have found, by a bare 1 x 1, added to the color map."""
    return layers.Add(name=f"{name}_add")([color, conv(x, color.shape[-1], 1, 1, name)])
