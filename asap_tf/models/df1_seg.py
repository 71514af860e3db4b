"""DF1-Seg: the smallest backbone of partial order pruning, pyramid pooling and a narrow decoder."""

from __future__ import annotations

from pathlib import Path

from keras import layers

from asap_tf.layers import AdaptiveMean, AlignedResize, SegmentationModel, Upsample
from asap_tf.layers.blocks import batch_norm, conv_block
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import basic_block, relu, stage
from asap_tf.models.interface import input_frames, normalize, segmentation_model
from asap_tf.models.registry import register

MEAN = (73 / 255, 83 / 255, 72 / 255)
DEVIATION = (125 / 255,) * 3


@register("df1_seg")
def DF1Seg(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds DF1-Seg as a functional Keras model.

    Trained here like ASAP; how its authors train it is not published. Pyramid pooling takes the
    whole map's height, half, a quarter and an eighth of it for its windows' sides, which are those
    of the authors at the 1024 rows that they fixed them for. The last enlargement repeats the rim,
    where theirs fades to zero, which changes no label.

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
        >>> DF1Seg(19, (1024, 2048, 3)).output_shape
        (None, 1024, 2048, 19)

    Source: Li, Zhou, Pan, Feng, "Partial Order Pruning: for Best Speed/Accuracy Trade-off in
    Neural Architecture Search", CVPR 2019, and its authors' published network.

    Size: 13.10 M parameters and, at 512 x 1024, 10.4 G multiply-accumulates (41.6 G at
    1024 x 2048), both of convolutions.
    """
    frames = input_frames(num_classes, input_shape)
    fine, middle, coarse = backbone(normalize(frames, MEAN, DEVIATION))
    x = pyramid_pooling(coarse)
    x = conv_block(x, 128, 1, "decoder_reduce1")
    x = conv_block(x, 32, 1, "decoder_reduce2")
    x = joined(x, middle, 32, "decoder_16")
    x = conv_block(x, num_classes, 1, "decoder_reduce3")
    x = joined(x, fine, num_classes, "decoder_8")
    x = layers.Conv2D(
        num_classes, 3, padding="same", use_bias=False, dtype="float32", name="logits_classes"
    )(x)
    x = batch_norm("logits_classes_bn", dtype="float32")(x)
    logits = Upsample(8, dtype="float32", name="logits")(x)
    maps = {8: fine, 16: middle, 32: coarse}
    return segmentation_model("df1_seg", frames, logits, maps, aux_heads, weights)


def backbone(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """DF1: 64, 128 and 512 channels at strides 8, 16 and 32."""
    x = conv_block(x, 32, 3, "backbone_conv1", stride=2)
    x = conv_block(x, 64, 3, "backbone_conv2", stride=2)
    fine = relu(stage(x, 64, 2, 3, "backbone_res2"), "backbone_res2")
    middle = relu(stage(fine, 128, 2, 3, "backbone_res3"), "backbone_res3")
    x = relu(stage(middle, 256, 2, 3, "backbone_res4"), "backbone_res4")
    x = basic_block(x, 512, 1, "backbone_res4_3")
    return fine, middle, relu(x, "backbone_res4_3")


def pyramid_pooling(x: Tensor) -> Tensor:
    """Means over square windows of four sides, enlarged and gathered with the map; 3 x 3 to 512."""
    levels = [x]
    for bins in (1, 2, 4, 8):
        mean = AdaptiveMean(bins, square=True, name=f"context_pool{bins}")(x)
        mean = conv_block(mean, 128, 1, f"context_level{bins}")
        levels.append(AlignedResize(name=f"context_level{bins}_enlarge")([mean, x]))
    x = layers.Concatenate(name="context_gather")(levels)
    return conv_block(x, 512, 3, "context")


def joined(coarse: Tensor, fine: Tensor, filters: int, name: str) -> Tensor:
    """A finer map reduced, and a map of as many channels enlarged, gathered; 3 x 3."""
    fine = conv_block(fine, filters, 1, f"{name}_reduce")
    coarse = doubled(coarse, f"{name}_double")
    x = layers.Concatenate(name=f"{name}_gather")([fine, coarse])
    return conv_block(x, filters, 3, name)


def doubled(x: Tensor, name: str) -> Tensor:
    """Bilinear enlargement by 2 that fades to zero beyond the rim, as transposed convolution."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    x = Upsample(2, name=name)(x)
    return layers.Cropping2D(2, name=f"{name}_crop")(x)
