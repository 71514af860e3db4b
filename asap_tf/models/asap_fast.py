"""ASAP's successor: plain convolutions as integer kernels like them, and finer logits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

from keras import layers
from pydantic import Field

from asap_tf.core.errors import UsageError
from asap_tf.layers import SegmentationModel, SimplePyramid
from asap_tf.layers.blocks import conv_block, conv_bn
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.asap import STRIDES, Attention, Fusion, attend, fuse, gather
from asap_tf.models.blocks import basic_block, relu
from asap_tf.models.interface import (
    check_choice,
    head,
    input_frames,
    normalize,
    segmentation_model,
)
from asap_tf.models.registry import register

Filters = Annotated[int, Field(gt=0, multiple_of=8)]
Depth = Annotated[int, Field(ge=0)]


@register("asap_fast")
def ASAPFast(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    widths: tuple[Filters, Filters, Filters, Filters, Filters] = (16, 32, 64, 128, 256),
    depths: tuple[Depth, Depth, Depth, Depth, Depth] = (0, 1, 2, 3, 2),
    weights: str | Path | None = None,
    fusion: Fusion = "ffdn",
    attention: Attention = "vertical",
    detail: bool = True,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds ASAP's successor, as a functional Keras model.

    Args:
        num_classes: Number of classes.
        input_shape: `(H, W, 3)`, H and W multiples of 32 or None for any.
        widths: Channels of the backbone at strides 2, 4, 8, 16 and 32, multiples of 8.
        depths: Residual blocks at these strides, each after one strided convolution.
        weights: Initial weights: a run folder, a `.keras` file or a preset, from which every layer
            that fits is taken; None for random ones.
        fusion: Module that fuses the levels, as of `ASAPNet`.
        attention: Axis that attention pools, as of `ASAPNet`.
        detail: Whether the logits have stride 4, by a step up to the finest map, or 8.
        aux_heads: Whether to add the two heads that only training needs.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)` to float32 logits `(N, H, W, num_classes)`;
        with `aux_heads` to a dict of three such tensors. See `ASAPNet`.

    Raises:
        UsageError: (a ValueError) for an unknown option, other than five widths and depths, or a
            size that is no multiple of 32.

    Examples:
        >>> model = ASAPFast(num_classes=19, input_shape=(512, 1024, 3))
        >>> model(np.zeros((1, 512, 1024, 3), "uint8")).shape
        TensorShape([1, 512, 1024, 19])

    Size: 3.97 M parameters and, at 512 x 1024, 6.63 G multiply-accumulates of convolutions.
    """
    check_choice("fusion", fusion, get_args(Fusion))
    check_choice("attention", attention, get_args(Attention))
    if len(widths) != 5 or len(depths) != 5:
        raise UsageError(f"`widths` and `depths` are five each, got {widths} and {depths}")
    frames = input_frames(num_classes, input_shape)
    _, finest, *coarser = maps = backbone(normalize(frames), widths, depths)

    levels = SimplePyramid(64, name="pyramid")(coarser)
    x = gather(levels, STRIDES[1:], 8)
    x = fuse(x, fusion, 128)
    x = attend(x, attention)
    if detail:
        x = detail_step(conv_block(x, 64, 3, "context"), finest)
    logits = head(x, num_classes, 4 if detail else 8, "logits", filters=32 if detail else 64)
    return segmentation_model(
        "asap_fast",
        frames,
        logits,
        dict(zip(STRIDES, maps[1:], strict=True)),
        aux_heads,
        weights,
        pyramid_outputs=dict(zip(STRIDES[1:], levels, strict=True)),
    )


def backbone(x: Tensor, widths: tuple[int, ...], depths: tuple[int, ...]) -> list[Tensor]:
    """Strided convolutions, each with residual blocks after it, and nothing else.

    Returns:
        Maps at strides 2, 4, 8, 16 and 32.
    """
    maps = []
    for stage, (filters, depth) in enumerate(zip(widths, depths, strict=True)):
        x = conv_block(x, filters, 3, f"backbone_layer{stage}_down", stride=2)
        for i in range(1, depth + 1):
            name = f"backbone_layer{stage}_{i}"
            x = relu(basic_block(x, filters, 1, name), name)
        maps.append(x)
    return maps


def detail_step(x: Tensor, finest: Tensor) -> Tensor:
    """The fused map at twice its size, and the backbone's finest added to it: 32 channels."""
    x = Upsample(2, name="detail_up")(conv_bn(x, 32, 1, 1, "detail_context"))
    y = conv_bn(finest, 32, 1, 1, "detail_finest")
    return relu(layers.Add(name="detail")([x, y]), "detail")
