"""BiSeNet V2: a shallow branch for detail, a deep one for meaning, each guiding the other."""

from __future__ import annotations

from pathlib import Path

from keras import layers

from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import batch_norm, conv, conv_block, conv_bn
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import depthwise_bn, gated
from asap_tf.models.interface import head, input_frames, normalize, segmentation_model
from asap_tf.models.registry import register

EXPANSION = 6


@register("bisenetv2")
def BiSeNetV2(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds BiSeNet V2 as a functional Keras model.

    Trained here like ASAP, so with two auxiliary heads (stages 4 and 5 of the semantic branch)
    instead of the booster's four.

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
        >>> BiSeNetV2(19, (512, 1024, 3)).output_shape
        (None, 512, 1024, 19)

    Source: Yu, Gao, Wang, Yu, Shen, Sang, "BiSeNet V2: Bilateral Network with Guided Aggregation
    for Real-Time Semantic Segmentation", IJCV 2021, Table 1 and Fig. 4 to 6. It leaves open the
    width of the head (1024 here) and some activations: as in the implementations in use, ReLU
    follows a gather-and-expansion layer's last depthwise convolution, the context embedding and
    the aggregation. Gates are enlarged bilinearly, where some repeat positions.

    Size: 3.34 M parameters and, at 512 x 1024, 24.6 G multiply-accumulates, both of
    convolutions. Counts of 3.15 M go about, which it has without the context embedding (3.18).
    """
    frames = input_frames(num_classes, input_shape)
    x = normalize(frames)
    detail = detail_branch(x)
    stages = semantic_branch(x)
    semantic = context_embedding(stages[32])
    fused = guided_aggregation(detail, semantic)
    logits = head(fused, num_classes, 8, "logits", filters=1024)
    return segmentation_model("bisenetv2", frames, logits, stages, aux_heads, weights)


def detail_branch(x: Tensor) -> Tensor:
    """Wide and shallow: eight convolutions to 128 channels at stride 8."""
    for stage, (filters, count) in enumerate(((64, 2), (64, 3), (128, 3)), 1):
        for i in range(1, count + 1):
            x = conv_block(x, filters, 3, f"detail_stage{stage}_{i}", stride=2 if i == 1 else 1)
    return x


def semantic_branch(x: Tensor) -> dict[int, Tensor]:
    """Narrow and deep: 32, 64 and 128 channels at strides 8, 16 and 32."""
    x = stem(x)
    stages = {}
    for stage, (filters, count) in enumerate(((32, 2), (64, 2), (128, 4)), 3):
        x = gather_expand_down(x, filters, f"semantic_stage{stage}_1")
        for i in range(2, count + 1):
            x = gather_expand(x, f"semantic_stage{stage}_{i}")
        stages[2**stage] = x
    return stages


def stem(x: Tensor) -> Tensor:
    """A strided convolution, then convolutions beside max pooling: 16 channels at stride 4."""
    x = conv_block(x, 16, 3, "semantic_stem", stride=2)
    left = conv_block(x, 8, 1, "semantic_stem_left1")
    left = conv_block(left, 16, 3, "semantic_stem_left2", stride=2)
    right = layers.ZeroPadding2D(1, name="semantic_stem_right_pad")(x)
    right = layers.MaxPooling2D(3, 2, name="semantic_stem_right")(right)
    x = layers.Concatenate(name="semantic_stem_gather")([left, right])
    return conv_block(x, 16, 3, "semantic_stem_fuse")


def gather_expand(x: Tensor, name: str) -> Tensor:
    """Gather-and-expansion layer: 3 x 3, depthwise to six times the channels, 1 x 1 back."""
    shortcut, filters = x, x.shape[-1]
    x = conv_block(x, filters, 3, f"{name}_gather")
    x = depthwise_bn(x, 1, f"{name}_expand", EXPANSION)
    x = layers.ReLU(name=f"{name}_expand_relu")(x)
    x = conv_bn(x, filters, 1, 1, f"{name}_project")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def gather_expand_down(x: Tensor, filters: int, name: str) -> Tensor:
    """The same at stride 2: two depthwise convolutions, and a separable one as the shortcut."""
    shortcut = depthwise_bn(x, 2, f"{name}_shortcut_depthwise")
    shortcut = conv_bn(shortcut, filters, 1, 1, f"{name}_shortcut")
    x = conv_block(x, x.shape[-1], 3, f"{name}_gather")
    x = depthwise_bn(x, 2, f"{name}_expand", EXPANSION)
    x = depthwise_bn(x, 1, f"{name}_depthwise")
    x = layers.ReLU(name=f"{name}_depthwise_relu")(x)
    x = conv_bn(x, filters, 1, 1, f"{name}_project")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu")(x)


def context_embedding(x: Tensor) -> Tensor:
    """Adds what the whole map is about to each of its positions."""
    filters = x.shape[-1]
    context = layers.GlobalAveragePooling2D(keepdims=True, name="context_pool")(x)
    context = batch_norm("context_pool_bn")(context)
    context = conv_block(context, filters, 1, "context_embed")
    x = layers.Add(name="context_add")([x, context])
    return conv_block(x, filters, 3, "context_out")


def guided_aggregation(detail: Tensor, semantic: Tensor) -> Tensor:
    """Either branch, at either stride, weighed by a gate from the other."""
    filters = detail.shape[-1]
    fine = depthwise_bn(detail, 1, "aggregation_fine_depthwise")
    fine = conv(fine, filters, 1, 1, "aggregation_fine")
    gate = conv_bn(semantic, filters, 3, 1, "aggregation_fine_gate")
    gate = Upsample(4, name="aggregation_fine_gate_up")(gate)
    fine = gated(fine, gate, "aggregation_fine")

    gate = conv_bn(detail, filters, 3, 2, "aggregation_coarse_gate")
    gate = layers.ZeroPadding2D(1, name="aggregation_coarse_gate_pool_pad")(gate)
    gate = layers.AveragePooling2D(3, 2, name="aggregation_coarse_gate_pool")(gate)
    coarse = depthwise_bn(semantic, 1, "aggregation_coarse_depthwise")
    coarse = conv(coarse, filters, 1, 1, "aggregation_coarse")
    coarse = gated(gate, coarse, "aggregation_coarse")
    coarse = Upsample(4, name="aggregation_coarse_up")(coarse)

    x = layers.Add(name="aggregation_add")([fine, coarse])
    return conv_block(x, filters, 3, "aggregation_out")
