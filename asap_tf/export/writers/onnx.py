"""ONNX (.onnx): for ONNX Runtime, and what OpenVINO's and TensorRT's graphs are made from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.optional import require
from asap_tf.core.system import stderr_silenced
from asap_tf.export.graph import EVERYWHERE, DeployedGraph, Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.rewrites.norms import norms_with_attention
from asap_tf.export.rewrites.pooling import depthwise_pooling, pad_in_pooling
from asap_tf.export.rewrites.stem import fold_normalization
from asap_tf.runtime.onnx_network import METADATA_KEY

if TYPE_CHECKING:
    import onnx

REWRITES = (*EVERYWHERE, fold_normalization, pad_in_pooling, norms_with_attention)

# ONNX Runtime's mean pooling takes ten times as long in int8 as its maximum pooling.
INT8_REWRITES = (*REWRITES, depthwise_pooling)

OPSET = 17
"""The last that TensorRT 8.6 reads; Q/DQ by channel came with 13, and nothing later is needed."""

IR_VERSION = 8
"""Of the files that opset 17 came with; the package onnx would write its newest."""

ToInt8 = Callable[["onnx.ModelProto", Sequence[np.ndarray]], "onnx.ModelProto"]
"""From a float32 graph and batches of frames to calibrate on to a graph with Q/DQ nodes."""

STATISTICS = {"ReduceMean", "GlobalAveragePool", "Sqrt", "Softmax", "MatMul"}
MAPS = {"Conv", "Resize", "MaxPool", "AveragePool"}


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] | None = None,
) -> None:
    """Writes an `.onnx` file of standard operators, checked by ONNX's own checker.

    See `onnx_model` for the precisions. The metadata is the property `asap_tf`. Arguments as of all
    writers; rewrites of None are those of the precision.
    """
    if rewrites is None:
        rewrites = INT8_REWRITES if precision == "int8" else REWRITES
    save(onnx_model(deployment.graph(rewrites), precision, calibration), path, metadata)


def save(model: onnx.ModelProto, path: Path, metadata: dict[str, Any]) -> None:
    """Writes a file with its metadata embedded, as JSON."""
    require("onnx", "onnx").helper.set_model_props(model, {METADATA_KEY: json.dumps(metadata)})
    path.write_bytes(model.SerializeToString())


def onnx_model(
    graph: DeployedGraph,
    precision: str = "fp32",
    calibration: Sequence[np.ndarray] = (),
    to_int8: ToInt8 | None = None,
) -> onnx.ModelProto:
    """The graph in ONNX, `frames` to `labels` or `logits`.

    Args:
        graph: Deployed graph, in TensorFlow.
        precision: `"fp32"`; `"fp16"`, all but normalization, the statistics of norms and softmax,
            which stay float32; or `"int8"`.
        calibration: uint8 `(H, W, 3)` frames at the graph's size; for int8.
        to_int8: Way of quantizing; None is that of ONNX Runtime: convolutions and what is between
            them as Q/DQ, by channel, kernels in 7 bits but for depthwise ones, the statistics and
            the attention's products float32.

    Raises:
        AsapError: if a package is missing, or the graph cannot be converted.

    Examples:
        >>> onnx_model(Deployment(model, (512, 1024)).graph()).graph.output[0].name
        'labels'
    """
    onnx = require("onnx", "onnx")
    tf2onnx = require("tf2onnx", "onnx")
    onnxruntime = require("onnxruntime", "onnx")
    try:
        with stderr_silenced():
            model = onnx.load_from_string(_converted(graph))
            if precision == "fp16":
                model = in_float16(model)
            elif precision == "int8":
                model = (to_int8 or _in_int8)(model, graph.batches(calibration))
            (opset,) = (entry for entry in model.opset_import if not entry.domain)
            del model.opset_import[:]
            model.opset_import.append(opset)
            onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise AsapError(
            f"tf2onnx {tf2onnx.__version__} and ONNX Runtime {onnxruntime.__version__} cannot "
            f"make a graph in {precision} of the network: {first_line(error)}"
        ) from error
    return model


def float_islands(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that stay float32 in every precision.

    They are those that no convolution, pooling or resize separates from normalization, a mean, a
    root, a softmax or a product of matrices: all of FFDN's norms, and the attention but for its
    three projections.
    """
    inputs = {value.name for value in graph.input}
    seeds = [n for n in graph.node if n.op_type in STATISTICS or inputs & {*n.input}]
    neighbors: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for tensor in (*node.input, *node.output):
            neighbors.setdefault(tensor, []).append(node)
    constants = {tensor.name for tensor in graph.initializer}
    found: dict[str, onnx.NodeProto] = {}
    while seeds:
        node = seeds.pop()
        if node.name not in found and (node.op_type not in MAPS or _of_a_strip(node)):
            found[node.name] = node
            for tensor in {*node.input, *node.output} - constants:
                seeds += neighbors[tensor]
    return list(found.values())


