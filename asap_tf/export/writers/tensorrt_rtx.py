"""TensorRT for RTX engines (.engine), built from ONNX ahead of time, on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.core.errors import AsapError
from asap_tf.export.graph import Deployment
from asap_tf.export.rewrites.graph_utils import Rewrite
from asap_tf.export.rtx import NOT_COMPARED, build_ahead, tensors_of
from asap_tf.export.writers import tensorrt_onnx
from asap_tf.export.writers.onnx import REWRITES
from asap_tf.runtime.engine import Failure, requirements
from asap_tf.runtime.network import TensorSpec, signature_of


def write(
    deployment: Deployment,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
    rewrites: Sequence[Rewrite] = REWRITES,
) -> None:
    """Builds an engine, and leaves the ONNX graph that it was built from beside it.

    It is built for the GPUs that `compute_capability` of the deployment lists, or all if that is
    empty. Metadata is not embedded, engines have no place for it; but what the builder said is
    added to it: `compute_capability`, `engine`, `note`, and where no such GPU is here, `on_gpu`.
    Inputs and outputs are read back from the engine. Arguments as of all writers.
    """
    graph = path.with_suffix(".onnx")
    tensorrt_onnx.write(deployment, precision, graph, calibration, metadata, rewrites)
    report = build_ahead(graph, precision, path, deployment.compute_capability)
    plan = path.read_bytes()
    tensors = [TensorSpec(name, *found) for name, found in tensors_of(plan).items()]
    takes = [tensor for tensor in tensors if tensor.name == "frames"]
    gives = [tensor for tensor in tensors if tensor.name == deployment.output]
    batch, size, *_ = signature_of(path, takes, gives)
    if (batch, size) != (deployment.batch, deployment.size):
        raise AsapError(f"{path}: the engine takes {takes[0]}, which is not what was built")
    metadata |= {"compute_capability": report.capabilities, "engine": asdict(report)}
    metadata["note"] = str(report)
    try:
        requirements(plan)
    except Failure:
        metadata["on_gpu"] = NOT_COMPARED
        metadata["note"] += f"; {NOT_COMPARED}: parity is that of its ONNX graph"
