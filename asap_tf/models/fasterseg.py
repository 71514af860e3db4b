"""FasterSeg: the student that its authors' search found, two branches on three shared cells."""

from __future__ import annotations

from pathlib import Path

from keras import layers

from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import conv_block, conv_bn
from asap_tf.layers.resize import AlignedResize
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import relu
from asap_tf.models.interface import input_frames, normalize, segmentation_model
from asap_tf.models.registry import register


@register("fasterseg")
def FasterSeg(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds FasterSeg, the released student, as a functional Keras model.

    Trained here like ASAP, with two auxiliary heads on the publication's maps, and without its
    teacher. Maps are resized bilinearly with corners aligned, as in the network that its authors
    trained; the one that they timed repeats positions.

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
        >>> FasterSeg(19, (1024, 2048, 3)).output_shape
        (None, 1024, 2048, 19)

    Source: Chen, Gong, Liu, Zhang, Li, Wang, "FasterSeg: Searching for Faster Real-time Semantic
    Segmentation", ICLR 2020, Fig. 6, and the architecture that its authors released.

    Size: 3.42 M parameters and, at 512 x 1024, 6.94 G multiply-accumulates (27.8 G at
    1024 x 2048), both of convolutions. The 4.4 M that are quoted for it have its auxiliary heads
    and a gate that it does not use.
    """
    frames = input_frames(num_classes, input_shape)
    x = conv_block(normalize(frames), 32, 3, "stem1", stride=2)
    x = twice(x, 64, "stem2", stride=2)
    x = twice(x, 64, "stem3", stride=2)
    x = twice(x, 32, "shared1")
    x = twice(x, 32, "shared2")
    shared = zoomed(x, 32, "shared3")

    fused32, middle32, coarse32 = branch32(shared)
    fused16, middle16 = branch16(shared)
    x = layers.Concatenate(name="aggregation_gather")([fused32, fused16])
    x = conv_block(x, 128, 1, "aggregation")
    x = conv_block(x, 128, 3, "logits_block")
    x = layers.Conv2D(num_classes, 1, dtype="float32", name="logits_classes")(x)
    logits = AlignedResize(8, dtype="float32", name="logits")(x)
    maps = {
        8: shared,
        16: layers.Concatenate(name="aux3_gather")([middle32, middle16]) if aux_heads else middle16,
        32: coarse32,
    }
    return segmentation_model("fasterseg", frames, logits, maps, aux_heads, weights)


def branch32(shared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The branch that goes down to stride 32.

    Returns:
        64 channels at stride 8, and its own maps at strides 16 (64 channels) and 32 (256).
    """
    x = conv_block(halved(shared, "branch32_4"), 128, 3, "branch32_4")
    for cell in (5, 6, 7):
        x = zoomed(x, 64, f"branch32_{cell}")
    middle = x
    x = zoomed(x, 128, "branch32_8", down=True)
    x = zoomed(x, 128, "branch32_9")
    coarse = zoomed(x, 256, "branch32_10")

    x = conv_block(coarse, 128, 1, "aggregation32_coarse")
    x = joined(x, middle, 128, "aggregation32_middle")
    x = conv_block(x, 64, 1, "aggregation32_reduce")
    return joined(x, shared, 64, "aggregation32_fine"), middle, coarse


def branch16(shared: Tensor) -> tuple[Tensor, Tensor]:
    """The branch that goes down to stride 16.

    Returns:
        64 channels at stride 8, and its own map at stride 16 (128 channels).
    """
    x = zoomed(shared, 32, "branch16_4")
    fine = twice(x, 32, "branch16_5")
    x = twice(fine, 64, "branch16_6", stride=2)
    for cell, filters in ((7, 64), (8, 192), (9, 128)):
        x = zoomed(x, filters, f"branch16_{cell}")
    reduced = conv_block(x, 64, 1, "aggregation16_reduce")
    return joined(reduced, fine, 64, "aggregation16_fine"), x


def twice(x: Tensor, filters: int, name: str, stride: int = 1) -> Tensor:
    """Two Conv Blocks, the first of them strided."""
    x = conv_block(x, filters, 3, f"{name}_1", stride=stride)
    return conv_block(x, filters, 3, f"{name}_2")


def zoomed(x: Tensor, filters: int, name: str, down: bool = False) -> Tensor:
    """Zoomed convolution: two of them at half the size; back at the size of the map unless down."""
    y = conv_block(halved(x, name), filters, 3, f"{name}_1")
    y = conv_bn(y, filters, 3, 1, f"{name}_2")
    if not down:
        y = AlignedResize(name=f"{name}_enlarge")([y, x])
    return relu(y, name)


def halved(x: Tensor, name: str) -> Tensor:
    """A map at half its size."""
    return AlignedResize(divisor=2, name=f"{name}_halve")(x)


def joined(coarse: Tensor, fine: Tensor, filters: int, name: str) -> Tensor:
    """A map enlarged to the size of a finer one, both gathered, 3 x 3."""
    coarse = AlignedResize(name=f"{name}_enlarge")([coarse, fine])
    x = layers.Concatenate(name=f"{name}_gather")([coarse, fine])
    return conv_block(x, filters, 3, name)
