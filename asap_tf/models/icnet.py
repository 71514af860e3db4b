"""ICNet: the same frame at three sizes, the smaller the deeper (its Fig. 2)."""

from __future__ import annotations

from pathlib import Path

from keras import layers

from asap_tf.layers import SegmentationModel
from asap_tf.layers.adaptive_mean import AdaptiveMean
from asap_tf.layers.blocks import batch_norm, conv, conv_block
from asap_tf.layers.resize import ResizeLike, Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.interface import input_frames, normalize, segmentation_model
from asap_tf.models.registry import register


@register("icnet")
def ICNet(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds ICNet, in the halved widths that its authors publish, as a functional Keras model.

    Trained here like ASAP: its cascade label guidance becomes the two auxiliary heads, on the
    same maps. Frames and maps are halved by 2 x 2 means, which is what bilinear sampling amounts
    to at the even sizes here; the authors sample at 1025 x 2049, and pool by fixed windows where
    these adapt to the map.

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
        >>> ICNet(19, (1024, 2048, 3)).output_shape
        (None, 1024, 2048, 19)

    Source: Zhao, Qi, Shen, Shi, Jia, "ICNet for Real-Time Semantic Segmentation on
    High-Resolution Images", ECCV 2018, Fig. 2 and 3; widths from its authors' published network.

    Size: 6.67 M parameters and, at 1024 x 2048, 29.0 G multiply-accumulates (7.26 G at
    512 x 1024), both of convolutions. Comparisons in later papers quote 28.3 G and "26.5 M", which
    fits this network's size in megabytes of float32 (26.7).
    """
    frames = input_frames(num_classes, input_shape)
    full = normalize(frames)
    half = layers.AveragePooling2D(2, name="half_frames")(full)

    middle, deep = half_and_quarter(half)
    fused16 = cascade_fusion(deep, middle, "fusion16")
    fused8 = cascade_fusion(fused16, full_branch(full), "fusion8")

    x = Upsample(2, name="logits_double")(fused8)
    # Classes follow directly: the published head has no Conv Block.
    x = layers.Conv2D(num_classes, 1, dtype="float32", name="logits_classes")(x)
    logits = Upsample(4, dtype="float32", name="logits")(x)
    return segmentation_model("icnet", frames, logits, {16: fused16, 32: deep}, aux_heads, weights)


def full_branch(x: Tensor) -> Tensor:
    """The whole frame: three strided convolutions, 64 channels at stride 8."""
    for i, filters in enumerate((32, 32, 64), 1):
        x = conv_block(x, filters, 3, f"full_conv{i}", stride=2)
    return x


def half_and_quarter(x: Tensor) -> tuple[Tensor, Tensor]:
    """PSPNet50 from the half frame, whose map is halved once more after the first block of stage 3.

    The branches of the half and of the quarter frame share all layers up to there.

    Returns:
        256 channels at stride 16, and 256 at stride 32 of the frame.
    """
    for i, (filters, stride) in enumerate(((32, 2), (32, 1), (64, 1)), 1):
        x = conv_block(x, filters, 3, f"half_conv1_{i}", stride=stride)
    x = layers.ZeroPadding2D(1, name="half_maxpool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="half_maxpool")(x)
    x = stage(x, 128, 3, "half_conv2")
    middle = bottleneck(x, 256, "half_conv3_1", stride=2)

    x = layers.AveragePooling2D(2, name="quarter_map")(middle)
    for i in (2, 3, 4):
        x = bottleneck(x, 256, f"quarter_conv3_{i}")
    x = stage(x, 512, 6, "quarter_conv4", dilation=2)
    x = stage(x, 1024, 3, "quarter_conv5", dilation=4)
    x = pyramid_pooling(x, "quarter_pyramid")
    return middle, conv_block(x, 256, 1, "quarter_conv5_4")


def stage(x: Tensor, filters: int, blocks: int, name: str, dilation: int = 1) -> Tensor:
    """Bottlenecks at one size."""
    for i in range(1, blocks + 1):
        x = bottleneck(x, filters, f"{name}_{i}", dilation=dilation)
    return x


def bottleneck(x: Tensor, filters: int, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
    """1 x 1 to a quarter of the channels, 3 x 3, 1 x 1 back, and a shortcut; strided at the first.

    The shortcut is a 1 x 1 where channels or size change.
    """
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = batch_norm(f"{name}_proj_bn")(conv(x, filters, 1, stride, f"{name}_proj"))
    x = conv_block(x, filters // 4, 1, f"{name}_reduce", stride=stride)
    x = dilated(x, filters // 4, dilation, f"{name}_3x3")
    x = layers.ReLU(name=f"{name}_3x3_relu")(x)
    x = batch_norm(f"{name}_increase_bn")(conv(x, filters, 1, 1, f"{name}_increase"))
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def pyramid_pooling(x: Tensor, name: str) -> Tensor:
    """Means over 1, 2, 3 and 6 windows along either axis, enlarged and added to the map."""
    levels = [x]
    for bins in (1, 2, 3, 6):
        mean = AdaptiveMean(bins, name=f"{name}_pool{bins}")(x)
        levels.append(ResizeLike(name=f"{name}_enlarge{bins}")([mean, x]))
    return layers.Add(name=f"{name}_sum")(levels)


def cascade_fusion(coarse: Tensor, fine: Tensor, name: str) -> Tensor:
    """Cascade feature fusion: a coarse map, doubled and smoothed, and a fine one, projected."""
    coarse = dilated(Upsample(2, name=f"{name}_double")(coarse), 128, 2, f"{name}_coarse")
    fine = batch_norm(f"{name}_fine_bn")(conv(fine, 128, 1, 1, f"{name}_fine"))
    x = layers.Add(name=f"{name}_add")([coarse, fine])
    return layers.ReLU(name=f"{name}_relu")(x)


def dilated(x: Tensor, filters: int, dilation: int, name: str) -> Tensor:
    """3 x 3 convolution with holes, and BatchNorm."""
    x = layers.ZeroPadding2D(dilation, name=f"{name}_pad")(x)
    x = layers.Conv2D(filters, 3, dilation_rate=dilation, use_bias=False, name=name)(x)
    return batch_norm(f"{name}_bn")(x)