def _of_a_strip(node: onnx.NodeProto) -> bool:
    """Whether a node is a mean along one axis of a map."""
    kernel = next((a.ints for a in node.attribute if a.name == "kernel_shape"), ())
    return node.op_type == "AveragePool" and 1 in kernel


def label_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes after the argmax: labels are numbers of classes, not to be rounded."""
    labels: set[str] = set()
    found = []
    for node in graph.node:
        if node.op_type == "ArgMax" or labels & {*node.input}:
            found.append(node)
            labels |= {*node.output}
    return found


_CONVERTED: WeakKeyDictionary[DeployedGraph, bytes] = WeakKeyDictionary()


def _converted(graph: DeployedGraph) -> bytes:
    """The graph in float32, from which every precision starts."""
    if graph in _CONVERTED:
        return _CONVERTED[graph]
    import onnx
    import tf2onnx

    function = graph.function
    frames, output = function.inputs[0].name, function.outputs[0].name
    model, _ = tf2onnx.convert.from_graph_def(
        function.graph.as_graph_def(),
        input_names=[frames],
        output_names=[output],
        opset=OPSET,
        tensors_to_rename={frames: "frames", output: graph.deployment.output},
    )
    model.ir_version = IR_VERSION
    for node in model.graph.node:
        if node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.INT32:
            # Labels on their way to uint8, which TensorRT makes of floats alone, not of integers.
            node.attribute[0].i = onnx.TensorProto.FLOAT
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    _CONVERTED[graph] = model.SerializeToString()
    return _CONVERTED[graph]


def in_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph in float16, but for what stays float32.

    Products of matrices are float16, though what is around them is not: TensorRT for RTX has no
    others for GPUs of the Turing family.
    """
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    converted = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=[],
        node_block_list=[n.name for n in float_islands(model.graph) if n.op_type != "MatMul"],
    )
    _drop_detours(converted.graph)
    ordered = ONNXModel(converted)
    ordered.topological_sort()
    return ordered.model


def _drop_detours(graph: onnx.GraphProto) -> None:
    """Takes out the casts to float16 and back between any two nodes that stay float32."""
    import onnx

    def cast_to(kind: int, tensor: str) -> str | None:
        """What `tensor` was cast from, if it was cast to `kind`."""
        node = casts.get(tensor)
        return node.input[0] if node and node.attribute[0].i == kind else None

    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    for node in graph.node:
        for i, tensor in enumerate(node.input):
            half = cast_to(onnx.TensorProto.FLOAT, tensor)
            single = half and cast_to(onnx.TensorProto.FLOAT16, half)
            if single:
                node.input[i] = single
    for _ in ("back", "there"):
        used = {tensor for node in graph.node for tensor in node.input}
        used |= {value.name for value in graph.output}
        for node in [n for n in graph.node if n.op_type == "Cast" and n.output[0] not in used]:
            graph.node.remove(node)


def _in_int8(model: onnx.ModelProto, batches: Sequence[np.ndarray]) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType

    whole = {name: [{"axis": 0, "reduce_range": False}] for name in _depthwise_kernels(model.graph)}
    return quantized(
        model,
        batches,
        ["Conv", "Add", "Relu", "Clip", "MaxPool", "Concat"],
        activation_type=QuantType.QUInt8,
        # On x86-64 without VNNI, ONNX Runtime adds two products of 8 bits in 16, which overflow;
        # of 7 bits they do not. Depthwise it adds in 32.
        reduce_range=True,
        extra_options={"TensorQuantOverrides": whole},
    )


def _depthwise_kernels(graph: onnx.GraphProto) -> set[str]:
    """Names of the kernels of convolutions from one channel each."""
    groups = {
        node.input[1]: next((a.i for a in node.attribute if a.name == "group"), 1)
        for node in graph.node
        if node.op_type == "Conv"
    }
    sizes = {kernel.name: kernel.dims for kernel in graph.initializer}
    return {name for name, group in groups.items() if [group, 1] == [*sizes[name][:2]]}


def quantized(
    model: onnx.ModelProto,
    batches: Sequence[np.ndarray],
    kinds: list[str],
    skip: Sequence[str] = (),
    **options: Any,
) -> onnx.ModelProto:
    """A graph with Q/DQ nodes outside its float islands and labels, weights in int8 by channel.

    Args:
        model: Graph, in float32 or float16.
        batches: Frames to calibrate on, uint8 `(batch, H, W, 3)` each.
        kinds: Operators to quantize.
        skip: Names of nodes that stay as they are.
        **options: Further arguments of ONNX Runtime's `quantize_static`.
    """
    import onnx
    from onnxruntime import quantization

    untouched = [*float_islands(model.graph), *label_nodes(model.graph)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            model,
            file,
            _Reader(batches),
            op_types_to_quantize=kinds,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=[*skip, *(node.name for node in untouched)],
            **options,
        )
        return onnx.load(str(file))


class _Reader:
    """What ONNX Runtime's calibrator reads frames from."""

    def __init__(self, batches: Sequence[np.ndarray]):
        self._batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"frames": batch}
