"""How many operations a network takes, counted on its built graph by the rule of Table III."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asap_tf.core.errors import UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


PRODUCTS = ("Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")
"""Convolutions, transposed ones among them, and products of matrices."""


@dataclass(frozen=True)
class Operations:
    """Operations of one frame's inference.

    Attributes:
        multiply_accumulates: Of convolutions and matrix products, by layer, in order of execution.
        others: Those of BatchNorm (2 per element), and of resizes and broadcasts to a larger map
            (1 per element of it), by layer.
    """

    multiply_accumulates: dict[str, int]
    others: dict[str, int]

    @property
    def by_layer(self) -> dict[str, int]:
        """All operations of every layer that has any."""
        names = dict.fromkeys([*self.multiply_accumulates, *self.others])
        return {
            name: self.multiply_accumulates.get(name, 0) + self.others.get(name, 0)
            for name in names
        }

    @property
    def by_module(self) -> dict[str, int]:
        """All operations by the first word of the layers' names: backbone, pyramid, ..."""
        modules: dict[str, int] = {}
        for name, number in self.by_layer.items():
            module = re.match(r"[a-z]*", name)[0] or name  # type: ignore[index]
            modules[module] = modules.get(module, 0) + number
        return modules

    @property
    def total(self) -> int:
        """All operations together."""
        return sum(self.by_layer.values())

    def to_dict(self) -> dict[str, Any]:
        """The counts as a model's metadata hold them."""
        return {
            "multiply_accumulates": sum(self.multiply_accumulates.values()),
            "operations": {"total": self.total, **self.by_module},
        }


def count_operations(model: keras.Model, size: tuple[int, int] | None = None) -> Operations:
    """Counts what a model does for one input, from the graph that TensorFlow makes of it.

    A multiply-accumulate of a convolution or matrix product counts 1, BatchNorm 2 per element, a
    resize or broadcast to a larger map 1 per element of that map; pooling, additions,
    activations, softmax and norms without parameters count 0. With this rule the paper's figures
    come out; nothing is folded and auxiliary heads are left out.

    Args:
        model: Functional, of one input.
        size: `(H, W)`; needed if the model takes any.

    Returns:
        The counts by layer, named as in the model.

    Raises:
        UsageError: if the model takes any size and none is given.

    Examples:
        >>> count_operations(ASAPNet(19, (512, 1024, 3))).total / 1e9

    Source: paper, Table III.
    """
    import tensorflow as tf

    from asap_tf.layers.segmentation_model import as_segmentation_model

    model = as_segmentation_model(model).inference_model()
    height, width, channels = model.inputs[0].shape[1:]
    shape = (1, *(size or (height, width)), channels)
    if None in shape:
        raise UsageError("the model takes frames of any size: give one to count its operations at")
    network = tf.function(lambda x: model(x, training=False), autograph=False)
    graph = network.get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph

    # A layer's name in the graph has a number more each time the layer is called.
    names = sorted((layer.name for layer in model.layers), key=len, reverse=True)
    products: dict[str, int] = {}
    others: dict[str, int] = {}
    for name, op in _operations(graph):
        scope = re.sub(rf"^{re.escape(model.name)}(_\d+)?/", "", name).split("/")[0]
        layer = next((n for n in names if re.fullmatch(rf"{re.escape(n)}(_\d+)?", scope)), scope)
        counts = products if op.type in PRODUCTS else others
        number = _cost(op)
        if number:
            counts[layer] = counts.get(layer, 0) + number
    return Operations(products, others)


def _operations(graph: tf.Graph, caller: str = "") -> Iterator[tuple[str, tf.Operation]]:
    """Operators by name; those of a function under the name of what calls it."""
    for op in graph.get_operations():
        if op.type.endswith("PartitionedCall"):
            function = graph._get_function(op.get_attr("f").name)
            yield from _operations(function.graph, caller or op.name)
        elif op.outputs:
            yield caller or op.name, op


def _cost(op: tf.Operation) -> int:
    """What one operator of a TensorFlow graph counts."""
    output = op.outputs[0].shape
    if op.type == "Conv2D":
        return output.num_elements() * op.inputs[1].shape[:-1].num_elements()
    if op.type == "Conv2DBackpropInput":
        # Of a transposed convolution: every number of the input meets the kernel once.
        _, kernel, x = op.inputs
        return x.shape.num_elements() * kernel.shape[:-1].num_elements()
    if op.type == "DepthwiseConv2dNative":
        return output.num_elements() * op.inputs[1].shape[:2].num_elements()
    if op.type in PRODUCTS:
        return output.num_elements() * op.inputs[0].shape[-1]
    if op.type in ("Mul", "AddV2") and "/batchnorm/" in op.name:
        # TensorFlow's scale and offset: of a map, by a number per channel.
        of_map = output.rank > 1 and any(i.shape.rank == 1 for i in op.inputs)
        return output.num_elements() if of_map else 0
    if op.type.startswith("Resize") or (op.type == "AddV2" and _enlarges(op)):
        return output.num_elements()
    return 0


def _enlarges(op: tf.Operation) -> bool:
    """Whether a strip is brought to a map; a number per channel is no strip."""
    if {i.shape.rank for i in op.inputs} != {4}:
        return False
    positions = op.outputs[0].shape[1:3].num_elements()
    return any(1 < i.shape[1:3].num_elements() < positions for i in op.inputs)
