"""A table of what blocks of networks take, and what it foretells of a whole network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from asap_tf.export.graph import Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.layers import FFDN, StripAttention

if TYPE_CHECKING:
    import tensorflow as tf

ELEMENTWISE = {
    "AddV2": "add",
    "AvgPool": "mean2",
    "ConcatV2": "concat",
    "MaxPool": "max3",
    "Mul": "gate",
    "ResizeBilinear": "double",
}
"""Kinds of blocks that are not convolutions, by TensorFlow's operations."""


@dataclass(frozen=True)
class Block:
    """A part of a network that the table knows.

    Attributes:
        kind: Key of the table.
        work: Multiply-accumulates of a convolution; of others, numbers of the output.
        positions: Of the output.
        widths: Channels of input and output.
    """

    kind: str
    work: int
    positions: int
    widths: tuple[int, int]


@dataclass(frozen=True)
class Ends:
    """What is between the frame and the first map, and between the logits and the labels.

    Attributes:
        kernel: Side of the first convolution's kernel, which has a stride of 2.
        width: Its channels.
        stride: Of the logits, before they are enlarged.
    """

    kernel: int
    width: int
    stride: int


class LatencyTable:
    """Milliseconds of blocks in one runtime.

    Args:
        measured: `"blocks"`, by kind and positions of the output the nanoseconds that a unit of
            work takes by width; and `"ends"`, milliseconds by kernel, width and stride.
    """

    def __init__(self, measured: dict[str, Any]):
        self.blocks = {
            kind: {
                int(positions): sorted((int(w), ns) for w, ns in rates.items())
                for positions, rates in by_positions.items()
            }
            for kind, by_positions in measured["blocks"].items()
        }
        self.ends = {
            tuple(map(int, key.split())): milliseconds
            for key, milliseconds in measured["ends"].items()
        }

    def milliseconds(self, part: Block | Ends) -> float:
        """What a part of a network takes."""
        if isinstance(part, Ends):
            return self._of_ends(part)
        rates = self.blocks[part.kind]
        nearest = min(rates, key=lambda positions: abs(np.log(positions / part.positions)))
        widths, nanoseconds = zip(*rates[nearest], strict=True)
        found = np.interp(part.widths, widths, nanoseconds)
        # What a unit of work takes falls with the channels of both sides.
        return part.work * float(np.sqrt(np.prod(found))) / 1e6

    def _of_ends(self, ends: Ends) -> float:
        known = [key for key in self.ends if key[0] == ends.kernel and key[2] == 8]
        widths, took = zip(*sorted((key[1], self.ends[key]) for key in known), strict=True)
        of_stride = min(
            (key for key in self.ends if key[:2] == (3, 32)),
            key=lambda key: abs(key[2] - ends.stride),
        )
        enlarging = self.ends[of_stride] - self.ends[3, 32, 8]
        return float(np.interp(ends.width, widths, took)) + enlarging


def parts_of(deployment: Deployment, rewrites: Sequence[Rewrite]) -> list[Block | Ends]:
    """What a network consists of, as it is deployed.

    Args:
        deployment: The network, its size and output.
        rewrites: Those of the runtime.
    """
    graph = deployment.graph(rewrites).function.graph
    contexts = tuple(
        f"{layer.name}_"
        for layer in deployment.model.layers
        if isinstance(layer, FFDN | StripAttention)
    )
    labels, height = _after_logits(graph)
    operations = [op for op in graph.get_operations() if op not in labels]
    stem = next(op for op in operations if op.type == "Conv2D")
    found: list[Block | Ends] = [_ends(stem, height)]
    for op in operations:
        for block in _blocks(op) if op is not stem else ():
            if not op.name.partition("/")[2].startswith(contexts):
                found.append(block)
            elif block.kind == "conv1" and op.outputs[0].shape[1] > 1:
                # FFDN's convolution stands for all of it and of the attention.
                (width, _), positions = block.widths, block.positions
                found.append(Block("context", positions * width, positions, (width, width)))
    return found


def _after_logits(graph: tf.Graph) -> tuple[set[tf.Operation], int]:
    """All operations from the enlarging of the logits on, and the height of the logits."""
    operations = graph.get_operations()
    (argmax,) = (op for op in operations if op.type == "ArgMax")
    found, changing = _followers(argmax), _followers(operations[0])
    before = argmax
    while before.type not in ("Conv2D", "AddV2"):
        found.add(before)
        before = next(x.op for x in before.inputs if x.op in changing)
    return found, before.outputs[0].shape[1]


def _followers(op: tf.Operation) -> set[tf.Operation]:
    """An operation and all that depend on it."""
    found, waiting = {op}, [op]
    while waiting:
        new = {c for output in waiting.pop().outputs for c in output.consumers()} - found
        found |= new
        waiting += new
    return found


def _ends(stem: tf.Operation, height: int) -> Ends:
    """Those of a network, by its first convolution and the height of its logits."""
    side, _, channels, width = stem.inputs[1].shape
    if channels == 12:
        side = {2: 3, 4: 7}[side]
    return Ends(side, width, 2 * stem.outputs[0].shape[1] // height)


def _blocks(op: tf.Operation) -> Iterator[Block]:
    """What an operation counts for: nothing, if it is part of another or next to nothing."""
    if not op.outputs or op.outputs[0].shape.rank != 4 or None in op.outputs[0].shape:
        return
    _, height, width, filters = op.outputs[0].shape
    positions = height * width
    strided = op.inputs and op.inputs[0].shape.rank == 4 and op.inputs[0].shape[1] >= 1.8 * height
    if op.type == "Conv2D":
        rows, columns, channels, _ = op.inputs[1].shape
        work = positions * rows * columns * channels * filters
        kind = "conv1" if rows * columns == 1 else "conv3_s2" if strided else "conv3"
        yield Block(kind, work, positions, (channels, filters))
    elif op.type == "DepthwiseConv2dNative":
        rows, columns = op.inputs[1].shape[:2]
        kind = "depthwise5" if rows * columns > 16 else "depthwise3"
        kind += "_s2" if strided and kind == "depthwise3" else ""
        yield Block(kind, positions * filters, positions, (filters, filters))
    elif op.type in ELEMENTWISE and not _by_channel(op):
        # The table's joins two maps of its width.
        filters //= 2 if op.type == "ConcatV2" else 1
        yield Block(ELEMENTWISE[op.type], positions * filters, positions, (filters, filters))


def _by_channel(op: tf.Operation) -> bool:
    """Whether a map meets one number for each channel: a bias, or a gate that was pooled."""
    return op.type in ("AddV2", "Mul") and min(_positions(x) for x in op.inputs) == 1


def _positions(x: tf.Tensor) -> int:
    return int(np.prod(x.shape[1:3])) if x.shape.rank == 4 else 1
