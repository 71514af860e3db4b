"""A network that is built and trained in a moment, registered under the name `tiny`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import conv_block
from asap_tf.models import register
from asap_tf.models.interface import head, input_frames, normalize, segmentation_model
from asap_tf.models.registry import BUILDERS, COMMON_ARGUMENTS


@register("tiny")
def Tiny(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Five strided Conv Blocks of 8 channels."""
    frames = input_frames(num_classes, input_shape)
    x, maps = normalize(frames), {}
    for i in range(1, 6):
        x = conv_block(x, 8, 3, f"backbone{i}", stride=2)
        maps[2**i] = x
    logits = head(maps[32], num_classes, 32, "logits")
    return segmentation_model("tiny", frames, logits, maps, aux_heads, weights)


def tiny_as_asap() -> Callable[..., SegmentationModel]:
    """A builder of `Tiny` with the signature of ASAP's."""

    @functools.wraps(BUILDERS["asap"])
    def build(**arguments):
        return Tiny(**{name: arguments[name] for name in COMMON_ARGUMENTS})

    return build
