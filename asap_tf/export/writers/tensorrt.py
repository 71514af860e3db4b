"""TensorRT engines (.engine), built from ONNX on the GPU that is to run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.export.build_engine import build
from asap_tf.export.graph import Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.writers.onnx import REWRITES
from asap_tf.export.writers.tensorrt_onnx import tensorrt_graph
from asap_tf.runtime.engine import Failure


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] = REWRITES,
) -> None:
    """Builds an engine; it runs on this version of TensorRT and this kind of GPU only.

    Precision is that of the ONNX graph, in int8 by its Q/DQ nodes: that graph can be compared with
    Keras wherever ONNX Runtime runs, and TensorRT 11 has no calibrator of its own any more.

    `gpu_probe.tensorrt_choice` says how to get TensorRT. Metadata is not embedded, engines have no
    place for it; fp32 is without TF32. Arguments as of all writers.
    """
    try:
        import tensorrt as trt
    except ImportError as error:
        raise AsapError(f"TensorRT cannot be imported ({error})") from error
    graph = tensorrt_graph(deployment.graph(rewrites), precision, calibration)
    try:
        path.write_bytes(build(trt, graph.SerializeToString(), precision).plan)
    except Failure as failure:
        raise AsapError(str(failure)) from failure
