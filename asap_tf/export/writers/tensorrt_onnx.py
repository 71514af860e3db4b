"""ONNX by TensorRT's rules, for a bundle: engines are built from it on the machine with the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asap_tf.export.graph import DeployedGraph
from asap_tf.export.writers import onnx


def write(
    graph: DeployedGraph,
    precision: str,
    path: Path,
    calibration: Sequence[np.ndarray],
    metadata: dict[str, Any],
) -> None:
    """As `asap_tf.export.writers.onnx.write`, with `for_tensorrt`."""
    onnx.write(graph, precision, path, calibration, metadata, for_tensorrt=True)
