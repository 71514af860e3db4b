"""TensorRT engines (.engine), built from ONNX on the GPU that is to run them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.errors import AsapError
from asap_tf.export.build_and_time import build, source
from asap_tf.export.graph import DeployedGraph
from asap_tf.extras import require
from asap_tf.runtime.engine import Failure

PRECISIONS = ("fp32", "fp16", "int8")


def write(
    graph: DeployedGraph,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
) -> None:
    """Builds an engine; it runs on this version of TensorRT and this kind of GPU only.

    TensorRT 8.6 and 10 take float16 by a builder flag, 11 from the float16 ONNX graph. int8 is the
    ONNX graph with Q/DQ nodes for all of them, not TensorRT's own calibrator: that graph is held
    against Keras wherever ONNX Runtime runs, one calibration serves every version, and TensorRT
    11 has no calibrator any more.

    Args:
        graph: The deployed network.
        precision: `"fp32"` (without TF32), `"fp16"` or `"int8"`.
        path: Ends in `.engine`.
        calibration: uint8 `(H, W, 3)` frames at the graph's size; for int8.
        metadata: Not embedded, engines have no place for it.

    Raises:
        AsapError: if TensorRT is missing (`gpu_probe.tensorrt_choice` says how to get it) or
            cannot build the engine.
    """
    from asap_tf.export import onnx

    try:
        import tensorrt as trt
    except ImportError as error:
        raise AsapError(f"TensorRT cannot be imported ({error})") from error
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "asap.onnx"
        onnx.write(graph, source(trt, precision), file, calibration, metadata)
        try:
            path.write_bytes(build(trt, prepared(file), precision))
        except Failure as failure:
            raise AsapError(str(failure)) from failure


def prepared(file: Path) -> bytes:
    """An exported ONNX graph as TensorRT takes it, to the same result.

    TensorRT makes uint8 of floats alone, not of the integers that argmax gives; and it wants
    biases as floats, not as int32 with a scale.
    """
    onnx = require("onnx", "onnx")
    model = onnx.shape_inference.infer_shapes(onnx.load(str(file)))
    graph, types = model.graph, onnx.TensorProto
    constants = {tensor.name: tensor for tensor in graph.initializer}
    dtypes = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        source_name = node.input[0] if node.input else ""
        if node.op_type == "DequantizeLinear" and source_name in constants:
            values = [onnx.numpy_helper.to_array(constants[name]) for name in node.input[:2]]
            if values[0].dtype == np.int32:
                bias = (values[0] * values[1]).astype(np.float32)
                graph.initializer.append(onnx.numpy_helper.from_array(bias, node.output[0]))
                continue
        if node.op_type == "Cast" and _gives(node) == types.UINT8:
            if dtypes.get(source_name) not in (types.FLOAT, types.FLOAT16):
                floats = f"{source_name}_as_float"
                graph.node.append(
                    onnx.helper.make_node("Cast", [source_name], [floats], to=types.FLOAT)
                )
                node.input[0] = floats
        graph.node.append(node)
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _gives(cast: Any) -> int:
    return next(attribute.i for attribute in cast.attribute if attribute.name == "to")
