"""What all networks share: frames in, and logits and auxiliary heads of the frame's size out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import keras
from keras import layers

from asap_tf.core.errors import UsageError, nearest
from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import conv_block
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.saving import load_weights

LOGGER = logging.getLogger("asap_tf")

Color = tuple[float, float, float]

# ImageNet's statistics for RGB in 0..1, which nearly every published backbone was trained with.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def input_frames(num_classes: int, input_shape: tuple[int | None, int | None, int]) -> Tensor:
    """RGB frames 0..255 `(N, H, W, 3)`, the input of every network.

    Raises:
        UsageError: (a ValueError) for fewer than two classes, or a size no multiple of 32.
    """
    if num_classes < 2:
        raise UsageError(f"`num_classes` must be at least 2, got {num_classes}")
    sizes = input_shape[:2]
    if len(input_shape) != 3 or input_shape[2] != 3 or any(s and s % 32 for s in sizes):
        raise UsageError(
            "`input_shape` must be (H, W, 3) with H and W multiples of 32 or None, "
            f"got {tuple(input_shape)}"
        )
    return keras.Input(input_shape, name="frames")


def check_choice(option: str, value: str, valid: Iterable[str]) -> None:
    """Refuses a value that an option does not have.

    Raises:
        UsageError: (a ValueError) with the nearest one that it has.
    """
    names = list(valid)
    if value not in names:
        raise UsageError(f"unknown `{option}` {value!r}; {nearest(value, names)}")


def normalize(frames: Tensor, mean: Color = MEAN, deviation: Color = DEVIATION) -> Tensor:
    """RGB 0..255 to zero mean and unit deviation, in float32 under every precision.

    Args:
        frames: `(N, H, W, 3)`.
        mean: RGB in 0..1.
        deviation: RGB in 0..1.
    """
    scale = [1 / (255 * d) for d in deviation]
    offset = [-m / d for m, d in zip(mean, deviation, strict=True)]
    return layers.Rescaling(scale, offset, dtype="float32", name="normalize")(frames)


def head(x: Tensor, num_classes: int, stride: int, name: str, filters: int = 64) -> Tensor:
    """Conv Block, 1 x 1 to the classes, bilinear to the size of the frame; float32 logits."""
    x = conv_block(x, filters, 3, f"{name}_block")
    x = layers.Conv2D(num_classes, 1, dtype="float32", name=f"{name}_classes")(x)
    return Upsample(stride, dtype="float32", name=name)(x)


def segmentation_model(
    name: str,
    frames: Tensor,
    logits: Tensor,
    backbone_outputs: dict[int, Tensor],
    aux_heads: bool,
    weights: str | Path | None,
    backbone: str | None = None,
    pyramid_outputs: dict[int, Tensor] | None = None,
) -> SegmentationModel:
    """The model from frames to logits, or to those and two auxiliary heads' for training.

    Args:
        name: Name of the network.
        frames: Keras tensor of `input_frames`.
        logits: Keras tensor of the logits.
        backbone_outputs: Maps of the backbone by their strides, at least two.
        aux_heads: Whether to add heads on the coarsest two of these maps, `"aux3"` and `"aux4"`;
            the output is then a dict of three.
        weights: Initial weights, as of `load_weights`; None for random ones.
        backbone: Name of the backbone, for its ImageNet weights; None for one without any.
        pyramid_outputs: Maps of the feature pyramid by their strides.
    """
    outputs = logits
    if aux_heads:
        num_classes = logits.shape[-1]
        third, fourth = sorted(backbone_outputs)[-2:]
        outputs = {
            "logits": logits,
            "aux3": head(backbone_outputs[third], num_classes, third, "aux3"),
            "aux4": head(backbone_outputs[fourth], num_classes, fourth, "aux4"),
        }
    model = SegmentationModel(
        frames,
        outputs,
        name=name,
        backbone_outputs=backbone_outputs,
        pyramid_outputs=pyramid_outputs,
    )
    if weights is not None:
        LOGGER.info("%s: %s", weights, load_weights(model, weights, backbone))
    return model
