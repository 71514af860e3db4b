"""STDC: one branch whose blocks gather several scales at once, and a context path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras import layers

from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import batch_norm, conv, conv_block
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import depthwise_bn, gated
from asap_tf.models.interface import head, input_frames, normalize, segmentation_model


def stdc_seg(
    name: str,
    depths: Sequence[int],
    num_classes: int,
    input_shape: tuple[int | None, int | None, int],
    weights: str | Path | None,
    aux_heads: bool,
) -> SegmentationModel:
    """STDC-Seg with so many modules in the stages at strides 8, 16 and 32 (Fig. 4)."""
    frames = input_frames(num_classes, input_shape)
    stage3, stage4, stage5 = backbone(normalize(frames), depths)
    context = context_path(stage4, stage5)
    fused = feature_fusion(stage3, context)
    logits = head(fused, num_classes, 8, "logits", filters=256)
    maps = {8: stage3, 16: stage4, 32: stage5}
    return segmentation_model(name, frames, logits, maps, aux_heads, weights)


def backbone(x: Tensor, depths: Sequence[int]) -> list[Tensor]:
    """Two strided convolutions, then three stages of STDC modules.

    Returns:
        256, 512 and 1024 channels at strides 8, 16 and 32.
    """
    x = conv_block(x, 32, 3, "backbone_stage1", stride=2)
    x = conv_block(x, 64, 3, "backbone_stage2", stride=2)
    stages = []
    for stage, (filters, depth) in enumerate(zip((256, 512, 1024), depths, strict=True), 3):
        x = stdc_module_down(x, filters, f"backbone_stage{stage}_1")
        for i in range(2, depth + 1):
            x = stdc_module(x, filters, f"backbone_stage{stage}_{i}")
        stages.append(x)
    return stages


def stdc_module(x: Tensor, filters: int, name: str) -> Tensor:
    """Short-term dense concatenation: four convolutions in a row, gathered; each sees further."""
    first = conv_block(x, filters // 2, 1, f"{name}_part1")
    return layers.Concatenate(name=name)([first, *wider_views(first, filters, name)])


def stdc_module_down(x: Tensor, filters: int, name: str) -> Tensor:
    """The same at stride 2, from its second convolution on."""
    first = conv_block(x, filters // 2, 1, f"{name}_part1")
    halved = depthwise_bn(first, 2, f"{name}_down")
    mean = layers.ZeroPadding2D(1, name=f"{name}_pool_pad")(first)
    mean = layers.AveragePooling2D(3, 2, name=f"{name}_pool")(mean)
    return layers.Concatenate(name=name)([mean, *wider_views(halved, filters, name)])


def wider_views(x: Tensor, filters: int, name: str) -> list[Tensor]:
    """The 3 x 3 convolutions of a module; half the channels each time, the last as before it."""
    views = []
    for i, share in enumerate((4, 8, 8), 2):
        x = conv_block(x, filters // share, 3, f"{name}_part{i}")
        views.append(x)
    return views


def context_path(stage4: Tensor, stage5: Tensor) -> Tensor:
    """From strides 16 and 32, and the mean of the latter, to 128 channels at stride 8."""
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="context_pool")(stage5)
    mean = conv_block(mean, 128, 1, "context_mean")
    x = attention_refinement(stage5, "context_refine32")
    x = layers.Add(name="context_add32")([x, mean])
    x = Upsample(2, name="context_up32")(x)
    x = conv_block(x, 128, 3, "context_out32")

    refined = attention_refinement(stage4, "context_refine16")
    x = layers.Add(name="context_add16")([refined, x])
    x = Upsample(2, name="context_up16")(x)
    return conv_block(x, 128, 3, "context_out16")


def attention_refinement(x: Tensor, name: str) -> Tensor:
    """ARM: 128 channels, each weighed by what the map is about as a whole."""
    x = conv_block(x, 128, 3, f"{name}_block")
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
    gate = batch_norm(f"{name}_gate_bn")(conv(gate, 128, 1, 1, f"{name}_gate"))
    return gated(x, gate, name)


def feature_fusion(spatial: Tensor, context: Tensor) -> Tensor:
    """FFM: both side by side, mixed to 256 channels, which are weighed and added once more."""
    x = layers.Concatenate(name="fusion_gather")([spatial, context])
    x = conv_block(x, 256, 1, "fusion")
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="fusion_pool")(x)
    gate = conv(gate, 64, 1, 1, "fusion_gate1")
    gate = layers.ReLU(name="fusion_gate1_relu")(gate)
    gate = conv(gate, 256, 1, 1, "fusion_gate2")
    return layers.Add(name="fusion_add")([x, gated(x, gate, "fusion")])
