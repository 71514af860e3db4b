"""LiteRT (.tflite): float32, float16, int8 weights alone, and integers from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.system import stderr_silenced
from asap_tf.export.graph import EVERYWHERE, DeployedGraph, Deployment
from asap_tf.export.rewrites.confidence import confidence_by_softmax
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.rewrites.labels import repeat_as_bytes
from asap_tf.export.rewrites.pooling import depthwise_pooling, pool_odd_maps, pool_relus
from asap_tf.export.rewrites.pyramid import pooled_pyramid
from asap_tf.export.rewrites.stem import fold_normalization, space_to_depth_stem
from asap_tf.export.xnnpack_report import xnnpack_report
from asap_tf.layers import FFDN
from asap_tf.saving import METADATA_NAME

REWRITES = (
    *EVERYWHERE,
    fold_normalization,
    space_to_depth_stem,
    pool_odd_maps,
    depthwise_pooling,
    pool_relus,
    pooled_pyramid,
)


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] = REWRITES,
) -> None:
    """Writes a `.tflite` file of built-in operators only.

    float16 is the type of the weights; it is computed in float32 where the processor has no other.
    dynamic has int8 weights, and activations quantized as they come. The metadata is the entry
    `asap_tf.json`; the `note` is how XNNPACK takes the file. Arguments as of all writers.

    In int8 the maps and all convolutions are integers. The statistics of FFDN's norms and the
    products and softmax of the attention, where 8 bits would cost accuracy, are float32: some
    hundred numbers, and the two passes over FFDN's map. So are the frames on their way to int8:
    LiteRT takes half as long for that as from uint8 straight to int8.
    """
    graph = deployment.graph(rewrites, repeat_as_bytes, confidence_by_softmax)
    try:
        with stderr_silenced():
            content = _converted(graph, precision, calibration)
    except Exception as error:
        raise AsapError(f"TensorFlow cannot convert the graph: {first_line(error)}") from error
    path.write_bytes(_finished(content, deployment.output, metadata))
    metadata["note"] = str(xnnpack_report(path))


def _converted(graph: DeployedGraph, precision: str, frames: Sequence[np.ndarray]) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.function])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision == "fp32":
        return converter.convert()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if precision != "int8":
        return converter.convert()

    from tensorflow.lite.python.convert import mlir_quantize

    def batches() -> Iterator[list[np.ndarray]]:
        for batch in graph.batches(frames):
            # Both ends of the range, so that the scale of the frames is 1: in two pixels, since a
            # whole white frame would stretch the ranges of all maps.
            batch[0, 0, 0], batch[0, -1, -1] = 0, 255
            yield [batch]

    converter.representative_dataset = batches
    # What QuantizationDebugger does, the public door to operators that stay float, without its
    # second model.
    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    return mlir_quantize(calibrated, denylisted_nodes=_stay_float(calibrated, graph))


def _stay_float(calibrated: bytes, graph: DeployedGraph) -> list[str]:
    """Names of the operators that int8 would harm."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    layers = graph.deployment.model.layers
    fusions = [f"/{layer.name}_" for layer in layers if isinstance(layer, FFDN)]
    integer_anyway = {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.CONCATENATION}
    products = {schema.BuiltinOperator.BATCH_MATMUL, schema.BuiltinOperator.SOFTMAX}
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(calibrated))
    subgraph = model.subgraphs[0]
    names = []
    for operator in subgraph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        name = subgraph.tensors[operator.outputs[0]].name.decode()
        of_norms = kind not in integer_anyway and any(scope in name for scope in fusions)
        if kind in products or of_norms:
            names.append(name)
    return names


def _finished(content: bytes, output: str, metadata: dict[str, Any]) -> bytes:
    """The model with its tensors named by the contract, a signature, and the metadata."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    subgraph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs, signature.outputs = [], []
    for indices, name, maps in (
        (subgraph.inputs, "frames", signature.inputs),
        (subgraph.outputs, output, signature.outputs),
    ):
        tensor_map = schema.TensorMapT()
        tensor_map.name, tensor_map.tensorIndex = name, indices[0]
        subgraph.tensors[indices[0]].name = name
        maps.append(tensor_map)
    model.signatureDefs = [signature]
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = METADATA_NAME, len(model.buffers)
    buffer.data = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    model.metadata = [*(model.metadata or []), entry]
    model.buffers.append(buffer)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
