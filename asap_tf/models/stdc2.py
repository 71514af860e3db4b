"""STDC2-Seg: the deeper backbone."""

from __future__ import annotations

from pathlib import Path

from asap_tf.layers import SegmentationModel
from asap_tf.models.registry import register
from asap_tf.models.stdc import stdc_seg


@register("stdc2")
def STDC2Seg(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds STDC2-Seg, `STDC1Seg` with a deeper backbone, as a functional Keras model.

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
        >>> STDC2Seg(19, (512, 1024, 3)).output_shape
        (None, 512, 1024, 19)

    Source: as of `STDC1Seg`.

    Size: 12.29 M parameters and, at 512 x 1024, 23.5 G multiply-accumulates, both of
    convolutions; see `STDC1Seg`.
    """
    return stdc_seg("stdc2", (4, 5, 3), num_classes, input_shape, weights, aux_heads)
