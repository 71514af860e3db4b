"""Networks of nothing but blocks of some kinds, to be exported and timed; see `latency.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers
from realtime import SIZE

from asap_tf.layers import FFDN, SegmentationModel, StripAttention
from asap_tf.layers.blocks import conv, conv_block
from asap_tf.layers.resize import Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import depthwise_bn, gated, relu
from asap_tf.models.interface import input_frames, normalize, segmentation_model

WIDTHS = (*range(16, 128, 8), *range(128, 256, 16), *range(256, 513, 32))
FEW = (16, 32, 64, 128, 256)
"""Widths of what takes little time."""

STRIDES = (4, 8, 16, 32)
LARGEST = 5e9
"""Multiply-accumulates: no network has a block of more."""


@dataclass(frozen=True)
class Kind:
    """A kind of block.

    Attributes:
        build: Makes it, of two maps alike, a width and a name for its layers.
        scale: Sides of the output over those of the input.
        taps: Multiply-accumulates for each pair of an input and an output channel; 0 for all that
            keeps channels apart.
    """

    build: Callable[[Tensor, Tensor, int, str], Tensor]
    scale: float = 1
    taps: int = 0

    def positions(self, stride: int) -> int:
        """Of the output, where the input has a stride."""
        return round(SIZE[0] * SIZE[1] / stride**2 * self.scale**2)

    def work(self, stride: int, width: int) -> int:
        """Multiply-accumulates, or numbers of a map of this width."""
        return self.positions(stride) * width * max(1, self.taps * width)

    def widths(self, stride: int) -> tuple[int, ...]:
        """Those at which it is timed."""
        if not self.taps:
            return FEW
        return tuple(width for width in WIDTHS if self.work(stride, width) <= LARGEST)


def depthwise(stride: int) -> Kind:
    """3 x 3 of each channel on its own."""
    return Kind(lambda x, _, width, name: relu(depthwise_bn(x, stride, name), name), 1 / stride)


def depthwise5(x: Tensor, other: Tensor, width: int, name: str) -> Tensor:
    """5 x 5 of each channel on its own."""
    return layers.DepthwiseConv2D(5, padding="same", activation="relu", name=f"{name}_conv")(x)


def convolution(kernel: int, stride: int) -> Kind:
    """Convolution, BatchNorm, ReLU."""
    return Kind(
        lambda x, _, width, name: conv_block(x, width, kernel, name, stride),
        1 / stride,
        kernel**2,
    )


def of_two(layer: type[keras.Layer]) -> Kind:
    """A layer of two maps."""
    return Kind(lambda x, other, width, name: layer(name=f"{name}_layer")([x, other]))


def context(x: Tensor, other: Tensor, width: int, name: str) -> Tensor:
    """FFDN and vertical attention."""
    return StripAttention(name=f"{name}_attention")(FFDN(width, name=f"{name}_fusion")(x))


KINDS = {
    "conv3": convolution(3, 1),
    "conv3_s2": convolution(3, 2),
    "conv1": convolution(1, 1),
    "depthwise3": depthwise(1),
    "depthwise3_s2": depthwise(2),
    "depthwise5": Kind(depthwise5),
    "add": of_two(layers.Add),
    "concat": of_two(layers.Concatenate),
    "gate": Kind(lambda x, other, width, name: gated(x, other, name)),
    "mean2": Kind(lambda x, _, width, name: layers.AveragePooling2D(2, name=f"{name}_")(x), 1 / 2),
    "max3": Kind(
        lambda x, _, width, name: layers.MaxPooling2D(3, 2, "same", name=f"{name}_")(x), 1 / 2
    ),
    "double": Kind(lambda x, _, width, name: Upsample(2, name=f"{name}_")(x), 2),
    "context": Kind(context),
}

SHEETS: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...] = (
    *(((name,), STRIDES) for name, kind in KINDS.items() if kind.taps),
    (
        ("depthwise3", "depthwise3_s2", "depthwise5", "add", "concat", "gate", "mean2", "max3"),
        STRIDES,
    ),
    (("double",), (8, 16)),
    (("context",), (4, 8)),
)
"""Kinds that are in one network, and the strides of the maps that they take."""

ENDS = (
    *((3, width, 8) for width in (16, 32, 64)),
    *((7, width, 8) for width in (32, 64)),
    *((3, 32, stride) for stride in (4, 16, 32)),
)
"""Kernel and channels of the first convolution, and stride of the logits."""


def sheet(names: Sequence[str], stride: int) -> SegmentationModel:
    """A network of blocks of some kinds and of many widths, side by side, all of one input.

    A 1 x 1 convolution feeds each block with its width and another takes its output, as within a
    network: nothing is converted between them.
    """
    frames = input_frames(19, (*SIZE, 3))
    x = normalize(frames)
    for level in range(1, stride.bit_length()):
        x = conv_block(x, 32, 3, f"stem{level}", 2)
    sinks: dict[int, list[Tensor]] = {}
    for name in names:
        kind = KINDS[name]
        for width in kind.widths(stride):
            one, two = (conv_block(x, width, 1, f"feed{i}_{name}_{width}") for i in (1, 2))
            y = kind.build(one, two, width, f"block_{name}_of{width}_")
            sink = layers.Conv2D(19, 1, name=f"sink_{name}_{width}")(y)
            sinks.setdefault(round(stride / kind.scale), []).append(sink)
    sums = [
        Upsample(own // min(sinks), name=f"up{own}")(layers.Add(name=f"sum{own}")(outputs))
        for own, outputs in sinks.items()
    ]
    x = layers.Add(name="sum")(sums) if len(sums) > 1 else sums[0]
    return _labeled(frames, x, min(sinks))


def nothing_else(kernel: int, width: int, stride: int) -> SegmentationModel:
    """A network of a first convolution and logits alone."""
    frames = input_frames(19, (*SIZE, 3))
    x = conv_block(normalize(frames), width, kernel, "stem", 2)
    return _labeled(frames, conv(x, 19, 1, stride // 2, "sink"), stride)


def _labeled(frames: Tensor, x: Tensor, stride: int) -> Any:
    logits = Upsample(stride, dtype="float32", name="logits")(x)
    return segmentation_model("blocks", frames, logits, {stride: x}, False, None)
