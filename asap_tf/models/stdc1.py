"""STDC1-Seg: the lighter backbone, of two modules a stage."""

from __future__ import annotations

from pathlib import Path

from asap_tf.layers import SegmentationModel
from asap_tf.models.registry import register
from asap_tf.models.stdc import stdc_seg


@register("stdc1")
def STDC1Seg(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds STDC1-Seg as a functional Keras model.

    Trained here like ASAP, with two auxiliary heads on the backbone, without the detail head. Maps
    of the context path are enlarged bilinearly, where its authors repeat positions.

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
        >>> STDC1Seg(19, (512, 1024, 3)).output_shape
        (None, 512, 1024, 19)

    Source: Fan, Lai, Huang, Wei, Chai, Luo, Wei, "Rethinking BiSeNet For Real-time Semantic
    Segmentation", CVPR 2021, Fig. 3 and 4, Table 2; decoder widths from its authors' network.

    Size: 8.26 M parameters and, at 512 x 1024, 16.9 G multiply-accumulates, both of
    convolutions. Counts of 15.35 G leave out the 1.51 G of the two 3 x 3 convolutions that follow
    the enlargements of the context path, though not their parameters.
    """
    return stdc_seg("stdc1", (2, 2, 2), num_classes, input_shape, weights, aux_heads)
