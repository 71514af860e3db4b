"""ONNX by TensorRT's rules: its engines are built from it, here or on the machine with the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asap_tf.export.graph import DeployedGraph, Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.writers.onnx import REWRITES, in_float16, onnx_model, quantized, save

if TYPE_CHECKING:
    import onnx

INT8_OPSET, INT8_IR_VERSION = 19, 9
"""The first in which scales may be float16, and the files that it came with."""


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] = REWRITES,
) -> None:
    """Writes an `.onnx` file; see `tensorrt_graph`. Arguments as of all writers."""
    model = tensorrt_graph(deployment.graph(rewrites), precision, calibration)
    save(model, path, metadata)


def tensorrt_graph(
    graph: DeployedGraph, precision: str, calibration: Sequence[np.ndarray] = ()
) -> onnx.ModelProto:
    """The graph in ONNX as `onnx_model` makes it, but for int8.

    TensorRT takes signed activations around 0 alone, and no biases in integers; what is not int8 is
    float16. Only what convolutions and additions take is Q/DQ: TensorRT joins the rest to them.
    ONNX Runtime runs that in floats: its integer convolutions want every output quantized, and what
    follows a ReLU unsigned.

    Args:
        graph: Deployed graph, in TensorFlow.
        precision: `"fp32"`, `"fp16"` or `"int8"`.
        calibration: uint8 `(H, W, 3)` frames at the graph's size; for int8.

    Raises:
        AsapError: if a package is missing, or the graph cannot be converted.
    """
    return onnx_model(graph, precision, calibration, _in_int8)


def _in_int8(model: onnx.ModelProto, batches: Sequence[np.ndarray]) -> onnx.ModelProto:
    from onnx import version_converter
    from onnxruntime.quantization import QuantType

    model = in_float16(model)
    biases = _add_biases_apart(model.graph)
    model.ir_version = INT8_IR_VERSION
    kinds = ["Conv", "Add"]
    return quantized(
        version_converter.convert_version(model, INT8_OPSET),
        batches,
        kinds,
        biases,
        activation_type=QuantType.QInt8,
        extra_options={
            "ActivationSymmetric": True,
            "OpTypesToExcludeOutputQuantization": kinds,
            "QuantizeBias": False,
        },
    )


def _add_biases_apart(graph: onnx.GraphProto) -> list[str]:
    """Takes biases out of convolutions; names the additions in their place.

    ONNX Runtime would make integers of them, by scales that are 0 in float16.
    """
    from onnx import helper, numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes, names = list(graph.node), []
    del graph.node[:]
    for node in nodes:
        graph.node.append(node)
        if node.op_type == "Conv" and len(node.input) == 3:
            conv = graph.node[-1]
            bias = numpy_helper.to_array(constants[conv.input.pop()]).reshape(-1, 1, 1)
            graph.initializer.append(numpy_helper.from_array(bias, f"{node.name}_bias"))
            result, conv.output[0] = conv.output[0], f"{node.name}_products"
            terms = [conv.output[0], f"{node.name}_bias"]
            names.append(f"{node.name}_add_bias")
            graph.node.append(helper.make_node("Add", terms, [result], names[-1]))
    return names
