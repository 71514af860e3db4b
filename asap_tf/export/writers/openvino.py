"""OpenVINO (.xml and .bin): Intel processors and graphics."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.optional import require
from asap_tf.core.system import stderr_silenced
from asap_tf.export.graph import DeployedGraph, calibration_batches
from asap_tf.export.rewrites.blocks import pooled_pyramid
from asap_tf.export.rewrites.upsampling import planar_logits
from asap_tf.export.writers.onnx import float_islands, onnx_model
from asap_tf.layers.tensor import Tensor
from asap_tf.runtime.openvino_network import METADATA_KEY, core

if TYPE_CHECKING:
    import onnx
    import openvino

REWRITES = (pooled_pyramid, planar_logits)
"""After those for ONNX."""

# NNCF reports every use to its makers over the network, unless this is set before its import.
os.environ.setdefault("NNCF_CI", "1")


def write(
    graph: DeployedGraph,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
) -> None:
    """Writes an `.xml` file and, beside it, its weights in a `.bin` file of the same name.

    Args:
        graph: The deployed network.
        precision: `"fp32"`; `"fp16"`, which is the type of the weights, the processor computes in
            what it has; or `"int8"`, by NNCF, the statistics of norms and the attention's products
            in floating point.
        path: Ends in `.xml`. It does not name the `.bin`, so both may be renamed alike.
        calibration: uint8 `(H, W, 3)` frames at the graph's size; for int8.
        metadata: Embedded as `asap_tf` of the runtime information, in JSON.

    Raises:
        AsapError: if a package is missing, or the graph cannot be converted.

    The graph comes from ONNX, whose layout OpenVINO keeps: from TensorFlow's own, argmax runs
    over the innermost axis, which took 12 times as long, and int8 a fourth longer in all.
    """
    openvino = require("openvino", "openvino")
    passes = require("openvino.passes", "openvino")
    exported = onnx_model(graph, further=REWRITES, repeat=_repeated)
    if precision == "int8":
        with contextlib.redirect_stdout(io.StringIO()):
            require("nncf", "openvino")
        # Its own set_log_level also changes handlers that are not its own.
        logging.getLogger("nncf").setLevel(logging.ERROR)
    try:
        with stderr_silenced(), contextlib.redirect_stdout(io.StringIO()):
            model = core().read_model(exported.SerializeToString())
            folding = passes.Manager()
            folding.register_pass(passes.ConstantFolding())
            folding.run_passes(model)
            if precision == "int8":
                model = _in_int8(model, exported, calibration_batches(graph, calibration))
            model.set_rt_info(json.dumps(metadata), METADATA_KEY)
            openvino.save_model(model, path, compress_to_fp16=precision == "fp16")
    except Exception as error:
        raise AsapError(
            f"OpenVINO {openvino.__version__} cannot make a graph in {precision} of the network: "
            f"{first_line(error)}"
        ) from error


def _in_int8(
    model: openvino.Model, exported: onnx.ModelProto, batches: Sequence[np.ndarray]
) -> openvino.Model:
    import nncf

    tensors = {t for node in float_islands(exported.graph) for t in node.output}
    islands = [
        operation.get_friendly_name()
        for operation in model.get_ops()
        if any(tensors & output.get_names() for output in operation.outputs())
    ]
    return nncf.quantize(
        model,
        nncf.Dataset(batches),
        subset_size=len(batches),
        # On CamVid at 512 x 1024 it cost 0.2 % of the labels, and gained none at 352 x 480.
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
        ignored_scope=nncf.IgnoredScope(names=islands, validate=False),
    )


def _repeated(labels: Tensor, stride: int) -> Tensor:
    """See `graph.repeated`: OpenVINO takes four times as long to join or to broadcast."""
    batch, height, width = labels.shape
    x = ops.reshape(ops.cast(labels, "float32"), (batch, height, 1, width, 1))
    x = ops.maximum(x, np.zeros((1, 1, stride, 1, stride), np.float32))
    return ops.reshape(x, (batch, height * stride, width * stride))
