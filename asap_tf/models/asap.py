"""ASAP: the paper's network on one screen (Fig. 1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from keras import layers
from pydantic import Field

from asap_tf.core.errors import UsageError
from asap_tf.layers import FFDN, SegmentationModel, SimplePyramid, StripAttention
from asap_tf.layers.blocks import conv_block, resample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.backbones import BACKBONES, BackboneName
from asap_tf.models.interface import (
    check_choice,
    head,
    input_frames,
    normalize,
    segmentation_model,
)
from asap_tf.models.registry import register

Fusion = Literal["ffdn", "general", "ln", "in", "none"]
Attention = Literal["vertical", "horizontal", "full", "none"]
FuseStride = Literal[8, 4]
Width = Annotated[float, Field(gt=0, multiple_of=0.125)]

STRIDES = (4, 8, 16, 32)
"""Of the four levels P1 to P4."""


@register("asap")
def ASAPNet(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    backbone: BackboneName = "resnet18",
    width: Width = 1.0,
    weights: str | Path | None = None,
    fusion: Fusion = "ffdn",
    attention: Attention = "vertical",
    fuse_stride: FuseStride = 8,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds ASAP, a real-time semantic segmentation network, as a functional Keras model.

    Args:
        num_classes: Number of classes.
        input_shape: `(H, W, 3)`, H and W multiples of 32 or None for any.
        backbone: Name of the backbone: `"resnet18"`, `"resnet18_vd"` with three 3 x 3 convolutions
            for its 7 x 7, or `"efficientnet_lite0"`, the light one, for phones.
        width: Channels of the backbone over its published ones, in steps of 1/8: ResNet18 at 0.5
            is the fast one of the family. What follows the backbone keeps the paper's widths.
        weights: Initial weights: None for random ones; `"imagenet"`, for the backbone alone
            (ResNet18's from torchvision, -vd's by the extra `imagenet`, EfficientNet-Lite0's by
            the extra `lite0`); a file of the backbone in PyTorch's layout (`.pth`,
            `.safetensors`; torchvision's or timm's ResNet18); or a run folder, a `.keras` file or
            a preset, from which every layer that fits is taken.
        fusion: Module that fuses the levels: `"ffdn"` (the paper's), or the rows it is compared
            with: `"general"` (Table III), `"ln"`, `"in"`, `"none"` (Table II).
        attention: Axis that attention pools: `"vertical"` (the paper's), or `"horizontal"`,
            `"full"`, `"none"` (Table III).
        fuse_stride: Stride at which levels are fused: 8, or 4 for finer maps at about three
            times the decoder's cost.
        aux_heads: Whether to add the two heads that only training needs.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)`, uint8 or float, to float32 logits
        `(N, H, W, num_classes)`. With `aux_heads`, to a dict of three such tensors: `"logits"`,
        `"aux3"` and `"aux4"`. Normalization is inside.

    Raises:
        UsageError: (a ValueError) for an unknown option or a size that is no multiple of 32.
        AsapError: if the weights cannot be read or downloaded.

    Examples:
        >>> model = ASAPNet(num_classes=19, input_shape=(512, 1024, 3))
        >>> model(np.zeros((1, 512, 1024, 3), "uint8")).shape
        TensorShape([1, 512, 1024, 19])

    Source: paper, sections II and III; the widths it leaves out follow from its Table III.
    """
    check_options(backbone, fusion, attention, fuse_stride, width)
    if weights == "imagenet" and width != 1:
        raise UsageError(f"there are no ImageNet weights of `width` {width}, only of 1")
    chosen = BACKBONES[backbone]
    frames = input_frames(num_classes, input_shape)
    maps = chosen.pyramid(normalize(frames, chosen.mean, chosen.deviation), width)

    levels = SimplePyramid(64, name="pyramid")(maps)
    x = gather(levels, STRIDES, fuse_stride)
    x = fuse(x, fusion)
    x = attend(x, attention)
    logits = head(x, num_classes, fuse_stride, "logits")
    return segmentation_model(
        "asap",
        frames,
        logits,
        dict(zip(STRIDES, maps, strict=True)),
        aux_heads,
        weights,
        backbone=backbone,
        pyramid_outputs=dict(zip(STRIDES, levels, strict=True)),
    )


def gather(levels: Sequence[Tensor], strides: Sequence[int], stride: int) -> Tensor:
    """Levels of several strides side by side, at one."""
    gathered = [
        resample(level, own, stride, f"gather{i}")
        for i, (level, own) in enumerate(zip(levels, strides, strict=True), 1)
    ]
    return layers.Concatenate(name="gather")(gathered)


def fuse(x: Tensor, fusion: str, filters: int = 256) -> Tensor:
    """Gathered channels to fused ones (Table II, and the upper half of Table III)."""
    if fusion == "general":
        x = conv_block(x, filters, 1, "fusion")
        gate = layers.GlobalAveragePooling2D(keepdims=True, name="fusion_pool")(x)
        gate = conv_block(gate, filters, 1, "fusion_gate", activation="sigmoid")
        return layers.Add(name="fusion")([x, layers.Multiply(name="fusion_scale")([x, gate])])
    norms = {"ffdn": "both", "ln": "layer", "in": "instance", "none": "none"}[fusion]
    return FFDN(filters, norms, name="fusion")(x)


def attend(x: Tensor, attention: str) -> Tensor:
    """Self-attention with its skip connection (lower half of Table III)."""
    return x if attention == "none" else StripAttention(attention, name="attention")(x)


def check_options(
    backbone: str, fusion: str, attention: str, fuse_stride: int, width: float
) -> None:
    """Refuses what the network cannot be built with; see `ASAPNet`."""
    check_choice("backbone", backbone, BACKBONES)
    check_choice("fusion", fusion, get_args(Fusion))
    check_choice("attention", attention, get_args(Attention))
    if fuse_stride not in get_args(FuseStride):
        raise UsageError(f"`fuse_stride` must be 8 or 4, got {fuse_stride}")
    if width <= 0 or width * 8 % 1:
        raise UsageError(f"`width` must be a positive multiple of 1/8, got {width}")
