"""FFNet-46NS, mobile: plain residual blocks, and a head as simple."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from keras import layers

from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import batch_norm, conv_block
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import relu, stage, stem
from asap_tf.models.interface import check_choice, input_frames, normalize, segmentation_model
from asap_tf.models.registry import register

Variant = Literal["ccc", "cbb"]

STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True)
class Widths:
    """What the last two of a variant's three letters stand for.

    Attributes:
        adapters: Channels of the levels of the up-head, finest first.
        exits: Channels that each level adds to the gathered map, finest first.
        head: Channels of the segmentation head.
        kernel: Side of its last convolution.
    """

    adapters: tuple[int, ...]
    exits: tuple[int, ...]
    head: int
    kernel: int


WIDTHS: dict[Variant, Widths] = {
    "ccc": Widths((128, 128, 128, 128), (128, 16, 16, 16), 128, 1),
    "cbb": Widths((64, 128, 128, 256), (96, 96, 64, 32), 256, 3),
}


@register("ffnet_46ns")
def FFNet46NS(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    variant: Variant = "ccc",
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds FFNet-46NS in its mobile form as a functional Keras model.

    Trained here like ASAP, with two auxiliary heads, which the publication does without.

    Args:
        num_classes: Number of classes.
        input_shape: `(H, W, 3)`, H and W multiples of 32 or None for any.
        variant: `"ccc"`, or `"cbb"` with the wider up-head and segmentation head; the letters are
            the publication's for stem, up-head and segmentation head.
        weights: Initial weights: a run folder, a `.keras` file or a preset, from which every layer
            that fits is taken; None for random ones.
        aux_heads: Whether to add the two heads that only training needs.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)` to float32 logits `(N, H, W, num_classes)`;
        with `aux_heads` to a dict of three such tensors. See `ASAPNet`.

    Raises:
        UsageError: (a ValueError) for another variant, or a size that is no multiple of 32.

    Examples:
        >>> FFNet46NS(19, (512, 1024, 3)).output_shape
        (None, 512, 1024, 19)

    Source: Mehta, Skliar, Ben Yahia, Borse, Porikli, Habibian, Blankevoort, "Simple and Efficient
    Architectures for Semantic Segmentation", CVPR workshops 2022, and its authors' code.

    Size: 12.51 M parameters (C-B-B 13.16) and, at 512 x 1024, 28.0 G multiply-accumulates (42.2),
    both of convolutions.
    """
    check_choice("variant", variant, WIDTHS)
    widths = WIDTHS[variant]
    frames = input_frames(num_classes, input_shape)
    maps = backbone(normalize(frames))
    x = up_head(maps, widths)
    x = layers.Conv2D(widths.head, 3, padding="same", name="logits_block_conv")(x)
    x = relu(batch_norm("logits_block_bn")(x), "logits_block")
    x = layers.Conv2D(
        num_classes, widths.kernel, padding="same", dtype="float32", name="logits_classes"
    )(x)
    logits = Upsample(4, dtype="float32", name="logits")(x)
    strided = dict(zip(STRIDES, maps, strict=True))
    return segmentation_model("ffnet_46ns", frames, logits, strided, aux_heads, weights)


def backbone(x: Tensor) -> list[Tensor]:
    """Three convolutions, then 6, 8 and 8 basic blocks.

    Returns:
        64, 64, 128 and 256 channels at strides 4, 8, 16 and 32.
    """
    maps = [conv_block(stem(x, 64), 64, 3, "backbone_stem3")]
    for i, (filters, blocks) in enumerate(((64, 6), (128, 8), (256, 8)), 1):
        x = stage(maps[-1], filters, 2, blocks, f"backbone_layer{i}")
        maps.append(relu(x, f"backbone_layer{i}"))
    return maps


def up_head(maps: list[Tensor], widths: Widths) -> Tensor:
    """Levels from coarse to fine, each added to the next; what all give, gathered at stride 4."""
    level: Tensor | None = None
    gathered: list[Tensor] = []
    for i in (3, 2, 1, 0):
        stride = STRIDES[i]
        below = conv_block(maps[i], widths.adapters[i], 1, f"pyramid_adapter{stride}")
        if level is not None:
            level = conv_block(level, widths.adapters[i], 1, f"pyramid_down{stride}")
            level = layers.UpSampling2D(2, name=f"pyramid_down{stride}_double")(level)
            below = layers.Add(name=f"pyramid_add{stride}")([below, level])
        level = below
        given = conv_block(level, widths.exits[i], 3, f"gather{stride}")
        if i:
            given = layers.UpSampling2D(2**i, name=f"gather{stride}_enlarge")(given)
        gathered.insert(0, given)
    return layers.Concatenate(name="gather")(gathered)
