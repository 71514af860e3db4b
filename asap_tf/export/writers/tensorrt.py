"""TensorRT engines (.engine), built from ONNX on the GPU that is to run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.export.build_and_time import build, source
from asap_tf.export.graph import Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.writers.onnx import REWRITES, onnx_model
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

    TensorRT 8.6 and 10 take float16 by a builder flag, 11 from the float16 ONNX graph. int8 is the
    ONNX graph with Q/DQ nodes for all of them, not TensorRT's own calibrator: that graph is held
    against Keras wherever ONNX Runtime runs, one calibration serves every version, and TensorRT
    11 has no calibrator any more.

    `gpu_probe.tensorrt_choice` says how to get TensorRT. Metadata is not embedded, engines have no
    place for it; fp32 is without TF32. Arguments as of all writers.
    """
    try:
        import tensorrt as trt
    except ImportError as error:
        raise AsapError(f"TensorRT cannot be imported ({error})") from error
    graph = deployment.graph(rewrites)
    content = onnx_model(graph, source(trt, precision), calibration, for_tensorrt=True)
    try:
        path.write_bytes(build(trt, content.SerializeToString(), precision))
    except Failure as failure:
        raise AsapError(str(failure)) from failure
