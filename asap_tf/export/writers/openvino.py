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

from asap_tf.core.errors import AsapError, first_line
from asap_tf.core.optional import require
from asap_tf.core.system import stderr_silenced
from asap_tf.export.graph import Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.rewrites.labels import repeat_by_maximum
from asap_tf.export.rewrites.pyramid import pooled_pyramid
from asap_tf.export.writers import onnx as onnx_writer
from asap_tf.runtime.openvino_network import METADATA_KEY, core

if TYPE_CHECKING:
    import onnx
    import openvino

REWRITES = (*onnx_writer.REWRITES, pooled_pyramid)

# NNCF reports every use to its makers over the network, unless this is set before its import.
os.environ.setdefault("NNCF_CI", "1")


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] = REWRITES,
) -> None:
    """Writes an `.xml` file and, beside it, its weights in a `.bin` file of the same name.

    float16 is the type of the weights; the processor computes in what it has. int8 is by NNCF, the
    statistics of norms and the attention's products in floating point. The metadata is `asap_tf` of
    the runtime information. The `.xml` does not name its `.bin`, so both may be renamed alike.
    Arguments as of all writers.

    The graph comes from ONNX, whose layout OpenVINO keeps: from TensorFlow's own, argmax runs
    over the innermost axis, which took 12 times as long, and int8 a fourth longer in all.
    """
    openvino = require("openvino", "openvino")
    passes = require("openvino.passes", "openvino")
    graph = deployment.graph(rewrites, repeat_by_maximum)
    exported = onnx_writer.onnx_model(graph)
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
                model = _in_int8(model, exported, graph.batches(calibration))
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

    tensors = {t for node in onnx_writer.float_islands(exported.graph) for t in node.output}
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
